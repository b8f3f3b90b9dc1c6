"""What people do in the playground, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def ask(page: Page, text: str, tokens: int = 8) -> None:
    """Send a message in the playground, and wait until its answer has ended."""
    limit(page, tokens)
    page.get_by_label("Write a message").fill(text)
    page.keyboard.press("Enter")
    ended(page)


def limit(page: Page, tokens: int) -> None:
    """Set how many tokens an answer may have."""
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("Most tokens").fill(str(tokens))
    page.keyboard.press("Escape")


def shown_code(page: Page, language: str = "curl") -> str:
    """Return the program in this language that the page shows."""
    page.get_by_role("button", name="As code", exact=True).locator("visible=true").click()
    shown = page.get_by_role("dialog", name="As code", exact=True)
    shown.get_by_role("tab", name=language, exact=True).click()
    text = shown.get_by_role("tabpanel").locator("code").inner_text()
    page.keyboard.press("Escape")
    return text


def ended(page: Page) -> None:
    """Wait until no answer is under way."""
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


def answers(page: Page | Locator) -> Locator:
    """Return the answers that are shown."""
    return page.get_by_role("article", name="Answer", exact=True)
