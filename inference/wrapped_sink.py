"""The base of sinks that stand between a call and the sink of its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference.call import Outlet, Sink


class WrappedSink:
    """Shares the state of ``_inner``; a subclass decides what is passed on to it, and how."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner

    @property
    def decided(self) -> dict[str, str]:
        """The gateway's own headers of the answer."""
        return self._inner.decided

    @decided.setter
    def decided(self, headers: dict[str, str]) -> None:
        self._inner.decided = headers

    @property
    def progress(self) -> Callable[[], str] | None:
        """Tell what a waiting client waits for."""
        return self._inner.progress

    @progress.setter
    def progress(self, progress: Callable[[], str] | None) -> None:
        self._inner.progress = progress

    @property
    def begun(self) -> bool:
        """Whether the client has a part of the answer."""
        return self._inner.begun

    def outlet(self) -> Outlet | None:
        """Return None: a subclass looks at each piece."""
        return None
