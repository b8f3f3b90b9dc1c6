"""server/admin/show_pulls.py: the progress of a download for a terminal."""

from __future__ import annotations

import pytest

from models.downloads.progress import Progress
from server.admin.show_pulls import bar, line

GIB = 1 << 30


def half() -> Progress:
    progress = Progress(total=4 * GIB)
    progress.fetched(0.0, GIB)
    progress.fetched(10.0, 2 * GIB)
    return progress


def test_the_progress_in_words() -> None:
    assert line(Progress()) == "asking the hub"
    assert line(half()) == "50 % of 4 GiB, 102 MiB/s, 20 s left"
    started = Progress(total=4 * GIB)
    assert line(started) == "0 % of 4 GiB"
    started.there(GIB)
    started.verifying = True
    assert line(started) == "25 % of 4 GiB, reading what is there"
    started.verifying = False
    started.there(4 * GIB)
    assert line(started) == "4 GiB, all there and verified"


def test_a_bar_fills_the_line_and_no_more() -> None:
    said = bar("org/repo:Q4_K_M", half(), 79, 0.0)
    assert said == "org/repo:Q4_K_M  [############............] 50 % of 4 GiB, 102 MiB/s, 20 s left"
    assert "[" not in bar("org/repo:Q4_K_M", half(), 60, 0.0)
    assert len(bar("org/repo:Q4_K_M", half(), 300, 0.0)) < 110


@pytest.mark.parametrize("width", [0, 1, 10, 80])
@pytest.mark.parametrize("progress", [Progress(), half()])
def test_a_line_is_never_longer_than_the_terminal(width: int, progress: Progress) -> None:
    assert len(bar("org/repo", progress, width, 1.3)) <= width
