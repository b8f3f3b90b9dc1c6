"""engine/llamacpp/slot_actions.py: who may save and restore slots."""

from __future__ import annotations

import pytest
from builders import variant

from engine.llamacpp.slot_actions import refusal


@pytest.mark.parametrize(
    ("method", "path", "refused"),
    [
        ("POST", "/slots/0?action=save", True),
        ("POST", "/slots/0?action=restore", True),
        ("POST", "/slots/0?x=1&action=save", True),
        ("POST", "/%73lots/%30?action=save", True),
        ("POST", "/prefix/slots/0?action=save", True),
        # The action may stand in a form.
        ("POST", "/slots/0", True),
        ("POST", "/slots/0?action=erase&action=save", True),
        ("POST", "/slots/0?action=erase", False),
        ("GET", "/slots", False),
        ("GET", "/slots/0?action=save", False),
        ("POST", "/lora-adapters", False),
        ("POST", "/v1/chat/completions", False),
    ],
)
def test_actions(method: str, path: str, refused: bool) -> None:
    for args in ((), ("-c", "512", "-m", "m.gguf")):
        why = refusal(variant(args=args), method, path)
        assert (why is not None) == refused
        assert why is None or "--slot-save-path in the variant's args" in why


@pytest.mark.parametrize(
    "args", [("--slot-save-path", "/mine"), ("-c", "1", "--slot-save-path=/mine")]
)
def test_a_folder_of_ones_own(args: tuple[str, ...]) -> None:
    assert refusal(variant(args=args), "POST", "/slots/0?action=save") is None
