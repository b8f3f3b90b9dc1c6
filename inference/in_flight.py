"""The requests in flight: which there are, and how an operator cancels one."""

from __future__ import annotations

import asyncio
import secrets
from itertools import count
from typing import TYPE_CHECKING, Self

from utils.errors import RequestCancelled, UnknownRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from inference.call import CallRecord


class Ongoing:
    """One request. Inside its block it can be cancelled, which raises RequestCancelled there.

    The block ends before the client gets the error, so that sending the error is not cancelled.
    """

    __slots__ = ("_cancelled", "_loop", "_pending", "_task", "record")

    def __init__(self, record: CallRecord, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.record = record
        # To find the running loop costs a system call in Python 3.11, so who knows it says it.
        self._loop = loop
        self._cancelled = False
        self._pending = 0
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a request is answered by a task")
        self._task = task
        self._pending = task.cancelling()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        # As asyncio.timeout does: a client that left meanwhile has cancelled the task too.
        if (
            self._cancelled
            and task is not None
            and task.uncancel() <= self._pending
            and kind is asyncio.CancelledError
        ):
            raise RequestCancelled("An operator cancelled this request.")

    def cancel(self) -> bool:
        """Cancel the request; return False if it has ended or is being cancelled already."""
        if self._task is None or self._cancelled:
            return False
        self._cancelled = self.record.cancelled = True
        self._task.cancel()
        return True


class RequestRegistry:
    """The requests in flight, in the order of their arrival."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._numbers = count(1)
        self._ongoing: dict[str, Ongoing] = {}

    def __len__(self) -> int:
        return len(self._ongoing)

    def __iter__(self) -> Iterator[Ongoing]:
        return iter(tuple(self._ongoing.values()))

    def new_id(self) -> str:
        """Return a new request id, unique in this run and almost certainly in all runs."""
        return f"{self._prefix}-{next(self._numbers)}"

    def add(self, ongoing: Ongoing) -> None:
        """Add the request under the id of its record."""
        self._ongoing[ongoing.record.id] = ongoing

    def remove(self, ongoing: Ongoing) -> None:
        """Remove the request."""
        # A detached stream may have taken its place, under the same id.
        if self._ongoing.get(ongoing.record.id) is ongoing:
            del self._ongoing[ongoing.record.id]

    def cancel(self, request_id: str) -> None:
        """Cancel the request, whose client is told; raise UnknownRequest if it is not in flight."""
        ongoing = self._ongoing.get(request_id)
        if ongoing is None or not ongoing.cancel():
            raise UnknownRequest(
                f"There is no request '{request_id}' in flight; it may have ended."
            )
