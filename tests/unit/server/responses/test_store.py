"""server/responses/store.py: what is stored comes back, also after a restart."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from server.responses.shelf import Limits
from server.responses.store import FOLDER, ResponseStore
from utils.config.settings import ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Limits(size=10_000, most=100, age=100.0)
KEY, OTHER = "resp_" + "a" * 48, "resp_" + "b" * 48
DOCUMENT = {"said": "größe\n"}


@pytest.fixture(params=["memory", "disk"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "kept" if request.param == "disk" else None


async def test_a_document_comes_back_to_its_owner_alone(folder: Path | None) -> None:
    store = ResponseStore(LIMITS, folder)
    assert await store.put(KEY, "me", DOCUMENT, ("msg_1",))
    assert await store.get(KEY, "me") == DOCUMENT
    assert await store.get(KEY, "you") is None
    assert await store.holder("msg_1", "me") == DOCUMENT
    assert await store.holder("msg_1", "you") is None
    assert not await store.remove(KEY, "you")
    assert await store.put(KEY, "me", {"said": "more"})
    assert await store.get(KEY, "me") == {"said": "more"}
    assert await store.remove(KEY, "me")
    assert not await store.remove(KEY, "me")
    assert await store.get(KEY, "me") is None


async def test_limits_hold(folder: Path | None) -> None:
    store = ResponseStore(LIMITS._replace(most=1), folder)
    await store.put(KEY, "me", DOCUMENT)
    await store.put(OTHER, "me", DOCUMENT)
    assert await store.get(KEY, "me") is None
    assert await store.get(OTHER, "me") == DOCUMENT
    assert not await store.put(OTHER, "me", {"said": "x" * 20_000})
    assert await store.get(OTHER, "me") is None


async def test_files_outlive_the_gateway(tmp_path: Path) -> None:
    await ResponseStore(LIMITS, tmp_path).put(KEY, "me", DOCUMENT, ("msg_1",))
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = ResponseStore(LIMITS, tmp_path)
    assert await again.get(KEY, "you") is None
    assert await again.holder("msg_1", "me") == DOCUMENT
    await ResponseStore(LIMITS._replace(most=0), tmp_path).get(KEY, "me")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"{}\n{}", b'{"owner": "me", "items": []}\n{', b"\xff"])
async def test_a_damaged_file_is_set_aside(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"{KEY}.json"
    path.write_bytes(damage)
    store = ResponseStore(LIMITS, tmp_path)
    assert await store.get(KEY, "me") is None
    assert [each.suffix for each in tmp_path.iterdir()] == [".damaged"]
    assert "damaged" in caplog.text
    await store.put(KEY, "me", DOCUMENT)
    assert await store.get(KEY, "me") == DOCUMENT


async def test_leavings_and_foreign_files_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / f"{KEY}.1.part").write_bytes(b"half")
    (tmp_path / "notes.json").write_bytes(b"mine")
    store = ResponseStore(LIMITS, tmp_path)
    assert await store.get("notes", "me") is None
    assert [each.name for each in tmp_path.iterdir()] == ["notes.json"]


async def test_a_file_that_is_gone_is_not_stored(tmp_path: Path) -> None:
    store = ResponseStore(LIMITS, tmp_path)
    await store.put(KEY, "me", DOCUMENT)
    (tmp_path / f"{KEY}.json").unlink()
    assert await store.get(KEY, "me") is None


async def test_a_disk_that_cannot_be_written_stores_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kept").write_bytes(b"a file in the way")
    store = ResponseStore(LIMITS, tmp_path / "kept")
    assert not await store.put(KEY, "me", DOCUMENT)
    assert await store.get(KEY, "me") is None
    assert "cannot be stored" in caplog.text


async def test_the_settings_choose_memory_or_disk(tmp_path: Path) -> None:
    settings = ServerSettings()
    await ResponseStore.of(settings, tmp_path).put(KEY, "me", DOCUMENT)
    assert not (tmp_path / FOLDER).exists()
    on_disk = ServerSettings(responses_on_disk=True)
    await ResponseStore.of(on_disk, tmp_path).put(KEY, "me", DOCUMENT)
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
