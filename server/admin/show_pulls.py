"""Write downloads as text for a terminal, as JSON and as events. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from models.downloads.progress import DONE, FAILED, FETCHING, PAUSED
from server.admin.show import size_text, time_text
from server.errors import shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.downloads.choice import Choice
    from models.downloads.progress import Progress
    from models.downloads.pulls import PullState

_LEAST_BAR, _LONGEST_BAR = 8, 40
_EVENTS = {"verifying": "verifying", DONE: "done", FAILED: "error", PAUSED: "paused"}
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


def pull_json(pull: PullState) -> dict[str, Any]:
    """Return a download as plain JSON values: sizes in bytes, times in seconds."""
    progress = pull.progress
    fetching = pull.state == FETCHING
    said: dict[str, Any] = {
        "id": pull.id,
        "model": str(pull.wanted),
        "repo": pull.wanted.repo,
        "state": "verifying" if fetching and progress.verifying else pull.state,
        "file": progress.file,
        "done": progress.done,
        "total": progress.total,
        "percent": 100 if pull.state == DONE else progress.percent,
        "rate": round(progress.rate) if fetching else 0,
        "seconds_left": round(progress.left, 1) if fetching and progress.left else None,
        "commit": pull.commit,
        "files": [str(path) for path in pull.paths],
    }
    if pull.why:
        said["why"] = pull.why
    if pull.error is not None:
        said["error"] = {"code": shape_of(pull.error).code, "message": pull.error.message}
    return said


def pull_event(pull: PullState) -> bytes:
    """Return a download as an event: ``progress`` or ``verifying``, and ``done`` or ``error``."""
    said = pull_json(pull)
    name = _EVENTS.get(said["state"], "progress")
    return f"event: {name}\ndata: ".encode() + orjson.dumps(said) + b"\n\n"


def choice_json(choice: Choice) -> dict[str, Any]:
    """Return a model of a repository as plain JSON values."""
    return {
        "quantisation": choice.label,
        "file": choice.parts[0].path,
        "files": [{"path": file.path, "size": file.size} for file in choice.files],
        "size": choice.size,
        "projector": choice.projector.path if choice.projector else None,
        "problem": choice.problem,
    }


def found_json(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the hub says of a repository, without what nobody here needs."""
    return {
        "repo": str(said.get("id") or said.get("modelId") or ""),
        "downloads": said.get("downloads"),
        "likes": said.get("likes"),
        "gated": bool(said.get("gated")),
        "private": bool(said.get("private")),
        "modified": said.get("lastModified"),
    }
