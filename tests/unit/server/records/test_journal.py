"""server/records/journal.py: a bounded list that outlives the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.records.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path


def numbers(journal: Journal) -> list[int]:
    return [entry["n"] for entry in journal]


def again(path: Path, room: int = 4) -> Journal:
    journal = Journal(path, room)
    journal.load()
    return journal


def test_the_newest_entries_are_kept_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.jsonl"
    for run in range(6):
        journal = again(path)
        for number in range(3):
            journal.add({"n": run * 3 + number})
        journal.save()
        last = run * 3 + 2
        assert numbers(again(path)) == [*range(max(0, last - 3), last + 1)]
        # The file is bounded, too.
        assert len(path.read_bytes().splitlines()) <= 8
    assert path.stat().st_mode & 0o077 == 0
    assert [entry["n"] for entry in reversed(again(path))] == [17, 16, 15, 14]


def test_lines_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n":1}\n\xff\n[]\n{"n":2}\n{"n":')
    journal = again(path, 9)
    assert numbers(journal) == [1, 2]
    assert len(journal) == 2
    journal.add({"n": 3})
    journal.save()
    assert numbers(again(path, 9)) == [1, 2, 3]


def test_what_could_not_be_written_waits(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.write_text("a file where the folder should be")
    journal = Journal(folder / "a.jsonl", 4)
    journal.add({"n": 1})
    for _ in range(2):
        try:
            journal.save()
        except OSError:
            continue
        raise AssertionError("it was written")
    folder.unlink()
    journal.add({"n": 2})
    journal.save()
    journal.save()
    assert numbers(again(folder / "a.jsonl")) == [1, 2]


def test_without_a_file_it_is_kept_in_memory() -> None:
    journal = Journal(None, 2)
    journal.load()
    for number in range(3):
        journal.add({"n": number})
    journal.save()
    assert numbers(journal) == [1, 2]


def test_of_many_entries_those_that_were_not_saved_are_written_once(tmp_path: Path) -> None:
    path, room = tmp_path / "a.jsonl", 200
    journal = again(path, room)
    expected: list[int] = []
    for count in (1, 63, 64, 65, 150, 300, 0, 7):
        for _ in range(count):
            journal.add({"n": len(expected)})
            expected.append(len(expected))
        journal.save()
        assert numbers(journal) == expected[-room:]
        assert numbers(again(path, room)) == expected[-room:]
        assert [entry["n"] for entry in reversed(journal)] == expected[-room:][::-1]
        assert len(journal) == len(expected[-room:])
