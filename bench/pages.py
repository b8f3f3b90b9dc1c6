"""What the pages cost in Chromium: first loads, a long answer while a person writes, lists."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import urllib.request
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import targets
from bench.load import Plan
from bench.report import number, percentile, say

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Request

HEADING = "Pages in a browser"
NAMES = ("chromium", "chromium-browser", "google-chrome")
WITHOUT_WINDOWS = "chromium-headless-shell"
# Each page with the selector of what shows that it is there.
PAGES = {
    "/": "article.model",
    "/playground/": ".welcome",
    "/admin/": "[role=tab]",
}
TITLES = {"/": "landing", "/playground/": "playground", "/admin/": "admin"}
CONTEXT = 16_384
TOKENS, DELAY = 10_000, 0.005
REQUESTS = 5_000
# What is counted at the end, to see that nothing was lost.
WORD = re.compile(r"word\d+")
TYPED = "What I write while the answer comes. "
# Watches frames, and how long a key takes until the next frame is painted. Times in milliseconds.
WATCH = """() => {
  const seen = (window.seen = { gaps: [], keys: [], last: performance.now(), on: true });
  const frame = (now) => {
    seen.gaps.push(now - seen.last);
    seen.last = now;
    if (seen.on) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  document.addEventListener("keydown", (event) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => seen.keys.push(performance.now() - event.timeStamp);
    requestAnimationFrame(() => channel.port2.postMessage(null));
  }, true);
}"""
SEEN = """() => {
  window.seen.on = false;
  const answer = [...document.querySelectorAll("article.assistant")].at(-1);
  return {
    gaps: window.seen.gaps.slice(1),
    keys: window.seen.keys,
    nodes: answer.querySelectorAll("*").length,
    text: answer.querySelector(".markdown").innerText,
  };
}"""
# Acts, and returns the milliseconds until `count` rows of ended requests are painted.
ROWS = """async ([name, count]) => {
  const rows = () => document.querySelectorAll("[role=tabpanel] tbody tr").length;
  const started = performance.now();
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const button = () => [...document.querySelectorAll("button")].find(
    (each) => !each.disabled && each.textContent.trim() === name);
  while (rows() < count) {
    button()?.click();
    await painted();
    const late = performance.now() - started > 60_000;
    if (late && rows() < count) throw new Error(`only ${rows()} rows`);
  }
  await painted();
  return performance.now() - started;
}"""


def chromium(*, quick: bool) -> str:
    """Return the path of the browser: ``CHROMIUM``, or one on PATH. Raises RuntimeError.

    One that has no windows starts in half the time, but its frames are not those that people see.
    """
    names = (WITHOUT_WINDOWS, *NAMES) if quick else NAMES
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise RuntimeError("no Chromium: install one, or name it by CHROMIUM=/path/to/it")
    return found


def written() -> list[str]:
    """Return the pieces of an answer in Markdown: paragraphs, lists and code."""
    pieces: list[str] = []
    while len(pieces) < TOKENS:
        pieces += [f" word{each}" for each in range(60)] + ["\n\n"]
        pieces += ["-", " one", "\n-", " **two**", "\n\n"]
        pieces += ["```python\n", "def", " f(", "x", "):\n", "    return", " x\n", "```\n", "\n"]
    return pieces[:TOKENS]


# What the model writes: as models do, and the worst, one paragraph that never ends.
ANSWERS = {"Markdown": written(), "one paragraph": [f" word{each}" for each in range(TOKENS)]}


def config(folder: Path, port: int) -> str:
    """Return the Lua text of a gateway with an engine for each answer."""
    models = []
    for name, pieces in ANSWERS.items():
        text = folder / f"{name}.json"
        text.write_text(json.dumps(pieces), encoding="utf-8")
        args = ["-m", "bench.gguf", "-c", str(CONTEXT), "--text", str(text)]
        args += ["--delay", str(DELAY)]
        models.append(
            f"{{ name = {json.dumps(name)}, engine = presets.engines.llamacpp, variants = {{ {{ "
            f"binary = {targets.engine_binary(folder)}, args = {targets.lua_list(args)}, "
            f"context = {CONTEXT} }} }} }}"
        )
    return (
        f'server = {{ listen_v4 = "127.0.0.1:{port}", {targets.ADMIN_LUA}, '
        f"state_dir = {json.dumps(str(folder / 'state'))} }}\nmodels = {{ {', '.join(models)} }}\n"
    )


def opened(browser: Browser, url: str) -> Page:
    page = browser.new_context(base_url=url, locale="en-US").new_page()
    page.set_default_timeout(60_000)
    return page


def admin_link(url: str) -> str:
    asked = urllib.request.Request(
        f"{url}/admin/links",
        data=b"{}",
        headers={"Content-Type": "application/json", **targets.ADMIN},
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return str(json.load(answer)["url"])


def first_load(browser: Browser, url: str, path: str) -> tuple[float, float, float]:
    """Return kilobytes, number of requests, and milliseconds until the page shows its content."""
    page = opened(browser, url)
    answers: list[Request] = []
    page.on("requestfinished", lambda each: answers.insert(0, each))
    page.goto(admin_link(url) if path == "/admin/" else path, wait_until="commit")
    page.wait_for_selector(PAGES[path])
    took = page.evaluate("performance.now()")
    page.wait_for_load_state()
    size = sum(
        sizes["responseHeadersSize"] + sizes["responseBodySize"]
        for sizes in (each.sizes() for each in answers if not each.url.endswith("/events"))
    )
    page.context.close()
    return size / 1000, len(answers), took


def long_answer(browser: Browser, url: str, model: str, tokens: int) -> dict[str, Any]:
    """Read an answer while the person goes on writing; return what the page has seen."""
    page = opened(browser, url)
    page.goto(f"/playground/?model={model}")
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("Most tokens").fill(str(tokens))
    page.keyboard.press("Escape")
    page.get_by_label("Write a message").fill("Write.")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    page.evaluate(WATCH)
    typed = 0
    send = page.get_by_role("button", name="Send", exact=True)
    while not send.is_visible():
        page.keyboard.type(TYPED[typed % len(TYPED)])
        typed += 1
        page.wait_for_timeout(100)
    seen: dict[str, Any] = page.evaluate(SEEN)
    there = page.get_by_label("Write a message").input_value()
    seen["dropped"] = typed - len(there)
    sent = "".join(ANSWERS[model][each % TOKENS] for each in range(1, tokens))
    seen["missing"] = len(WORD.findall(sent)) - len(WORD.findall(seen.pop("text")))
    page.context.close()
    return seen


def lists(browser: Browser, url: str, count: int) -> dict[str, float]:
    """Return the milliseconds that the list of ended requests takes, for ``count`` of them."""
    page = opened(browser, url)
    page.goto(admin_link(url))
    page.get_by_role("tab", name="Requests", exact=True).wait_for()
    few = min(50, count)
    found = {f"{count:,} requests: first {few} rows": page.evaluate(ROWS, ["Requests", few])}
    found[f"all {count:,} rows"] = page.evaluate(ROWS, ["Show more", count])
    page.context.close()
    return found


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the table of the pages, and the notes below it. Needs Playwright and a Chromium."""
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of the group dev
    except ImportError:
        raise SystemExit("The part `pages` needs Playwright: ./init.sh dev") from None
    rounds, tokens, count = (1, 40, 64) if quick else (7, TOKENS, REQUESTS)
    port = targets.free_port()
    url = f"http://127.0.0.1:{port}"
    rows = [["", "median", "95th percentile", "worst"]]
    with sync_playwright() as playwright, targets.configured(folder, port, config(folder, port)):
        # The sandbox needs rights that a container's root has not.
        args = ["--no-sandbox"] if sys.platform == "linux" and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium(quick=quick), args=args)
        for path, title in TITLES.items():
            say(f"pages: {title}")
            loads = [first_load(browser, url, path) for _ in range(rounds)]
            for index, what in enumerate(("kB", "requests", "ms")):
                values = [each[index] for each in loads]
                rows.append([f"first load of {title}, {what}", *spread(values)])
        for model in ANSWERS:
            say(f"pages: an answer, {model}")
            seen = long_answer(browser, url, model, tokens)
            rows += [
                [f"{model}: between two frames, ms", *spread(seen["gaps"])],
                [f"{model}: key → painted, ms", *spread(seen["keys"])],
                [f"{model}: keys dropped", number(seen["dropped"]), "-", "-"],
                [f"{model}: words missing", number(seen["missing"]), "-", "-"],
                [f"{model}: nodes of the message", number(seen["nodes"]), "-", "-"],
            ]
        say("pages: lists")
        targets.load(Plan(port, 8, count // 8, seconds=60, model="Markdown"))
        for what, took in lists(browser, url, count).items():
            rows.append([f"{what}, ms", number(took), "-", "-"])
        browser.close()
    return rows, NOTES.format(tokens=tokens, rate=1 / DELAY)


def spread(values: list[float]) -> list[str]:
    return [number(value) for value in (median(values), percentile(values, 0.95), max(values))]


NOTES = """
- First load: a browser that was never here, until the page shows its content; kB as they
  travel, compressed.
- An answer of {tokens:,} tokens at {rate:.0f} a second, while a key is pressed each 0.1 s in the
  field below it. A frame of this browser takes 16.7 ms.
- The list shows 50 rows at first, and 500 more for each press of *Show more*.
"""
