"""inference/upstream_call.py: a move that the table of states lacks is a bug, told as one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from builders import chat, model
from calls import call_of

from inference.call import IllegalMove
from inference.upstream_call import UpstreamCall
from models.selection import Selection
from models.sizing import UNCOUNTED

if TYPE_CHECKING:
    from engine.manager import EngineManager


def test_a_move_that_the_table_lacks_changes_nothing() -> None:
    one = model(100)
    lease = SimpleNamespace(waits_for=str, request=1, leave=lambda: None, queued=0.0, loading=0.0)
    manager = cast("EngineManager", SimpleNamespace(lease=lambda *_, **__: lease))
    call = UpstreamCall(
        manager, call_of(one, chat("hi")), Selection(one, one.largest, UNCOUNTED, 1)
    )
    with pytest.raises(IllegalMove, match="the call call, waiting, cannot make the move 'kept'"):
        call.kept("is not continued")
    # It is still waiting, which may end; what has ended may not.
    call.end()
    with pytest.raises(IllegalMove, match="the call call, ended, cannot make the move 'end'"):
        call.end()
