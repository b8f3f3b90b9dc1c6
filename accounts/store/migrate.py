"""Bring the database to the newest form: one history of steps for SQLite and PostgreSQL.

Alembic takes a second to import, so it is imported only where a step is missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from utils.logger import get_logger

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, Engine

# The last step; a test holds it to accounts/migrations.
NEWEST = "0002"
FOLDER = Path(__file__).resolve().parent.parent / "migrations"
# Any number that nobody else takes for this: of two gateways that start at once, one migrates.
_LOCK = 7_241_503
_log = get_logger("accounts")


class DatabaseTooNew(Exception):
    """A newer gateway has changed the database: this one cannot use it."""


def migrate(engine: Engine, to: str = NEWEST) -> None:
    """Bring the database to the form of ``to``. Raises DatabaseTooNew if it has an unknown one."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        before = form(connection)
        if before == to:
            return
        from alembic import command  # noqa: PLC0415 - see above
        from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above

        config = config_for(connection)
        known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
        if before is not None and before not in known:
            raise DatabaseTooNew(
                f"The database of the accounts has the form {before}, which a newer gateway made; "
                f"this one knows {to}."
            )
        command.upgrade(config, to)
    _log.info("the database of the accounts has the form %s now", to)


def form(connection: Connection) -> str | None:
    """Return the step that the database has come to; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def config_for(connection: Connection) -> Config:
    """Return Alembic's configuration for this connection."""
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
