"""The landing page and the playground in Chromium, on the bundled engine."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import runpy
import subprocess
import wave
from typing import TYPE_CHECKING, Any

import pytest
from browser import DIALOG, PHONE, all_faults, chromium, faults, visit
from playground_steps import answers, ask, ended, limit, shown_code
from playwright.sync_api import FilePayload, expect
from real_engines import ENGINES, gateway, lua_config, lua_model
from tiny_projector import write_projector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route
    from real_engines import Gateway

# What a model might write to harm its reader.
HOSTILE = [
    "<script>window.hit=1</script>",
    "<img src=x onerror='window.hit=1'>",
    "<svg onload='window.hit=1'><script>window.hit=1</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.hit=1>",
    "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
    "<base href='https://evil.example/'>[a](b)",
    "<form action='https://evil.example/'><button>Go</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<link rel=stylesheet href='https://evil.example/a.css'>",
    "<style>@import 'https://evil.example/a.css'</style>",
    "<object data='https://evil.example/'></object><embed src='https://evil.example/'>",
    "<a href='javascript:window.hit=1'>a</a>",
    "[a](javascript:window.hit=1)",
    "[a](JaVaScRiPt:window.hit=1)",
    "[a](java&#x0A;script:window.hit=1)",
    "[a](&#106;avascript:window.hit=1)",
    "[a](vbscript:window.hit=1)",
    "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "<javascript:window.hit=1>",
    "![a](https://evil.example/track.png)",
    "![a](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+)",
    "[![a](https://evil.example/b.png)](https://evil.example/)",
    '![x](x" onerror="window.hit=1)',
    '```"><script>window.hit=1</script>\nx\n```',
    "| a |\n|:-:|\n| <b style='background:url(https://evil.example)'>b</b> |",
]
# What is hard to show on a phone.
WIDE = f"""# A heading

| Name | Complexity | Memory | Stable | Notes that are rather long |
|:-----|-----------:|:------:|--------|----------------------------|
| merge | n log n | n | yes | keeps the order of equal elements |

1. First

   ```python
   def merge(a, b):
       return sorted(a + b)  # {"long " * 40}
   ```

> {"unbroken" * 40}

[link](https://example.org) and `code {"x" * 99}`"""
# As answers of larger models are.
USUAL = """`sorted` keeps the order of equal elements, so two sorts in a row are one by two keys:

```python
people = [("Ada", 36), ("Bob", 29), ("Cleo", 36)]
by_name = sorted(people)
by_age_and_name = sorted(by_name, key=lambda each: each[1])
```

| Sort | Time | Keeps the order |
|:-----|:----:|:---------------:|
| merge | n log n | yes |
| heap | n log n | no |"""
TALK = {
    "kind": "llm-gateway/conversations",
    "version": 1,
    "conversations": [
        {
            "id": "u",
            "title": "Two keys",
            "messages": [
                {"id": "u1", "role": "user", "text": "How do I sort by two keys in Python?"},
                {
                    "id": "u2",
                    "parent": "u1",
                    "role": "assistant",
                    "text": USUAL,
                    "thought": "The order is kept.",
                    "model": "qwen3",
                    "figures": {"tokens": 128, "rate": 42.5, "first": 0.31, "prompt": 18},
                },
            ],
        },
        {
            "id": "t",
            "title": "Kept",
            "messages": [
                {"id": "q", "role": "user", "text": "long " * 99 + "x" * 99},
                {
                    "id": "a",
                    "parent": "q",
                    "role": "assistant",
                    "text": WIDE,
                    "thought": WIDE,
                    "calls": [{"name": "search", "arguments": json.dumps({"query": "y" * 99})}],
                    "figures": {"tokens": 420, "rate": 31.4, "first": 0.42, "prompt": 9},
                },
            ],
        },
    ],
}
RENDERED = """async (texts) => {
  const script = document.querySelector('script[type=module]').src;
  const { nodesOf } = await import(script.replace('playground/playground.js', 'lib/markdown.js'));
  const place = document.createElement('div');
  document.body.append(place);
  for (const text of texts) place.append(nodesOf(text));
  const bad = 'script,style,img,svg,math,iframe,object,embed,form,button,base,meta,link,[style]';
  return {
    bad: place.querySelectorAll(bad).length,
    handlers: [...place.querySelectorAll('*')].filter(
      (each) => each.getAttributeNames().some((name) => name.startsWith('on'))).length,
    links: [...place.querySelectorAll('a[href]')].map((each) => each.protocol),
    unsafe: place.querySelectorAll('a[href]:not([rel~=noopener])').length,
    hit: window.hit ?? null,
  };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, whose microphone beeps."""
    with chromium(microphone="allowed") as running:
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("pages")
    projector = str(write_projector(folder / "mmproj.gguf"))
    binary = ENGINES["bundled"]
    smol = lua_model("smol", binary, (512, 8192), 'aliases = { "tiny" },', file=tiny)
    eyes = lua_model("org/eyes", binary, (2048,), args=("--mmproj", projector), file=tiny)
    args = ("--embeddings", "--pooling", "mean")
    embed = lua_model("embed", held(folder, "embed"), (512,), args=args, file=tiny)
    slow = lua_model("slow", held(folder, "slow"), (512,), file=tiny)
    ranks = lua_model("ranks", binary, (512,), args=("--reranking",), file=tiny)
    with gateway(
        folder, lua_config(folder, f"{smol}, {eyes}, {embed}, {ranks}, {slow}")
    ) as running:
        yield running


def held(folder: Path, name: str) -> str:
    """Return an engine that does not load a model before the file ``name`` is there."""
    launcher = folder / f"engine-{name}"
    gate = folder / name
    launcher.write_text(
        f'#!/bin/sh\ncase " $* " in *" -m "*) while [ ! -e {gate} ]; do sleep 0.05; done ;; esac\n'
        f'exec {ENGINES["bundled"]} "$@"\n'
    )
    launcher.chmod(0o755)
    return str(launcher)


def let_go(served: Gateway, name: str) -> None:
    """Let the model of a held engine be loaded, now and later."""
    (served.folder / name).touch()


def run_as_shown(page: Page, folder: Path) -> str:
    """Return what the program prints that the page shows for curl."""
    command = ["sh", "-c", shown_code(page)]
    return subprocess.check_output(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def run_by_python(page: Page, folder: Path) -> str:
    """Return what the program prints that the page shows for Python.

    It is run here: its library takes a second to import.
    """
    program = folder / "shown.py"
    program.write_text(shown_code(page, "Python"))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(program))
    return printed.getvalue()


def test_from_the_first_visit_to_an_answer_that_stays(
    browser: Browser, served: Gateway, tmp_path: Path
) -> None:
    with visit(browser, served.url) as page:
        page.goto("/")
        expect(page.get_by_role("heading", name="smol")).to_be_visible()
        page.get_by_role("tab", name="Python", exact=True).click()
        expect(page.get_by_role("tabpanel")).to_contain_text(f'base_url="{served.url}/v1"')
        page.get_by_role("link", name="Try smol").click()
        ask(page, "Tell me a story")
        expect(answers(page)).to_contain_text("smol@")
        expect(answers(page)).to_contain_text("8 tokens")
        expect(answers(page)).to_contain_text("tokens/s")
        text = answers(page).locator(".markdown").inner_text()
        assert text
        page.reload()
        expect(answers(page).locator(".markdown")).to_have_text(text, use_inner_text=True)
        printed = run_as_shown(page, tmp_path)
        assert '"content":' in printed
        assert printed.rstrip().endswith("data: [DONE]")
        assert run_by_python(page, tmp_path)


def test_an_answer_is_stopped_repeated_and_branched_by_the_keyboard(
    browser: Browser, served: Gateway
) -> None:
    with visit(browser, served.url) as page:
        page.goto("/playground/?model=smol")
        expect(page.get_by_role("heading", name="Ask something")).to_be_visible()
        limit(page, 7000)
        page.keyboard.press("w")
        page.keyboard.type("First")
        page.keyboard.press("Enter")
        expect(answers(page)).to_contain_text("tokens/s")
        page.keyboard.press("Escape")
        ended(page)
        expect(answers(page)).to_contain_text("stopped")
        limit(page, 4)
        page.get_by_role("button", name="Answer again", exact=True).press("Enter")
        expect(answers(page)).to_contain_text("2/2")
        ended(page)
        page.get_by_role("button", name="Edit", exact=True).press("Enter")
        expect(page.get_by_role("textbox", name="Edit")).to_be_focused()
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.type("Second")
        page.get_by_role("article", name="You").get_by_role(
            "button", name="Send", exact=True
        ).press("Enter")
        expect(page.get_by_role("article", name="You")).to_contain_text("Second")
        earlier = page.get_by_role("button", name="Earlier version", exact=True)
        # Not before the answer has ended; a key that is pressed too early is lost.
        expect(earlier).to_be_enabled()
        earlier.press("Enter")
        expect(page.get_by_role("article", name="You")).to_contain_text("First")
        expect(answers(page)).to_contain_text("2/2")


def test_a_picture_and_a_sound_are_taken_and_stay(browser: Browser, served: Gateway) -> None:
    with visit(browser, served.url) as page:
        page.goto("/playground/?model=org/eyes")
        picture = FilePayload(name="a.png", mimeType="image/png", buffer=page.screenshot())
        page.locator("input[type=file][accept='image/*']").set_input_files(picture)
        expect(page.get_by_role("img", name="Attached picture")).to_be_visible()
        noise = io.BytesIO()
        with wave.open(noise, "wb") as file:
            file.setparams((2, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(range(250)) * 128)
        sound = FilePayload(name="a.wav", mimeType="audio/wav", buffer=noise.getvalue())
        page.locator("input[type=file][accept='audio/*']").set_input_files(sound)
        expect(page.get_by_label("Attached sound", exact=True)).to_be_visible()
        page.get_by_role("button", name="Record", exact=True).click()
        page.get_by_role("button", name="End the recording", exact=True).click()
        expect(page.get_by_label("Attached sound", exact=True)).to_have_count(2)
        ask(page, "What is this?", tokens=4)
        expect(answers(page)).to_contain_text("org/eyes@2048")
        page.reload()
        expect(page.get_by_role("img", name="Attached picture")).to_be_visible()
        expect(page.get_by_label("Attached sound", exact=True)).to_have_count(2)
        assert all_faults(page, "playground-attached") == []
        page.get_by_role("button", name="As code", exact=True).click()
        code = page.get_by_role("dialog", name="As code", exact=True).get_by_role("tabpanel")
        expect(code).to_contain_text("data:image/png;base64,")


def test_a_lost_connection_is_told_and_asked_again(browser: Browser, served: Gateway) -> None:
    with visit(browser, served.url, expected="ERR_INTERNET_DISCONNECTED") as page:
        page.goto("/playground/?model=smol")
        limit(page, 4)
        page.context.set_offline(True)
        page.get_by_label("Write a message").fill("Now")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("The connection was lost")
        expect(page.get_by_role("status").get_by_text("no answer", exact=True)).to_be_visible()
        assert all_faults(page, "playground-offline") == []
        page.context.set_offline(False)
        page.get_by_role("button", name="Answer again", exact=True).click()
        expect(answers(page)).to_contain_text("4 tokens")


def test_the_landing_page_tells_that_it_waits_and_that_nobody_answers(
    browser: Browser, served: Gateway
) -> None:
    with visit(browser, served.url, expected="ERR_INTERNET_DISCONNECTED") as page:
        asked: list[Route] = []

        def hold(route: Route) -> None:
            asked.append(route)

        page.route("**/api/models", hold)
        page.goto("/")
        expect(page.locator(".bones").first).to_be_visible()
        assert faults(page) == []
        for each in asked:
            each.continue_()
        page.unroute("**/api/models", hold)
        expect(page.get_by_role("heading", name="smol", exact=True)).to_be_visible()
        # Whose gateway it is may find the page for operators.
        expect(page.get_by_text("./run.sh open")).to_be_visible()
        assert all_faults(page, "landing") == []
        page.context.set_offline(True)
        expect(page.get_by_role("status").get_by_text("was true a moment ago")).to_be_visible()
        assert faults(page) == []
        page.context.set_offline(False)
        expect(page.get_by_text("was true a moment ago")).to_be_hidden()


def test_the_pages_say_that_there_is_no_model(browser: Browser, served: Gateway) -> None:
    with visit(browser, served.url, locale="de-DE") as page:
        # A gateway without models serves the bundled one, unless that is not installed.
        page.route("**/api/models", lambda route: route.fulfill(json={"models": []}))
        page.goto("/")
        expect(page.get_by_text("Noch keine Modelle")).to_be_visible()
        assert faults(page) == []
        page.goto("/playground/")
        expect(page.get_by_text("Kein Modell hier antwortet mit Text.")).to_be_visible()
        assert faults(page) == []
        page.goto("/live/")
        expect(page.get_by_text("Kein Modell hier versteht Sprache.")).to_be_visible()
        assert all_faults(page, "live-lacking") == []


def test_nothing_that_a_model_writes_runs_or_is_fetched(browser: Browser, served: Gateway) -> None:
    with visit(browser, served.url, expected="TrustedHTML") as page:
        page.goto("/playground/")
        found = page.evaluate(RENDERED, HOSTILE)
        assert set(found["links"]) <= {"https:"}
        del found["links"]
        assert found == {"bad": 0, "handlers": 0, "unsafe": 0, "hit": None}
        # Nor where a conversation shows it, as an answer and as a thought.
        said = [
            {"id": str(at), "role": "assistant", "text": text, "thought": text}
            for at, text in enumerate(HOSTILE)
        ]
        for at, each in enumerate(said[1:]):
            each["parent"] = str(at)
        talk = {**TALK, "conversations": [{"id": "h", "title": "Hostile", "messages": said}]}
        file = FilePayload(name="a.json", mimeType="text/json", buffer=json.dumps(talk).encode())
        page.locator("input[type=file][accept*=json]").set_input_files(file)
        page.get_by_role("button", name="Hostile", exact=True).click()
        expect(answers(page)).to_have_count(len(HOSTILE))
        assert page.evaluate("window.hit ?? null") is None
        assert page.url.startswith(f"{served.url}/playground/")
        # A text cannot become HTML elsewhere.
        assert page.evaluate("() => { try { document.body.innerHTML = 'x' } catch { return 1 } }")


@pytest.mark.parametrize(
    "visitor",
    [
        pytest.param({"color_scheme": "light"}, id="light"),
        pytest.param({"color_scheme": "dark", "locale": "de-DE", **PHONE}, id="dark phone"),
    ],
)
def test_everybody_can_use_every_page(
    browser: Browser, served: Gateway, visitor: dict[str, Any]
) -> None:
    phone = "viewport" in visitor
    with visit(browser, served.url, **visitor) as page:
        page.goto("/")
        expect(page.get_by_role("heading", name="smol")).to_be_visible()
        if phone:
            assert faults(page) == []
        page.goto("/playground/")
        expect(page.locator(".welcome")).to_be_visible()
        assert faults(page) == []
        bar = page.locator(".bar button")
        if phone:
            bar.first.click()
        file = FilePayload(name="a.json", mimeType="text/json", buffer=json.dumps(TALK).encode())
        page.locator("input[type=file][accept*=json]").last.set_input_files(file)
        page.get_by_role("button", name="Kept", exact=True).click()
        for index in range(2):
            page.locator("summary").nth(index).click()
        expect(page.locator(".hljs-keyword").first).to_be_visible()
        assert faults(page) == []
        if not phone:
            page.get_by_role("button", name="Two keys", exact=True).click()
            expect(page.locator(".hljs-string").first).to_be_visible()
            assert all_faults(page, "playground-answer") == []
        for index in range(0 if phone else 1, 3):
            bar.nth(index).click()
            expect(page.get_by_role("dialog")).to_be_visible()
            assert faults(page, DIALOG) == []
            page.keyboard.press("Escape")
            expect(page.get_by_role("dialog")).to_be_hidden()
        language = "de" if visitor.get("locale") else "en"
        assert page.locator("html").get_attribute("lang") == language


def test_a_model_and_a_conversation_are_found_by_keys_alone(
    browser: Browser, served: Gateway
) -> None:
    with visit(browser, served.url) as page:
        page.goto("/")
        expect(page.get_by_role("heading", name="smol", exact=True)).to_be_visible()
        # It has no search field of its own.
        page.keyboard.press("/")
        search = page.get_by_role("combobox", name="Search and commands", exact=True)
        expect(search).to_be_focused()
        page.keyboard.type("try smol")
        found = page.get_by_role("dialog", name="Search and commands", exact=True)
        expect(found.get_by_role("option", selected=True)).to_contain_text("Try smol")
        assert all_faults(page, "palette", DIALOG) == []
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Ask something", exact=True)).to_be_visible()
        for word in ("apples", "pears"):
            page.keyboard.press("ControlOrMeta+k")
            page.keyboard.type("new conv")
            page.keyboard.press("Enter")
            page.keyboard.press("w")
            expect(page.get_by_role("textbox", name="Write a message", exact=True)).to_be_focused()
            page.keyboard.type(word)
            page.keyboard.press("Enter")
            expect(page.get_by_role("article", name="You", exact=True)).to_contain_text(word)
            page.keyboard.press("Escape")
            ended(page)
            page.get_by_role("region", name="Messages", exact=True).focus()
        page.keyboard.press("/")
        page.keyboard.type("APPLES")
        talks = page.get_by_role("complementary", name="Conversations", exact=True)
        expect(talks.get_by_role("listitem")).to_have_count(1)
        page.keyboard.press("ControlOrMeta+k")
        page.keyboard.type("apples")
        expect(found.get_by_role("option")).to_have_count(1)
        page.keyboard.press("Enter")
        expect(page.get_by_role("article", name="You", exact=True)).to_contain_text("apples")
        page.get_by_role("region", name="Messages", exact=True).focus()
        page.keyboard.press("?")
        keys = page.get_by_role("dialog", name="Keyboard", exact=True)
        expect(keys).to_contain_text("Write a message")
        assert all_faults(page, "keys", DIALOG) == []
        keys.get_by_role("checkbox").press("Space")
        page.keyboard.press("Escape")
        expect(keys).to_be_hidden()
        page.keyboard.press("?")
        page.keyboard.press("ControlOrMeta+k")
        expect(search).to_be_focused()
        expect(keys).to_be_hidden()


def test_two_models_answer_side_by_side(browser: Browser, served: Gateway) -> None:
    with visit(browser, served.url) as page:
        page.goto("/playground/?model=smol")
        page.get_by_role("button", name="Ask a second model", exact=True).click()
        page.get_by_role("combobox", name="Second model", exact=True).select_option("org/eyes")
        ask(page, "Hello both", tokens=3)
        sides = [
            page.get_by_role("region", name=f"Messages, {name}", exact=True)
            for name in ("smol", "org/eyes")
        ]
        for side, variant in zip(sides, ("smol@", "org/eyes@"), strict=True):
            expect(answers(side)).to_contain_text(variant)
            expect(side.get_by_role("article", name="You", exact=True)).to_contain_text("both")
        assert all_faults(page, "playground-two") == []
        # One conversation in the list, with both sides.
        page.reload()
        expect(answers(page)).to_have_count(2)
        page.get_by_role("button", name="End the comparison", exact=True).click()
        expect(answers(page)).to_have_count(1)
        talks = page.get_by_role("complementary", name="Conversations", exact=True)
        expect(talks.get_by_role("button", name="Hello both", exact=True)).to_have_count(2)


def test_an_answer_is_rewritten_and_its_conversation_leaves_as_a_file_and_comes_back(
    browser: Browser, served: Gateway, tmp_path: Path
) -> None:
    file = tmp_path / "conversations.json"
    with visit(browser, served.url) as page:
        page.goto("/playground/?model=smol")
        ask(page, "Keep this", tokens=2)
        page.get_by_role("button", name="Edit the answer", exact=True).click()
        page.get_by_role("textbox", name="Edit", exact=True).fill("My **own** words")
        page.get_by_role("button", name="Save as another version", exact=True).click()
        expect(answers(page)).to_contain_text("My own words")
        expect(answers(page)).to_contain_text("2/2")
        page.get_by_role("button", name="Earlier version", exact=True).click()
        expect(answers(page)).to_contain_text("2 tokens")
        with page.expect_download() as download:
            page.get_by_role("button", name="Export", exact=True).click()
        download.value.save_as(file)
        assert json.loads(file.read_text())["conversations"][0]["title"] == "Keep this"
        page.get_by_role("button", name="Delete Keep this", exact=True).click()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.get_by_text("Your conversations will be listed here.")).to_be_visible()
        page.locator("input[type=file][accept*=json]").set_input_files(file)
        page.get_by_role("button", name="Keep this", exact=True).click()
        expect(page.get_by_role("article", name="You")).to_contain_text("Keep this")


def test_an_answer_is_painted_by_frames_and_another_goes_on_after_a_reload(
    browser: Browser, served: Gateway
) -> None:
    with visit(browser, served.url) as page:
        page.goto("/playground/?model=smol")
        expect(page.get_by_role("heading", name="Ask something")).to_be_visible()
        page.evaluate(
            "() => { window.frames_ = 0;"
            " const count = () => { frames_ += 1; requestAnimationFrame(count); }; count(); }"
        )
        ask(page, "Go on", tokens=400)
        painted = int(page.locator("[data-paints]").get_attribute("data-paints") or 0)
        assert 1 < painted <= page.evaluate("window.frames_") + 2
        limit(page, 700)
        page.get_by_role("textbox", name="Write a message", exact=True).fill("Go on again")
        with page.expect_request("**/v1/chat/completions") as sent:
            page.keyboard.press("Enter")
        # If it is read by nobody for a minute, the tab is gone for good.
        assert sent.value.headers["x-conversation-patience"] == "60"
        expect(answers(page)).to_have_count(2)
        expect(answers(page).last).to_contain_text("tokens/s")
        begun = answers(page).last.locator(".markdown").inner_text()[:40]
        page.reload()
        expect(answers(page).last).to_contain_text("700 tokens")
        ended(page)
        assert answers(page).last.locator(".markdown").inner_text().startswith(begun)


def test_an_answer_that_waits_survives_a_reload(browser: Browser, served: Gateway) -> None:
    with visit(browser, served.url) as page:
        page.goto("/playground/?model=slow")
        limit(page, 4)
        page.get_by_role("textbox", name="Write a message", exact=True).fill("Load")
        page.keyboard.press("Enter")
        loads = page.get_by_role("status").get_by_text("Loading slow@512")
        expect(loads).to_be_visible()
        page.reload()
        expect(loads).to_be_visible()
        assert all_faults(page, "playground-loading") == []
        # Only one engine at a time: this one waits for the end of the load.
        queued = page.context.new_page()
        queued.goto("/playground/?model=smol")
        limit(queued, 4)
        queued.get_by_role("textbox", name="Write a message", exact=True).fill("Wait")
        queued.keyboard.press("Enter")
        waits = queued.get_by_role("status").get_by_text("Waiting for its turn")
        expect(waits).to_be_visible()
        queued.reload()
        expect(waits).to_be_visible()
        let_go(served, "slow")
        for each in (page, queued):
            ended(each)
            expect(answers(each)).to_contain_text("4 tokens")
            expect(answers(each)).to_have_count(1)


def test_texts_are_compared_and_documents_sorted(
    browser: Browser, served: Gateway, tmp_path: Path
) -> None:
    with visit(browser, served.url) as page:
        page.goto("/playground/")
        page.get_by_role("tab", name="Embeddings", exact=True).click()
        page.get_by_role("textbox", name="Texts, one a line", exact=True).fill("One\nTwo\nOne")
        page.get_by_role("button", name="Compare", exact=True).click()
        expect(page.get_by_role("status").get_by_text("Loading embed@512")).to_be_visible()
        let_go(served, "embed")
        table = page.get_by_role("region", name="Likeness of the texts", exact=True)
        expect(table.get_by_role("row").nth(1).get_by_role("cell").last).to_have_text("1.000")
        assert all_faults(page, "playground-embeddings") == []
        assert len(json.loads(run_as_shown(page, tmp_path))["data"]) == 3
        vectors = ast.literal_eval(run_by_python(page, tmp_path))
        page.get_by_role("tab", name="Reranking", exact=True).click()
        page.get_by_role("button", name="Sort", exact=True).click()
        ranks = page.get_by_role("list", name="Documents, the best first", exact=True)
        expect(ranks.get_by_role("listitem")).to_have_count(3)
        assert all_faults(page, "playground-rerank", "main") == []
        assert len(json.loads(run_as_shown(page, tmp_path))["results"]) == 3
        results = ast.literal_eval(run_by_python(page, tmp_path))
        assert [len(each) for each in vectors] == [3, 3, 3]
        assert {each["index"] for each in results} == {0, 1, 2}
        page.get_by_role("tab", name="Transcription", exact=True).click()
        sound = FilePayload(name="a.txt", mimeType="text/plain", buffer=b"no sound")
        page.get_by_label("Sound or video").set_input_files(sound)
        expect(page.get_by_role("alert")).to_contain_text("cannot read this sound")
        assert all_faults(page, "playground-transcription", "main") == []
