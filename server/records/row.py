"""One ended request as plain values, for events and for the list of ended requests. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference.finish import finish_reason
from models.requests.amount import Unit

if TYPE_CHECKING:
    from server.access_log import AccessRecord

# The status and the note of such a request in the log.
CLIENT_LEFT = 499
_LEFT = "client left"
_FAILED = 400


def row_of(record: AccessRecord, now: float) -> dict[str, Any]:
    """Return the row of a request that ended at ``now``, the time of ``record.started``.

    Times are in seconds, None for what did not happen. ``counted`` says who counted the tokens:
    the engine, the gateway from what it relayed, or nobody, so that the prompt is an estimate.
    ``reasons`` say what it waited for, and which engines made way for it.
    """
    usage, amount = record.usage, record.amount
    read = None if usage is None else usage.read
    return {
        "id": record.id,
        "path": record.path,
        "client": record.client,
        "address": record.address,
        "account": None if record.caller is None else record.caller.account_id,
        "key": None if record.caller is None else record.caller.key_id,
        "model": record.model,
        "variant": record.variant,
        "status": record.failed or record.status,
        "reason": _reason(record),
        "error": None if record.note in ("", _LEFT) else record.note,
        "streamed": record.tally.chunks > 0,
        "prompt_tokens": record.prompt,
        "cached_tokens": None if usage is None else usage.cached,
        "completion_tokens": record.completion,
        "sound_seconds": None if amount is None else amount.of(Unit.SECONDS),
        "characters": None if amount is None else amount.of(Unit.CHARACTERS),
        "counted": _counted(record),
        "reasons": list(record.reasons) or None,
        "queue_seconds": rounded(record.queued),
        "load_seconds": rounded(record.loading),
        "first_token_seconds": rounded(record.first),
        "prefill_seconds": None if read is None else rounded(read[1]),
        "decode_seconds": None if usage is None else rounded(usage.writing),
        "total_seconds": rounded(now - record.started),
    }


def rounded(seconds: float | None) -> float | None:
    """Return the time in whole milliseconds."""
    return None if seconds is None else round(seconds, 3)


def _reason(record: AccessRecord) -> str | None:
    """Return why the answer ended: as its engine says, or who ended it."""
    if record.failed is None and record.status == CLIENT_LEFT:
        return "client"
    if record.cancelled:
        return "cancelled"
    if record.note or (record.failed or record.status) >= _FAILED:
        return "error"
    tally = record.tally
    return finish_reason(tally.whole or tally.tail)


def _counted(record: AccessRecord) -> str | None:
    if record.counted:
        return "engine"
    if record.usage is not None and record.usage.estimated:
        return "relayed"
    return None if record.prompt is None else "estimate"
