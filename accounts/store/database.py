"""Open the database: SQLite in the state folder, or PostgreSQL by its address."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import NullPool, create_engine, event, make_url

if TYPE_CHECKING:
    import sqlite3

    from sqlalchemy import Engine

FILE = "accounts.db"
# Seconds that a command waits for another process's lock, or for a connection.
_PATIENCE = 5


def address(url: str | None, folder: Path) -> str:
    """Return the address of the database: ``url``, else that of a file in ``folder``."""
    if url is None:
        return f"sqlite:///{folder / FILE}"
    for short in ("postgres://", "postgresql://"):
        if url.startswith(short):
            return "postgresql+psycopg://" + url.removeprefix(short)
    return url


def backlog_name(url: str | None) -> str:
    """Return the name of the backlog's files: rows of one database never come into another."""
    if url is None:
        return "accounts"
    where = make_url(address(url, Path()))
    named = f"{where.host}:{where.port}/{where.database}"
    return f"accounts-{hashlib.sha256(named.encode()).hexdigest()[:8]}"


def open_database(url: str, *, full: bool = False) -> Engine:
    """Return an engine that opens a connection for each use.

    A file of SQLite is readable by its owner alone. ``full``: a commit reaches the disk before it
    counts, also when the machine loses power; SQLite alone asks for that.
    """
    where = make_url(url)
    options: dict[str, Any] = {"poolclass": NullPool}
    if where.get_backend_name() != "sqlite":
        options["connect_args"] = {
            "connect_timeout": _PATIENCE,
            "options": f"-c statement_timeout={_PATIENCE}s -c lock_timeout={_PATIENCE}s",
        }
        return create_engine(where, **options)
    if where.database:
        Path(where.database).parent.mkdir(parents=True, exist_ok=True)
        # Made here, so that it never exists with other rights; its companions take them over.
        os.close(os.open(where.database, os.O_RDWR | os.O_CREAT, 0o600))
    options["connect_args"] = {"timeout": _PATIENCE}
    engine = create_engine(where, **options)
    pragmas = (
        "journal_mode=WAL",
        f"synchronous={'FULL' if full else 'NORMAL'}",
        "foreign_keys=ON",
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    return engine
