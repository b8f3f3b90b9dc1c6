"""server/records/samples.py: short samples become longer ones."""

from __future__ import annotations

import pytest

from server.records.journal import Journal
from server.records.samples import RINGS, Sample, Samples, merged, step_for
from utils.errors import BadRequest

# A whole hour.
BEGIN = 1_795_000_000 // 3600 * 3600


def rings() -> list[Journal]:
    return [Journal(None, ring.room) for ring in RINGS]


def sample(at: int, requests: int = 1) -> Sample:
    return {"at": at, "requests": requests, "waiting": at % 60 / 10, "most_waiting": at % 60}


def test_each_number_is_merged_by_its_kind() -> None:
    found = merged(BEGIN, [sample(BEGIN + 10), sample(BEGIN + 30, 3), {"at": 0, "gpu0_used": 5.0}])
    assert found == {
        "at": BEGIN,
        "requests": 4,
        "waiting": 2.0,
        "most_waiting": 30,
        "gpu0_used": 5.0,
    }


def test_minutes_and_hours_are_made_of_what_came_before() -> None:
    samples = Samples(rings())
    for at in range(BEGIN, BEGIN + 2 * 3600 + 70, 10):
        samples.add(sample(at))
    end = BEGIN + 3 * 3600
    assert [p["at"] for p in samples.points(BEGIN, end, 3600)] == [
        BEGIN,
        BEGIN + 3600,
        BEGIN + 7200,
    ]
    # The last one is under way: of its minutes one has ended.
    assert [p["requests"] for p in samples.points(BEGIN, end, 3600)] == [360, 360, 6]
    assert [p["requests"] for p in samples.points(BEGIN, BEGIN + 120, 60)] == [6, 6]
    assert samples.points(BEGIN + 7260, end, 60) == [sample(BEGIN + 7260)]
    assert len(samples.points(BEGIN, end, 10)) == 360


def test_time_without_samples_has_none() -> None:
    samples = Samples(rings())
    for at in (BEGIN, BEGIN + 10, BEGIN + 600):
        samples.add(sample(at))
    assert [(p["at"] - BEGIN, p["requests"]) for p in samples.points(BEGIN, BEGIN + 3600, 60)] == [
        (0, 2),
        (600, 1),
    ]


def test_a_restart_goes_on_with_the_sample_under_way() -> None:
    journals = rings()
    before = Samples(journals)
    for at in range(BEGIN, BEGIN + 90, 10):
        before.add(sample(at))
    after = Samples(journals)
    after.resume()
    for at in range(BEGIN + 90, BEGIN + 130, 10):
        after.add(sample(at))
    assert [p["requests"] for p in after.points(BEGIN, BEGIN + 120, 60)] == [6, 6]
    assert [p["requests"] for p in after.points(BEGIN, BEGIN + 3600, 3600)] == [12]


def test_the_step_follows_the_time() -> None:
    assert [step_for(each) for each in (60, 3600.1, 3700, 86_400, 7 * 86_400, 90 * 86_400)] == [
        *(10, 10, 60, 60, 3600, 3600),
    ]


def test_too_many_points_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.records.samples._POINTS", 1)
    samples = Samples(rings())
    for at in (BEGIN, BEGIN + 10):
        samples.add(sample(at))
    with pytest.raises(BadRequest, match="more than 1 samples"):
        samples.points(BEGIN, BEGIN + 60, 10)
