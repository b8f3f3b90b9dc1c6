"""Which sessions make texts of speech that goes on."""

from __future__ import annotations

from server.voice.choice import hears_ahead


def test_no_text_is_made_that_an_account_pays_unless_it_is_asked_for() -> None:
    assert hears_ahead(None, None)
    assert not hears_ahead(None, 7)
    assert hears_ahead(True, 7)
    assert not hears_ahead(False, None)
