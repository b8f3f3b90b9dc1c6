"""The table of clients in the documents is the one that the zoo of clients is held to."""

from __future__ import annotations

from paths import ROOT

from tests.system.zoo.table import CHECKS, CLIENTS, DOCUMENT, document, faults

CLIENT = CLIENTS[0]


def test_the_document_is_the_table() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document()


def test_a_client_has_one_row_for_each_api() -> None:
    keys = [client.key for client in CLIENTS]
    assert len(keys) == len(set(keys))
    scripts = ROOT / "tests" / "system" / "zoo"
    for client in CLIENTS:
        assert {*client.lacks} <= {*CHECKS}
        found = list(scripts.glob(f"*/{client.script}.*"))
        assert found, client.script


def test_what_differs_from_the_table_is_a_fault() -> None:
    fine = dict.fromkeys(CHECKS, "")
    assert faults(CLIENT, fine) == []
    assert faults(CLIENT, fine | {"tools": "it broke"}) == ["tools: it broke"]
    [missing] = faults(CLIENT, {check: "" for check in CHECKS if check != "cancel"})
    assert missing.startswith("cancel: it was not run")
    lacking = next(client for client in CLIENTS if client.lacks)
    assert len(faults(lacking, fine)) == len(lacking.lacks)
