"""engine/resources/learnt_store.py: what was learnt outlives the gateway, and nothing else does."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest
from builders import TYPES, variant

from engine.resources import learnt_store as learnt
from engine.resources.learnt_store import FILE, LOADS, LearntNeeds, LoadTimes

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = variant(args=("-c", "512")), variant(8192)


def kept(folder: Path) -> dict[str, dict[str, int]]:
    entries: dict[str, dict[str, int]] = json.loads((folder / FILE).read_bytes())["variants"]
    return entries


def test_peaks_are_kept_for_the_next_gateway(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    known = LearntNeeds(folder, {})
    key = known.key(ONE)
    assert known.of(key) == {}
    known.learn(key, {"ram": 500, "gpu0": 900})
    known.learn(key, {"ram": 700, "gpu0": 100})
    assert known.of(key) == {"ram": 700, "gpu0": 900}
    again = LearntNeeds(folder, {})
    assert again.of(again.key(ONE)) == {"ram": 700, "gpu0": 900}
    assert again.of(again.key(OTHER)) == {}
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert [file.name for file in folder.iterdir()] == [FILE]


def test_without_a_folder_it_is_known_for_this_run() -> None:
    known = LearntNeeds(None, {})
    known.learn("k", {"ram": 5})
    assert known.of("k") == {"ram": 5}


def test_a_hair_more_is_not_worth_a_write(tmp_path: Path) -> None:
    known = LearntNeeds(tmp_path, {})
    known.learn("k", {"ram": 1000})
    known.learn("k", {"ram": 1005})
    assert kept(tmp_path) == {"k": {"ram": 1000}}
    known.learn("k", {"ram": 1100})
    assert kept(tmp_path) == {"k": {"ram": 1100}}


def test_a_changed_definition_forgets(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"x")
    known = LearntNeeds(None, {}, TYPES)
    spec = variant(args=("-m", str(model)))
    before = known.key(spec)
    assert known.key(spec) == before
    model.write_bytes(b"longer")
    assert known.key(spec) != before
    by_env = variant(env={"LLAMA_ARG_MODEL": str(model)})
    before = known.key(by_env)
    os.utime(model, (1, 1))
    assert known.key(by_env) != before
    assert known.key(variant(args=("-m", "no/such\0file")))


def test_only_variables_that_an_engine_looks_at_make_a_difference() -> None:
    plain = LearntNeeds(None, {"HOME": "/a"}, TYPES).key(ONE)
    assert LearntNeeds(None, {"HOME": "/b"}, TYPES).key(ONE) == plain
    for name in ("LLAMA_ARG_N_GPU_LAYERS", "CUDA_VISIBLE_DEVICES"):
        assert LearntNeeds(None, {name: "1"}, TYPES).key(ONE) != plain


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"variants": 3}',
        b'{"variants": {"k": {"ram": "7"}}}',
        b'{"variants": {"k": {"ram": -7}}}',
        b'{"variants": {"k": {"ram": true}}}',
    ],
)
def test_a_damaged_file_is_ignored_and_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    (tmp_path / FILE).write_bytes(damage)
    known = LearntNeeds(tmp_path, {})
    assert "ignored the unreadable file" in caplog.text
    assert known.of("k") == {}
    known.learn("k", {"ram": 8})
    assert kept(tmp_path) == {"k": {"ram": 8}}


def test_a_file_too_large_is_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entries = {"variants": {f"{n:0100}": {"ram": n} for n in range(12_000)}}
    (tmp_path / FILE).write_text(json.dumps(entries))
    assert LearntNeeds(tmp_path, {}).of(f"{7:0100}") == {}
    assert "ignored" in caplog.text


def test_the_oldest_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learnt, "MOST", 3)
    known = LearntNeeds(tmp_path, {})
    for name in "abc":
        known.learn(name, {"ram": 100})
    known.learn("a", {"ram": 100})
    known.learn("d", {"ram": 100})
    assert list(kept(tmp_path)) == ["c", "a", "d"]
    assert known.of("b") == {}


def test_two_gateways_may_share_a_folder(tmp_path: Path) -> None:
    one, other = LearntNeeds(tmp_path, {}), LearntNeeds(tmp_path, {})
    one.learn("a", {"ram": 1})
    other.learn("b", {"ram": 2})
    one.learn("a", {"ram": 3})
    assert kept(tmp_path) == {"b": {"ram": 2}, "a": {"ram": 3}}


def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    known = LearntNeeds(tmp_path / "file", {})
    known.learn("k", {"ram": 8})
    assert known.of("k") == {"ram": 8}
    assert "cannot be written" in caplog.text


def test_load_times_outlive_the_gateway(tmp_path: Path) -> None:
    loads = LoadTimes(tmp_path, {})
    assert loads.seconds(ONE) == 0.0
    loads.learn(ONE, 2.5)
    loads.learn(ONE, 8.0, "cold")
    loads.learn(OTHER, 0.0)
    again = LoadTimes(tmp_path, {})
    assert (again.seconds(ONE), again.times(ONE, "cold")) == (8.0, [8.0])
    assert again.times(ONE, "warm") == []
    assert again.seconds(OTHER) == 0.001


def test_the_last_times_of_a_kind_are_kept(tmp_path: Path) -> None:
    loads = LoadTimes(tmp_path, {})
    for seconds in range(1, 9):
        loads.learn(ONE, seconds, "cold")
        loads.learn(ONE, 10 * seconds, "warm")
    for each in (loads, LoadTimes(tmp_path, {})):
        assert each.times(ONE, "cold") == [4, 5, 6, 7, 8]
        assert each.times(ONE, "warm") == [40, 50, 60, 70, 80]
        assert each.seconds(ONE) == 80


@pytest.mark.parametrize("damage", ["[]", "7", '["7"]', "[-7]", "[true]", "null"])
def test_damaged_load_times_are_ignored_and_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    (tmp_path / LOADS).write_text(f'{{"variants": {{"k": {{"": {damage}}}}}}}')
    loads = LoadTimes(tmp_path, {})
    assert "ignored the unreadable file" in caplog.text
    loads.learn(ONE, 2.0, "cold")
    assert LoadTimes(tmp_path, {}).times(ONE, "cold") == [2.0]


def test_a_load_that_took_as_long_is_not_worth_a_write(tmp_path: Path) -> None:
    loads = LoadTimes(tmp_path, {})
    loads.learn(ONE, 10.0)
    (tmp_path / LOADS).unlink()
    loads.learn(ONE, 10.5)
    assert not (tmp_path / LOADS).exists()
    assert loads.seconds(ONE) == 10.5
