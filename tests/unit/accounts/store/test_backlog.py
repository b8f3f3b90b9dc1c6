"""accounts/store/backlog.py: rows outlive the gateway, and files do not grow."""

from __future__ import annotations

import resource
import stat
from typing import TYPE_CHECKING

from account_rows import hold, settlement

from accounts.store.backlog import Backlog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from accounts.store.backlog import Row


def opened(folder: Path) -> Backlog:
    backlog = Backlog(folder, "accounts")
    backlog.open()
    return backlog


def left_in(folder: Path) -> list[Row]:
    return Backlog(folder, "accounts").read()


def sizes(backlog: Backlog) -> list[int]:
    return [path.stat().st_size for path in backlog.paths]


def test_a_row_is_there_for_the_next_gateway(tmp_path: Path) -> None:
    backlog = opened(tmp_path)
    rows: list[Row] = [hold("r", 1, 500), settlement("r", 1, 70, key_name="kéy\n")]
    assert [backlog.add(row) for row in rows] == [0, 0]
    assert left_in(tmp_path) == rows
    assert {stat.S_IMODE(path.stat().st_mode) for path in backlog.paths} == {0o600}
    backlog.booked([0])
    assert backlog.close() == 1
    assert left_in(tmp_path) == rows, "booked by their ids, so more is no harm"
    again = opened(tmp_path)
    assert left_in(tmp_path) == []
    assert again.close() == 0
    assert not list(tmp_path.iterdir())


def test_files_take_turns_and_are_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.store.backlog._ENOUGH", 1000)
    backlog = opened(tmp_path)
    waiting: list[int] = []
    names = iter(range(1000))

    def add(count: int) -> Iterator[int]:
        for _ in range(count):
            place = backlog.add(settlement(f"r{next(names)}", 1))
            assert place is not None
            yield place

    # A database that is away: nothing is emptied.
    waiting += add(30)
    assert set(waiting) == {0, 1}
    assert len(left_in(tmp_path)) == 30
    # It is back, but always some rows behind.
    for _ in range(50):
        waiting += add(5)
        done, waiting = waiting[:-3], waiting[-3:]
        backlog.booked(done)
        assert len(left_in(tmp_path)) >= 3
    assert sum(sizes(backlog)) < 5000
    backlog.booked(waiting)
    backlog.rest()
    assert sizes(backlog) == [0, 0]
    assert backlog.close() == 0


def test_what_was_written_in_part_is_left_out(tmp_path: Path) -> None:
    """A machine lost power, or a file has rows that a later version wrote."""
    first, second = settlement("a", 1), settlement("b", 1)
    backlog = opened(tmp_path)
    backlog.add(first)
    path = backlog.paths[0]
    later = path.read_bytes().replace(b'"a"', b'"c"').replace(b"{", b'{"new":1,')
    torn = [b's{"request_id":"x', b"s[]", b"?", b"s{}"]
    path.write_bytes(b"\n".join([path.read_bytes().strip(), later.strip(), *torn]) + b"\n")
    backlog.add(second)
    ids = [row.request_id for row in left_in(tmp_path)]
    assert ids == ["a", "c", "b"]
    assert left_in(tmp_path)[0] == first


def test_a_full_disk_keeps_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    backlog = opened(tmp_path)
    backlog.add(settlement("a", 1))
    size = sizes(backlog)[0]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The next row fits in part: the system writes that part, and then refuses.
    for limit in (size + 100, size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            assert backlog.add(settlement("b", 1)) is None
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert sizes(backlog)[0] == size
    assert backlog.add(settlement("c", 1)) == 0
    assert [row.request_id for row in left_in(tmp_path)] == ["a", "c"]


def test_without_files_nothing_is_kept(tmp_path: Path) -> None:
    assert Backlog(tmp_path, "accounts").add(settlement("a", 1)) is None
    assert left_in(tmp_path) == []
