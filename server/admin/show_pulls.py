"""Write the progress of a download as text for a terminal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.admin.show import size_text, time_text

if TYPE_CHECKING:
    from models.downloads.progress import Progress

_LEAST_BAR, _LONGEST_BAR = 8, 40
_TURNING = "|/-\\"


def line(progress: Progress) -> str:
    """Return the progress as words: how much of how much, how fast, and how long still."""
    if not progress.total:
        return "asking the hub"
    amount = f"{progress.percent} % of {size_text(progress.total)}"
    if progress.verifying:
        return f"{amount}, reading what is there"
    if progress.done >= progress.total:
        return f"{size_text(progress.total)}, all there and verified"
    rate = f", {size_text(progress.rate)}/s" if progress.rate else ""
    left = f", {time_text(progress.left)} left" if progress.left is not None else ""
    return f"{amount}{rate}{left}"


def bar(name: str, progress: Progress, width: int, since: float) -> str:
    """Return a line of at most ``width`` columns with a bar; ``since`` are seconds."""
    said = line(progress)
    room = min(_LONGEST_BAR, width - len(name) - len(said) - 5)
    if not progress.total:
        text = f"{name}  {_TURNING[int(since * 4) % len(_TURNING)]} {said}"
    elif room < _LEAST_BAR:
        text = f"{name}  {said}"
    else:
        full = room * progress.done // progress.total
        text = f"{name}  [{'#' * full}{'.' * (room - full)}] {said}"
    return text[: max(0, width)]
