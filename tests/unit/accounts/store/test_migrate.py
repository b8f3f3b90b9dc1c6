"""accounts/store/migrate.py: one history, tried step by step with data."""

from __future__ import annotations

import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from account_rows import add_account, check_books
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from paths import ROOT
from sqlalchemy import select, text

from accounts.store.database import address, open_database
from accounts.store.migrate import NEWEST, DatabaseTooNew, config_for, form, migrate
from accounts.tables import ACCOUNTS, METADATA

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


def opened(folder: Path) -> Engine:
    return open_database(address(None, folder))


def steps(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        script = ScriptDirectory.from_config(config_for(connection))
        return [step.revision for step in script.walk_revisions()][::-1]


def test_each_step_keeps_what_is_there(tmp_path: Path) -> None:
    engine = opened(tmp_path)
    names = steps(engine)
    assert names[-1] == NEWEST
    for done, step in enumerate(names):
        migrate(engine, step)
        with engine.begin() as connection:
            assert form(connection) == step
            add_account(connection)
            found = connection.execute(select(ACCOUNTS.c.id)).scalars().all()
            assert len(found) == done + 1
            check_books(connection)


def test_the_end_of_the_history_is_what_the_tables_say(tmp_path: Path) -> None:
    engine = opened(tmp_path)
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_a_database_of_a_newer_gateway_is_left_alone(tmp_path: Path) -> None:
    engine = opened(tmp_path)
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseTooNew, match="9999"):
        migrate(engine)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    migrate(opened(tmp_path / "new"))
    for file in (tmp_path / "new").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_database_that_is_new_enough_needs_no_alembic(tmp_path: Path) -> None:
    migrate(opened(tmp_path))
    script = f"""
import sys
from pathlib import Path
from accounts.store.database import address, open_database
from accounts.store.migrate import migrate
migrate(open_database(address(None, Path({str(tmp_path)!r}))))
print("alembic" in sys.modules)
"""
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout == "False\n"


@pytest.mark.parametrize("url", ["postgres://u@h/d", "postgresql://u@h/d"])
def test_addresses_of_postgresql(url: str, tmp_path: Path) -> None:
    assert address(url, tmp_path) == "postgresql+psycopg://u@h/d"
