"""server/admin/copy_store.py: copies outlive the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import model

from models.catalog import Catalog
from server.admin.copy_store import FILE, CopyStore
from utils.errors import BadRequest, StorageFull

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = Catalog([model(name="a"), model(name="b")])


async def test_copies_are_kept_and_told(tmp_path: Path) -> None:
    store, told = CopyStore(tmp_path / "state"), []
    store.changed = lambda: told.append(dict(store.known))
    await store.add(CATALOG, "a", "twin:latest")
    await store.add(CATALOG, "b", "twin")
    await store.add(CATALOG, "a", "a:latest")
    # Another gateway has the same folder.
    other = CopyStore(tmp_path / "state")
    assert other.has(CATALOG, "twin:latest")
    await other.add(CATALOG, "a", "more")
    await store.remove("twin:latest")
    assert told == [{"twin": "a"}, {"twin": "b"}, {"more": "a"}]
    assert CopyStore(tmp_path / "state").known == {"more": "a"}


async def test_nothing_changes_that_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, no folder")
    store = CopyStore(tmp_path / "state")
    with pytest.raises(StorageFull, match="cannot be written"):
        await store.add(CATALOG, "a", "twin")
    with pytest.raises(BadRequest, match="taken"):
        await store.add(CATALOG, "a", "b")
    assert store.known == {}


@pytest.mark.parametrize("spoilt", ["", "[]", '{"a": 5}', "{"])
def test_a_spoilt_file_is_ignored(
    tmp_path: Path, spoilt: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_text(spoilt)
    assert CopyStore(tmp_path).known == {}
    assert "ignored the unreadable file" in caplog.text
