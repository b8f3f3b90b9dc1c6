"""The pages that hear and speak, in Chromium with a microphone that plays a file.

The engines are the embedded ones.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from browser import PHONE, all_faults, beside, chromium, visit
from cut_proxy import cut_proxy
from playground_steps import answers, ask, shown_code
from playwright.sync_api import expect
from real_engines import ENGINES, gateway, lua_config, lua_model
from recorded import RATE, recorded, silence
from speech import ESPEAK, share_weights, word_errors, words

from engine.sound.wav import wav_head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page
    from real_engines import Gateway

# By this name the page comes from another machine, for all that the browser knows.
ELSEWHERE = "gateway.test"
# How often the voice was heard, once it was.
HEARD = re.compile("[1-9]")
# The cheapest voice there is.
ROBOT = "espeak" if ESPEAK else "piper"
# What the recording says; words may be misheard.
TEXT = "Hey Jarvis! Turn on the light."
UNDERSTOOD = re.compile("jarvis|turn|light", re.IGNORECASE)
# Seconds of silence between two times that the microphone hears it, and how often it does.
PAUSE, TIMES = 3, 200
# Wait until the microphone has heard nothing for a while; if asked, for a sentence before.
HEAR = """async (sentence) => {
  const meter = document.querySelector('meter');
  const picture = () => new Promise(requestAnimationFrame);
  while (sentence && meter.value < 0.5) await picture();
  for (let since = performance.now(); performance.now() - since < 700;) {
    await picture();
    if (meter.value > 0.2) since = performance.now();
  }
}"""


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, tiny: Path, weights: Path
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("live")
    share_weights(weights, folder)
    # It would never end: what it says is long enough to be interrupted, on a slow machine too.
    chat = lua_model("chat", ENGINES["bundled"], (4096,), args=("-n", "160"), file=tiny)
    models = f"""{chat},
        {{ name = "hears", engine = presets.engines.whisper,
           variants = {{ {{ args = {{ "-t", "1" }} }} }} }},
        {{ name = "voice", engine = presets.engines.{ROBOT} }}"""
    settings = f'max_loaded_models = 3, hosts = {{ "{ELSEWHERE}" }},'
    with gateway(folder, lua_config(folder, models, settings)) as running:
        yield running


class Microphone:
    """What is heard by the page that opens the microphone next."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.hears(1)

    def hears(self, times: int) -> None:
        """Let it hear a sentence so many times, with pauses; then it is silent."""
        sound = times * (silence(1) + recorded() + silence(PAUSE))
        self.file.write_bytes(wav_head(RATE, len(sound)) + sound)


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Microphone:
    return Microphone(tmp_path_factory.mktemp("microphone") / "speech.wav")


@pytest.fixture(scope="module")
def browser(microphone: Microphone) -> Iterator[Browser]:
    """Chromium with the microphone."""
    with chromium(
        f"--use-file-for-fake-audio-capture={microphone.file}%noloop",
        f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
        microphone="allowed",
    ) as running:
        yield running


def begin(page: Page, mode: str = "Hands-free", wake: str | None = None) -> None:
    """Open the page, and begin a session."""
    page.goto("/live/")
    page.get_by_role("combobox", name="How you speak", exact=True).select_option(mode)
    if wake is not None:
        page.get_by_role("combobox", name="Wake word", exact=True).select_option("At the beginning")
        page.get_by_role("textbox", name="Wake words, between commas", exact=True).fill(wake)
    page.get_by_role("button", name="Start talking", exact=True).click()


def said(page: Page, who: str) -> Locator:
    """Return the captions of one side."""
    return page.locator(".line", has=page.get_by_text(who, exact=True)).locator("p")


def write(page: Page, text: str) -> None:
    """Say something in writing."""
    page.get_by_role("textbox", name="Write instead", exact=True).fill(text)
    page.keyboard.press("Enter")


def voice(page: Page) -> Locator:
    """Return what measures the voice; it counts the pictures in which it was heard."""
    return page.get_by_label("Voice", exact=True).and_(page.locator("meter"))


def test_a_conversation_by_voice(browser: Browser, served: Gateway, microphone: Microphone) -> None:
    with visit(browser, served.url) as page:
        # Once: what it hears next would interrupt an answer that a busy machine has not begun.
        microphone.hears(1)
        begin(page)
        expect(said(page, "You")).to_have_text(UNDERSTOOD)
        expect(said(page, "Model")).to_have_text(re.compile("[a-z]"))
        expect(voice(page)).to_have_attribute("data-heard", HEARD)
        for step in ("heard", "understood", "thought", "spoken", "total"):
            expect(page.locator(f"[data-step={step}]")).to_have_text(re.compile(r"^[\d,]+ ms$"))
        assert all_faults(page, "live-session") == []
        page.get_by_role("button", name="End", exact=True).click()
        start = page.get_by_role("button", name="Start talking", exact=True)
        expect(start).to_be_focused()
        assert all_faults(page, "live-over", ".main") == []
        expect(said(page, "You")).to_be_visible()
        # Again and again, but muted until it can interrupt an answer.
        microphone.hears(TIMES)
        start.click()
        mute = page.get_by_role("button", name="Mute", exact=True)
        mute.click()
        write(page, "Tell me a story")
        expect(voice(page)).to_have_attribute("data-heard", HEARD)
        mute.click()
        expect(page.locator(".line .pill").first).to_have_text("interrupted")


def test_push_to_talk_a_wake_word_and_a_key_that_interrupts(
    browser: Browser, served: Gateway, microphone: Microphone
) -> None:
    with visit(browser, served.url) as page:
        # Whoever comes too late for the first time has others.
        microphone.hears(TIMES)
        begin(page, "Push to talk", "computer")
        hold = page.get_by_role("button", name="Hold to talk", exact=True)
        expect(hold).to_be_visible()
        page.evaluate(HEAR, False)
        page.keyboard.down("Space")
        expect(page.get_by_role("button", name="Speak, then let go", exact=True)).to_be_visible()
        page.evaluate(HEAR, True)
        page.keyboard.up("Space")
        expect(said(page, "You")).to_have_text(UNDERSTOOD)
        expect(page.locator(".line .pill")).to_have_text("no wake word")
        hold.click()
        expect(page.get_by_role("alert")).to_contain_text("for as long as you speak")
        assert all_faults(page, "live-hold", ".main") == []
        write(page, "Computer, what is new?")
        expect(voice(page)).to_have_attribute("data-heard", HEARD)
        page.keyboard.press("Escape")
        expect(page.locator(".line .pill").last).to_have_text("interrupted")
        expect(voice(page)).to_have_js_property("value", 0)
        expect(page.get_by_role("button", name="Interrupt", exact=True)).to_be_disabled()


def test_a_browser_that_gives_no_microphone(browser: Browser, served: Gateway) -> None:
    elsewhere = served.url.replace("127.0.0.1", ELSEWHERE)
    phone = {"locale": "de-DE", "color_scheme": "dark", **PHONE}
    with visit(browser, elsewhere, expected="Cross-Origin-Opener-Policy", **phone) as page:
        page.goto("/live/")
        expect(page.get_by_text("Der Browser gibt dieser Seite kein Mikrofon")).to_be_visible()
        assert all_faults(page, "live-deaf") == []
        page.get_by_role("button", name="Gespräch beginnen", exact=True).click()
        page.get_by_role("textbox", name="Stattdessen schreiben", exact=True).fill("Hallo")
        page.keyboard.press("Enter")
        expect(said(page, "Sie")).to_have_text("Hallo")
        expect(page.locator("[data-heard]")).to_have_attribute("data-heard", HEARD)
        assert all_faults(page, "live-written", ".main") == []


def test_a_turn_goes_on_after_the_connection_was_lost_and_without_a_permission(
    browser: Browser, served: Gateway
) -> None:
    with (
        cut_proxy(served.url) as proxy,
        beside(browser, "denied") as deaf,
        visit(deaf, proxy.url, expected="net::ERR_") as page,
    ):
        begin(page, "Push to talk")
        expect(page.get_by_text("The browser was told not to let this page hear.")).to_be_visible()
        write(page, "Tell me a story")
        expect(voice(page)).to_have_attribute("data-heard", HEARD)
        before = said(page, "Model").inner_text()
        proxy.cut()
        expect(page.locator(".talk [role=status]").first).to_have_text("reconnects")
        proxy.mend()
        expect(page.locator(".talk [role=status]").first).not_to_have_text("reconnects")
        write(page, "Go on")
        expect(said(page, "You")).to_have_text(["Tell me a story", "Go on"])
        assert said(page, "Model").first.inner_text()
        expect(said(page, "Model")).to_have_count(2)
        assert before


def test_the_playground_hears_and_speaks(
    browser: Browser, served: Gateway, microphone: Microphone, tmp_path: Path
) -> None:
    file = tmp_path / "sound.wav"
    file.write_bytes(wav_head(RATE, len(recorded())) + recorded())
    with visit(browser, served.url) as page:
        page.goto("/playground/?model=chat")
        page.get_by_role("tab", name="Transcription", exact=True).click()
        write_down = page.get_by_role("button", name="Write it down", exact=True)
        text = page.locator(".heard p")
        page.get_by_label("Sound or video").set_input_files(file)
        write_down.click()
        assert word_errors(TEXT, text.inner_text()) <= 1
        assert all_faults(page, "playground-transcription") == []
        curl = shown_code(page)
        told = subprocess.check_output(["sh", "-c", curl], cwd=tmp_path, stderr=subprocess.PIPE)
        assert word_errors(TEXT, json.loads(told)["text"]) <= 1
        microphone.hears(1)
        page.get_by_role("button", name="Record", exact=True).click()
        # As long as the microphone hears something, or longer.
        expect(page.get_by_text(re.compile(r"recording, ([3-9]|\d\d) s"))).to_be_visible()
        page.get_by_role("button", name="End the recording", exact=True).click()
        expect(page.get_by_text("recording", exact=True)).to_be_visible()
        # What was written down before is gone with the click.
        with page.expect_response("**/v1/audio/transcriptions"):
            write_down.click()
        # A busy machine may lose pieces of what the microphone hears.
        assert word_errors(TEXT, text.inner_text()) <= len(words(TEXT)) // 2
        page.get_by_role("tab", name="Speech", exact=True).click()
        page.get_by_role("textbox", name="Text", exact=True).fill("Good morning.")
        page.get_by_role("combobox", name="Model", exact=True).select_option("voice")
        page.get_by_role("button", name="Speak", exact=True).click()
        spoken = page.get_by_label("The spoken text", exact=True)
        spoken.evaluate("(each) => each.play()")
        assert 0.3 < spoken.evaluate("(each) => each.duration") < 5
        assert all_faults(page, "playground-speech") == []
        subprocess.run(
            ["sh", "-c", shown_code(page)], cwd=tmp_path, check=True, capture_output=True
        )
        assert (tmp_path / "speech.wav").read_bytes().startswith(b"RIFF")
        page.get_by_role("tab", name="Conversation", exact=True).click()
        ask(page, "Hello", tokens=6)
        answer = answers(page)
        with page.expect_response("**/v1/audio/speech") as read:
            answer.get_by_role("button", name="Read aloud", exact=True).click()
        assert read.value.ok
        # When it was said.
        expect(answer.get_by_role("button", name="Read aloud", exact=True)).to_be_visible()
