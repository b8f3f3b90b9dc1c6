"""Accounts, keys, holds, ledger, usage and prices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "state",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_state")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("email", sa.String(length=320)),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("tier", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("oidc_issuer", sa.String(length=400)),
        sa.Column("oidc_subject", sa.String(length=255)),
        sa.Column("balance", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rpm", sa.Integer()),
        sa.Column("tpm", sa.Integer()),
        sa.Column("concurrency", sa.Integer()),
        sa.Column("priority", sa.String(length=8)),
        sa.Column("budget", sa.BigInteger()),
        sa.Column("budget_period", sa.String(length=8)),
        sa.Column("spent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spent_from", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("models", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger()),
        sa.CheckConstraint(
            "status IN ('pending', 'active', 'blocked')", name=op.f("ck_accounts_status")
        ),
        sa.CheckConstraint("held >= 0", name=op.f("ck_accounts_held")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("email", name=op.f("uq_accounts_email")),
    )
    op.create_index("uq_accounts_oidc", "accounts", ["oidc_issuer", "oidc_subject"], unique=True)
    op.create_table(
        "api_keys",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("scopes", sa.String(length=60), server_default="inference read", nullable=False),
        sa.Column("models", sa.Text()),
        sa.Column("rpm", sa.Integer()),
        sa.Column("tpm", sa.Integer()),
        sa.Column("concurrency", sa.Integer()),
        sa.Column("budget", sa.BigInteger()),
        sa.Column("budget_period", sa.String(length=8)),
        sa.Column("spent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spent_from", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("max_context", sa.Integer()),
        sa.Column("may_load", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("may_evict", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_api_keys_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
    )
    op.create_index(op.f("ix_api_keys_account_id"), "api_keys", ["account_id"])
    op.create_table(
        "holds",
        sa.Column("request_id", sa.String(length=48), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("key_id", sa.BigInteger()),
        sa.Column("key_name", sa.String(length=120), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("boot_id", sa.String(length=16), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("path", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_holds_amount")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_holds_account_id")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_holds")),
    )
    op.create_index(op.f("ix_holds_account_id"), "holds", ["account_id"])
    op.create_index(op.f("ix_holds_boot_id"), "holds", ["boot_id"])
    op.create_table(
        "ledger",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=80), nullable=False),
        sa.Column("note", sa.String(length=400)),
        sa.Column("actor_id", sa.BigInteger()),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(kind = 'usage' AND amount < 0)"
            " OR (kind IN ('topup', 'refund', 'grant') AND amount > 0)"
            " OR (kind = 'adjust' AND amount <> 0)",
            name=op.f("ck_ledger_sign"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_ledger_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
        sa.UniqueConstraint("source", name=op.f("uq_ledger_source")),
    )
    op.create_index("ix_ledger_account_id_at", "ledger", ["account_id", "at"])
    op.create_table(
        "usage",
        sa.Column("request_id", sa.String(length=48), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("key_id", sa.BigInteger()),
        sa.Column("key_name", sa.String(length=120), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("variant", sa.String(length=200)),
        sa.Column("path", sa.String(length=200), nullable=False),
        sa.Column("ended", sa.String(length=12), nullable=False),
        sa.Column("streamed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("prompt", sa.Integer(), nullable=False),
        sa.Column("cached", sa.Integer(), nullable=False),
        sa.Column("completion", sa.Integer(), nullable=False),
        sa.Column("counted", sa.String(length=8), nullable=False),
        sa.Column("price_id", sa.BigInteger()),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("queue_ms", sa.Integer()),
        sa.Column("load_ms", sa.Integer()),
        sa.Column("first_ms", sa.Integer()),
        sa.Column("total_ms", sa.Integer()),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_usage_account_id")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_usage")),
    )
    op.create_index("ix_usage_account_id_at", "usage", ["account_id", "at"])
    op.create_index("ix_usage_at", "usage", ["at"])
    op.create_table(
        "usage_daily",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account_id", _ID, autoincrement=False, nullable=False),
        sa.Column("key_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("prompt", sa.BigInteger(), nullable=False),
        sa.Column("cached", sa.BigInteger(), nullable=False),
        sa.Column("completion", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("load_ms", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_usage_daily_account_id")
        ),
        sa.PrimaryKeyConstraint(
            "day", "account_id", "key_id", "model", name=op.f("pk_usage_daily")
        ),
    )
    op.create_index("ix_usage_daily_account_id_day", "usage_daily", ["account_id", "day"])
    op.create_table(
        "prices",
        sa.Column("id", _ID, nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("input", sa.BigInteger(), nullable=False),
        sa.Column("cached", sa.BigInteger(), nullable=False),
        sa.Column("output", sa.BigInteger(), nullable=False),
        sa.Column("per_request", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
    )
    op.create_index("ix_prices_model_valid_from", "prices", ["model", "valid_from"])
    op.execute("INSERT INTO state (name, value) VALUES ('revision', 0)")
