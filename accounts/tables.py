"""The tables of the database. Times are milliseconds since 1970 in UTC, money is nano-units.

``accounts/migrations`` makes these tables; a test holds both to the same form.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    true,
)

# Names of constraints, without which Alembic could not change them.
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite numbers rows itself only in a column of this type.
_ID = BigInteger().with_variant(Integer(), "sqlite")
_MONEY = _TIME = BigInteger()


def _id() -> Column[int]:
    return Column("id", _ID, primary_key=True)


# Of the accounts and keys, counted up with each change: other processes see it and read again.
STATE = Table(
    "state",
    METADATA,
    Column("name", String(20), primary_key=True),
    Column("value", BigInteger(), nullable=False),
)
ACCOUNTS = Table(
    "accounts",
    METADATA,
    _id(),
    # In lower case.
    Column("email", String(320), unique=True),
    Column("name", String(120), nullable=False),
    Column("tier", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("password_hash", Text()),
    Column("oidc_issuer", String(400)),
    Column("oidc_subject", String(255)),
    # The sum of the account's rows in the ledger, and of its rows in holds.
    Column("balance", _MONEY, nullable=False, server_default="0"),
    Column("held", _MONEY, nullable=False, server_default="0"),
    # None: as the tier has it.
    Column("rpm", Integer()),
    Column("tpm", Integer()),
    Column("concurrency", Integer()),
    Column("priority", String(8)),
    Column("budget", _MONEY),
    Column("budget_period", String(8)),
    # In the period that began at ``spent_from``.
    Column("spent", _MONEY, nullable=False, server_default="0"),
    Column("spent_from", _TIME, nullable=False, server_default="0"),
    # JSON lists of patterns; None: all models.
    Column("models", Text()),
    Column("created_at", _TIME, nullable=False),
    Column("last_seen_at", _TIME),
    CheckConstraint("status IN ('pending', 'active', 'blocked')", name="status"),
    CheckConstraint("held >= 0", name="held"),
    Index("uq_accounts_oidc", "oidc_issuer", "oidc_subject", unique=True),
)
API_KEYS = Table(
    "api_keys",
    METADATA,
    _id(),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("name", String(120), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    # Words with spaces between them.
    Column("scopes", String(60), nullable=False, server_default="inference read"),
    Column("models", Text()),
    Column("rpm", Integer()),
    Column("tpm", Integer()),
    Column("concurrency", Integer()),
    Column("budget", _MONEY),
    Column("budget_period", String(8)),
    Column("spent", _MONEY, nullable=False, server_default="0"),
    Column("spent_from", _TIME, nullable=False, server_default="0"),
    Column("max_context", Integer()),
    Column("may_load", Boolean(), nullable=False, server_default=true()),
    Column("may_evict", Boolean(), nullable=False, server_default=true()),
    Column("expires_at", _TIME),
    Column("revoked_at", _TIME),
    Column("last_used_at", _TIME),
    Column("created_at", _TIME, nullable=False),
)
HOLDS = Table(
    "holds",
    METADATA,
    Column("request_id", String(48), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("key_id", BigInteger()),
    Column("key_name", String(120), nullable=False),
    Column("amount", _MONEY, nullable=False),
    Column("boot_id", String(16), nullable=False, index=True),
    Column("model", String(200), nullable=False),
    Column("path", String(200), nullable=False),
    Column("created_at", _TIME, nullable=False),
    CheckConstraint("amount >= 0", name="amount"),
)
# Rows are added and never changed.
LEDGER = Table(
    "ledger",
    METADATA,
    _id(),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("amount", _MONEY, nullable=False),
    # What the row is for, such as ``req:…``: nothing is booked twice.
    Column("source", String(80), nullable=False, unique=True),
    Column("note", String(400)),
    Column("actor_id", BigInteger()),
    Column("at", _TIME, nullable=False),
    CheckConstraint(
        "(kind = 'usage' AND amount < 0) OR (kind IN ('topup', 'refund', 'grant') AND amount > 0)"
        " OR (kind = 'adjust' AND amount <> 0)",
        name="sign",
    ),
    Index("ix_ledger_account_id_at", "account_id", "at"),
)
USAGE = Table(
    "usage",
    METADATA,
    Column("request_id", String(48), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("key_id", BigInteger()),
    # As it was: keys are renamed and removed.
    Column("key_name", String(120), nullable=False),
    Column("model", String(200), nullable=False),
    Column("variant", String(200)),
    Column("path", String(200), nullable=False),
    # complete, cut, left, cancelled, failed or crashed.
    Column("ended", String(12), nullable=False),
    Column("streamed", Boolean(), nullable=False, server_default=false()),
    Column("prompt", Integer(), nullable=False),
    Column("cached", Integer(), nullable=False),
    Column("completion", Integer(), nullable=False),
    # By whom the tokens were counted: engine or gateway.
    Column("counted", String(8), nullable=False),
    Column("price_id", BigInteger()),
    Column("cost", _MONEY, nullable=False),
    Column("queue_ms", Integer()),
    Column("load_ms", Integer()),
    Column("first_ms", Integer()),
    Column("total_ms", Integer()),
    Column("at", _TIME, nullable=False),
    Index("ix_usage_account_id_at", "account_id", "at"),
    Index("ix_usage_at", "at"),
)
USAGE_DAILY = Table(
    "usage_daily",
    METADATA,
    # Days since 1970 in UTC.
    Column("day", Integer(), primary_key=True, autoincrement=False),
    Column("account_id", ForeignKey("accounts.id"), primary_key=True, autoincrement=False),
    # 0 for requests without one.
    Column("key_id", BigInteger(), primary_key=True, autoincrement=False),
    Column("model", String(200), primary_key=True),
    Column("requests", BigInteger(), nullable=False),
    Column("errors", BigInteger(), nullable=False),
    Column("prompt", BigInteger(), nullable=False),
    Column("cached", BigInteger(), nullable=False),
    Column("completion", BigInteger(), nullable=False),
    Column("cost", _MONEY, nullable=False),
    Column("load_ms", BigInteger(), nullable=False),
    Column("first_ms", BigInteger(), nullable=False),
    Index("ix_usage_daily_account_id_day", "account_id", "day"),
)
# A price holds from a time on, until the next one of the same model; rows are never changed.
PRICES = Table(
    "prices",
    METADATA,
    _id(),
    Column("model", String(200), nullable=False),
    # Nano-units for a million tokens, and for a request.
    Column("input", _MONEY, nullable=False),
    Column("cached", _MONEY, nullable=False),
    Column("output", _MONEY, nullable=False),
    Column("per_request", _MONEY, nullable=False),
    Column("valid_from", _TIME, nullable=False),
    Index("ix_prices_model_valid_from", "model", "valid_from"),
)
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("created_at", _TIME, nullable=False),
    Column("seen_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False, index=True),
    Column("agent", String(200)),
)
SIGNUPS = Table(
    "signups",
    METADATA,
    _id(),
    Column("email", String(320), nullable=False),
    Column("name", String(120), nullable=False),
    Column("reason", String(1000)),
    Column("address_hash", LargeBinary(32)),
    Column("state", String(12), nullable=False, index=True),
    Column("decided_by", BigInteger()),
    Column("decided_at", _TIME),
    Column("at", _TIME, nullable=False),
)
INVITES = Table(
    "invites",
    METADATA,
    _id(),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("tier", String(32), nullable=False),
    # Money that the account begins with.
    Column("amount", _MONEY, nullable=False, server_default="0"),
    Column("uses", Integer(), nullable=False),
    Column("expires_at", _TIME),
    Column("created_at", _TIME, nullable=False),
)
AUDIT = Table(
    "audit",
    METADATA,
    _id(),
    Column("at", _TIME, nullable=False, index=True),
    # None: the admin token, or a command on this machine.
    Column("actor_id", BigInteger()),
    Column("key_id", BigInteger()),
    Column("action", String(40), nullable=False),
    Column("object", String(120), nullable=False),
    # JSON.
    Column("before", Text()),
    Column("after", Text()),
    Column("address", String(64)),
)
