"""What Alembic runs for each command; the connection comes from ``accounts/store/migrate.py``."""

from __future__ import annotations

from alembic import context

from accounts.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite changes a table by making another.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
