"""Which tests of the gateway run, their order, and what their workers share.

Without the fast lane, only the tests in which it answers something can differ. A run with
``TEST_LANE_LOG=FILE`` writes their names to the file. A run with that file and
``TEST_FAST_LANE=off`` is of those alone, without those of ``BEHIND``.
"""

from __future__ import annotations

import os
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import stream_judge
from gateway_client import FAST_LANE
from later import needs_later

from server.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.lane_exchange import LaneRequest

# What the tests of these files try lies behind the middleware: engines, their memory, their prompt
# caches, and what is chosen by model and size. There a request is the same by both ways. The
# official clients are tried by the usual way.
BEHIND = {
    f"test_{name}.py"
    for name in (
        "accounts_sdks",
        "admin_models",
        "conversations",
        "engine_commands",
        "engine_manager",
        "health",
        "load_times",
        "memory",
        "models",
        "ollama",
        "out_of_memory",
        "peers",
        "priority",
        "prompt_cache_displaced",
        "prompt_cache_faults",
        "prompt_cache_slots",
        "remotes",
        "routing",
        "shaping",
        "slots",
        "variants",
    )
}
_LOG = os.environ.get("TEST_LANE_LOG", "")
collect_ignore = sorted(BEHIND) if _LOG and not FAST_LANE else []
# Requests to gateways in processes of their own are not seen; those tests are the same both ways.
_answered = 0


def _count() -> None:
    answer = Lane._answer

    @wraps(answer)
    async def counted(self: Lane, request: LaneRequest) -> None:
        global _answered  # noqa: PLW0603 - of this process, as the tests are
        _answered += 1
        await answer(self, request)

    Lane._answer = counted  # type: ignore[method-assign]  # it does the same


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the judge of streams, unless this is a worker of a run that has."""
    config = session.config
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        judge = stream_judge.start()
        config.add_cleanup(lambda: stream_judge.end(judge))


def pytest_collection_finish() -> None:
    """Let this process ask the judge."""
    stream_judge.connect()


if _LOG and FAST_LANE:
    _count()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note in the log that the fast lane answered something in the test."""
    before = _answered
    result = yield
    if _answered > before:
        with Path(_LOG).open("a", encoding="utf-8") as log:
            log.write(f"{item.nodeid}\n")
    return result


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the fast lane, keep the tests of the log. What makes workers large comes last."""
    items.sort(key=needs_later)
    if FAST_LANE or not _LOG:
        return
    known = set(Path(_LOG).read_text(encoding="utf-8").splitlines())
    others = [item for item in items if item.nodeid not in known]
    items[:] = [item for item in items if item.nodeid in known]
    config.hook.pytest_deselected(items=others)
