"""The command line of a server that takes ``--host`` and ``--port``. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOST, _PORT = "--host", "--port"
_ANY = ("0.0.0.0", "::")  # noqa: S104 - read from the user's line, not bound to
_HERE = "127.0.0.1"


def given(args: Sequence[str], *names: str, default: str) -> str:
    """Return the value of a flag with one of these names; the last one counts."""
    values = [value for flag, value in pairwise(args) if flag in names]
    return values[-1] if values else default


def located(args: Sequence[str], connect: str | None) -> str | None:
    """Return the URL at which a server with these arguments listens; None without a port."""
    if connect is not None:
        return connect.rstrip("/")
    if not (port := given(args, _PORT, default="")):
        return None
    host = given(args, _HOST, default=_HERE)
    host = _HERE if host in _ANY else host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listening_at(args: Sequence[str], url: str) -> list[str]:
    """Return the arguments that are missing for a server to listen at ``url``."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    wanted = ((_HOST, host.strip("[]")), (_PORT, port))
    return [part for name, value in wanted if name not in args for part in (name, value)]
