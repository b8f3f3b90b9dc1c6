"""server/records/capture_files.py: captures on disk, within a budget."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from server.records.capture_files import CaptureFiles, name_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BODY = 1000
ROOM_FOR_TWO = 2500


def put(files: CaptureFiles, folder: Path, number: int, size: int = BODY) -> None:
    def make() -> dict[str, Any]:
        return {"id": f"r-{number}", "at": 1e9 + number, "body": "x" * size}

    files.put(str(folder), ROOM_FOR_TWO, make)


def kept(folder: Path) -> list[str]:
    return [json.loads(path.read_bytes())["id"] for path in sorted(folder.glob("2*.json"))]


def test_the_latest_are_kept_within_the_budget_over_restarts(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    for run in range(2):
        files = CaptureFiles()
        for number in range(3):
            put(files, folder, 3 * run + number)
        # One that is larger than all the room is not written.
        put(files, folder, 9, size=ROOM_FOR_TWO)
        files.finish()
        (folder / "notes.json").write_text("not ours")
    assert kept(folder) == ["r-4", "r-5"]
    assert (folder / "notes.json").exists()
    assert {path.stat().st_mode & 0o777 for path in folder.glob("2*.json")} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_they_are_removed_with_those_of_earlier_runs_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    files = CaptureFiles()
    assert files.clear(str(folder)).result() == (0, 0)
    put(files, folder, 1)
    files.finish()
    files = CaptureFiles()
    others = ["notes.json", "20010909T014640-500000Z-r-1.txt"]
    for name in others:
        (folder / name).write_text("not ours")
    (folder / "20010909T014640-500000Z-r-7.42.part").write_text("half")
    # It cannot be removed as a file.
    (folder / "20010909T014640-500000Z-r-8.json").mkdir()
    put(files, folder, 2)
    assert files.clear(str(folder)).result() == (3, 1)
    (folder / "20010909T014640-500000Z-r-8.json").rmdir()
    assert sorted(each.name for each in folder.iterdir()) == sorted(others)
    put(files, folder, 3)
    files.finish()
    assert kept(folder) == ["r-3"]


def test_a_fault_of_the_disk_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "captures"
    folder.write_text("a file is in the way")
    files = CaptureFiles()
    for number in range(3):
        put(files, folder, number)
    files.finish()
    assert [each.getMessage() for each in caplog.records] == [
        "captures are not written to disk: File exists"
    ]
    folder.unlink()
    put(files, folder, 4)
    files.finish()
    assert kept(folder) == ["r-4"]


def test_names_are_in_the_order_of_time() -> None:
    names = [name_of(at, "r-1") for at in (9.999999, 10.0, 1e9, 1e9 + 0.5)]
    assert names == sorted(names)
    assert names[-1] == "20010909T014640-500000Z-r-1.json"
