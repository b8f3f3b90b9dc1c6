"""Write the answers of the admin paths as text for a terminal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MINUTE = 60
_HOUR = 3600
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


def status_text(running: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    """Return tables of the models with their engines, the requests in flight and the queue.

    ``running`` is the answer of ``/running``, ``models`` the list of ``/v1/models``.
    """
    engines = running["engines"]
    loaded = {engine["model"] for engine in engines}
    # Aliases are listed like models, for clients.
    idle = [
        {"model": one["id"]} for one in models if one["id"] not in loaded and "alias_of" not in one
    ]
    parts = [table("MODEL VARIANT STATE REQUESTS MEMORY SINCE", map(_engine, [*engines, *idle]))]
    if running["requests"]:
        head = "REQUEST STATE MODEL CLIENT AGE TOKENS"
        parts.append(table(head, map(_request, running["requests"])))
    if running["queue"]:
        parts.append(table("TURN REQUEST MODEL WAITED FOR", map(_waiting, running["queue"])))
    return "\n".join(parts)


def reload_text(changes: Mapping[str, Any]) -> str:
    """Return the changes of a reload, or of a dry run, one a line."""
    models, variants = changes["models"], changes["variants"]
    lines = [
        *(f"model {name}: added" for name in models["added"]),
        *(f"model {name}: removed" for name in models["removed"]),
        *(f"model {name}: {', '.join(what)}" for name, what in models["changed"].items()),
        *(f"variant {label}: added" for label in variants["added"]),
        *(f"variant {label}: removed" for label in variants["removed"]),
        *(
            f"variant {label}: {', '.join(what)}; its engine is replaced"
            for label, what in variants["redefined"].items()
        ),
        *(f"variant {label}: {', '.join(what)}" for label, what in variants["adjusted"].items()),
        *(f"server.{name}: {what}" for name, what in changes["settings"].items()),
        *(["groups: changed"] if changes["groups"] else []),
        *(f"server.{name}: needs a restart" for name in changes["needs_restart"]),
    ]
    return "".join(f"{line}\n" for line in lines or ["nothing has changed"])


def _engine(engine: Mapping[str, Any]) -> Sequence[str]:
    if "variant" not in engine:
        return engine["model"], "", "not loaded", "", "", ""
    state = engine["state"]
    if "reason" in engine:
        state += f" ({engine['reason']})"
    since = ""
    if "idle_seconds" in engine:
        due = engine["unload_in_seconds"]
        then = "stays" if due is None else f"unloads in {time_text(due)}"
        since = f"idle for {time_text(engine['idle_seconds'])}, {then}"
    elif "ready_seconds_ago" in engine:
        since = f"ready for {time_text(engine['ready_seconds_ago'])}"
    elif "started_seconds_ago" in engine:
        since = f"started {time_text(engine['started_seconds_ago'])} ago"
    elif "retry_in_seconds" in engine:
        since = f"tried again in {time_text(engine['retry_in_seconds'])}"
    memory = ", ".join(f"{name} {size_text(size)}" for name, size in engine["memory"].items())
    label = engine["variant"].removeprefix(f"{engine['model']}@")
    places = f"{engine['active']} of {engine['parallel']}"
    return engine["model"], label, state, places, memory, since


def _request(request: Mapping[str, Any]) -> Sequence[str]:
    prompt = request["prompt_tokens"]
    read = "" if prompt is None else f"{prompt} + "
    return (
        request["id"],
        request["state"],
        request["variant"] or request["model"] or "",
        request["client"],
        time_text(request["age_seconds"]),
        f"{read}{request['tokens']}",
    )


def _waiting(waiting: Mapping[str, Any]) -> Sequence[str]:
    return (
        str(waiting["position"]),
        waiting["id"] or "a load",
        waiting["model"],
        time_text(waiting["waited_seconds"]),
        waiting["waits_for"],
    )


def time_text(seconds: float) -> str:
    """Return the seconds in the two largest units."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - digits
    seconds = round(seconds)
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"


def size_text(size: float) -> str:
    """Return the bytes in the largest unit of which there is one."""
    for unit in _UNITS:
        if size < _STEP or unit == _UNITS[-1]:
            return f"{size:.3g} {unit}" if size < 999 else f"{size:.0f} {unit}"  # noqa: PLR2004 - digits
        size /= _STEP
    return ""


def table(head: str, rows: Iterable[Sequence[str]]) -> str:
    """Return the rows in columns under ``head``, without the columns that are empty in all rows."""
    cells = [[str(cell) for cell in row] for row in rows]
    titles = head.split()
    used = [at for at in range(len(titles)) if any(row[at] for row in cells)]
    lines = [[titles[at] for at in used], *([row[at] for at in used] for row in cells)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(used))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )
