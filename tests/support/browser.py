"""A browser that looks at the gateway's pages, and at what goes wrong in them.

``CHROMIUM`` names the browser. Without it, one on PATH is taken: the one made for no screen, which
computes less, if it is there. Where ``SCREENSHOTS`` names a folder, pictures of the pages are kept
there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserType, Page, ViewportSize

Microphone = Literal["allowed", "denied"]
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
_WITHOUT_SCREEN = os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell") or CHROMIUM
# The browser without a screen has nobody to ask; it obeys what stands here instead.
_ASKED = {
    "allowed": "--use-fake-ui-for-media-stream",
    "denied": "--use-fake-ui-for-media-stream=deny",
}
# What a modal dialog is, for ``faults``: nobody can use what is behind it.
DIALOG = "dialog[open]"
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
SCREENSHOTS = os.environ.get("SCREENSHOTS")
# Milliseconds.
_PATIENCE = 60_000
expect.set_options(timeout=_PATIENCE)
_AXE = Axe()
_SIDEWAYS = """() => [...document.querySelectorAll('html, .messages, dialog')].some(
  (each) => each.scrollWidth > each.clientWidth)"""
# What is wider than the card that holds it; a box that scrolls may be.
_OUTSIDE = """() => [...document.querySelectorAll('.card :is(input, select, textarea, button)')]
  .filter((each) => !each.closest('.scroll, .code, .table, [hidden]') && each.offsetParent
    && each.getBoundingClientRect().right > each.closest('.card').getBoundingClientRect().right)
  .map((each) => each.outerHTML)"""
# Colours between two states are those of neither. What never ends is not waited for.
_AT_REST = """() => Promise.all(document.getAnimations()
  .filter((each) => each.effect.getComputedTiming().endTime !== Infinity)
  .map((each) => each.finished.catch(() => {})))"""
# The page has heard of its new theme and width, and drawn itself anew.
_DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# Themes and widths in which a page is looked at; the first two show each of both.
_LOOKS: list[tuple[Literal["light", "dark"], str, ViewportSize]] = [
    ("light", "wide", {"width": 1280, "height": 860}),
    ("dark", "narrow", {"width": 360, "height": 740}),
    ("dark", "wide", {"width": 1280, "height": 860}),
    ("light", "narrow", {"width": 360, "height": 740}),
]
# WCAG 2.2 AA and what axe calls best practice.
_RULES = {"resultTypes": ["violations"]}
# What axe finds, as lines; of all that it tells, which takes a while to hand over.
_VIOLATIONS = """async ([within, rules]) => {
  const { violations } = await axe.run(within ?? document, rules);
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`));
}"""


@contextlib.contextmanager
def chromium(*args: str, microphone: Microphone | None = None) -> Iterator[Browser]:
    """Inside the block Chromium runs, without a window, with these further arguments.

    Only with ``microphone`` has it one, which pages may hear, or not. It beeps unless the arguments
    name a file for it.
    """
    with (
        sync_playwright() as playwright,
        _launched(playwright.chromium, *args, microphone=microphone) as browser,
    ):
        yield browser


@contextlib.contextmanager
def beside(browser: Browser, microphone: Microphone) -> Iterator[Browser]:
    """Inside the block another Chromium runs, which has a microphone that beeps."""
    with _launched(browser.browser_type, microphone=microphone) as other:
        yield other


@contextlib.contextmanager
def _launched(kind: BrowserType, *args: str, microphone: Microphone | None) -> Iterator[Browser]:
    # Without a process for graphics, which would compute them all the same.
    own = ["--disable-gpu"]
    if os.geteuid() == 0:
        # The sandbox needs rights that a container's root has not.
        own.append("--no-sandbox")
    if microphone is not None:
        own += ["--use-fake-device-for-media-stream", _ASKED[microphone]]
    browser = kind.launch(executable_path=_WITHOUT_SCREEN, args=[*own, *args])
    yield browser
    browser.close()


@contextlib.contextmanager
def visit(
    browser: Browser, url: str, *, expected: str | None = None, **options: Any
) -> Iterator[Page]:
    """Inside the block a new visitor has a page; ``options`` are those of the visitor's browser.

    Nothing moves, so that axe sees no colour half-way to another.

    At the end: none of the visitor's pages wrote to the console (where the browser reports what the
    policy of a page forbids, too) but lines with ``expected``, and none asked another server.
    """
    usual: dict[str, Any] = {"locale": "en-US", "reduced_motion": "reduce"}
    context = browser.new_context(base_url=url, **{**usual, **options})
    context.set_default_timeout(_PATIENCE)
    wrong: list[str] = []
    context.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on(
        "request",
        lambda request: (
            None if request.url.startswith((url, "blob:", "data:")) else wrong.append(request.url)
        ),
    )
    yield context.new_page()
    context.close()
    wrong = [each for each in wrong if expected is None or expected not in each]
    assert not wrong, "\n".join(wrong)


def faults(page: Page, within: str | None = None) -> list[str]:
    """Return what keeps people from using the page as it is now: axe's rules, and its width.

    ``within`` is a selector of the part that axe looks at, which is quicker.
    """
    page.evaluate(_AT_REST)
    # It is half a megabyte: a page that has it keeps it.
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE.axe_script)
    found: list[str] = page.evaluate(_VIOLATIONS, [within, _RULES])
    if page.evaluate(_SIDEWAYS):
        found.append("it scrolls sideways")
    return found + [f"it leaves its card: {each}" for each in page.evaluate(_OUTSIDE)]


def all_faults(page: Page, name: str, within: str | None = None) -> list[str]:
    """Return the faults of the page as it is now in both themes and both widths.

    The page keeps its size and the system's theme. ``name`` is that of its pictures.
    """
    found = []
    before = page.viewport_size
    for count, (theme, width, size) in enumerate(_LOOKS):
        if count >= 2 and SCREENSHOTS is None:
            break
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size(size)
        page.evaluate(_DRAWN)
        found += [f"{name}, {theme}, {width}: {each}" for each in faults(page, within)]
        if SCREENSHOTS is not None:
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{theme}-{width}.png")
    _as_before(page, before)
    return found


def pictured(page: Page, name: str, milliseconds: float = 0) -> None:
    """Keep a picture of the page in light and wide, so long from now, if pictures are kept."""
    if SCREENSHOTS is None:
        return
    page.wait_for_timeout(milliseconds)
    before = page.viewport_size
    theme, width, size = _LOOKS[0]
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size(size)
    page.evaluate(_DRAWN)
    page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{theme}-{width}.png")
    _as_before(page, before)


def _as_before(page: Page, size: ViewportSize | None) -> None:
    page.emulate_media(color_scheme="null")
    if size is not None:
        page.set_viewport_size(size)
    page.evaluate(_DRAWN)
