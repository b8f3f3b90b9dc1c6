"""What a request has cost, as ``GET /v1/generation`` tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select

from accounts.money import as_text
from accounts.tables import USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


def found_in(connection: Connection, request_id: str) -> list[dict[str, Any]]:
    """Return the rows of a request, of which there is one for each of its answers."""
    parts = USAGE.c.request_id.like(f"{request_id.replace('%', '')}.%")
    wanted = select(USAGE).where(or_(USAGE.c.request_id == request_id, parts))
    rows = connection.execute(wanted.order_by(USAGE.c.at)).mappings()
    return [dict(row) for row in rows]


def shown(request_id: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what is told of a request with these rows, one at least."""
    first, last = rows[0], rows[-1]
    prompt, completion = (sum(row[name] for row in rows) for name in ("prompt", "completion"))
    return {
        "id": request_id,
        "model": first["model"],
        "variant": last["variant"],
        "created_at": datetime.fromtimestamp(last["at"] / 1000, UTC).isoformat(),
        "total_cost": as_text(sum(row["cost"] for row in rows)),
        "tokens_prompt": prompt,
        "tokens_cached": sum(row["cached"] for row in rows),
        "tokens_completion": completion,
        "streamed": first["streamed"],
        "cancelled": last["ended"] in {"left", "cancelled"},
        "ended": last["ended"],
        "queue_ms": _sum(rows, "queue_ms"),
        "load_ms": _sum(rows, "load_ms"),
        "latency": first["first_ms"],
        "generation_time": last["total_ms"],
    }


def _sum(rows: Sequence[dict[str, Any]], name: str) -> int:
    return sum(row[name] or 0 for row in rows)
