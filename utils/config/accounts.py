"""The ``accounts`` table: keys, limits and prices; without it nobody is asked for a key.

Money is written as decimal text or a number; ``accounts/`` reads it without rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from utils.config.schema import key


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """What tokens and requests cost; ``name`` is the model, or a pattern of models."""

    name: str = "*"
    input_per_1k: str | None = field(
        default=None,
        metadata=key("money", "What a thousand tokens of the prompt cost.", shown="0.0001"),
    )
    cached_per_1k: str | None = field(
        default=None,
        metadata=key(
            "money",
            "The same for tokens that the engine had read before, for an earlier request. Without "
            "it: as `input_per_1k`.",
        ),
    )
    output_per_1k: str | None = field(
        default=None,
        metadata=key("money", "What a thousand tokens of the answer cost.", shown="0.0002"),
    )
    per_request: str | None = field(
        default=None,
        metadata=key("money", "What each answer costs beside its tokens.", shown="0"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitsTable:
    """Requests in a minute for the two tiers that are always there."""

    payg: int = field(default=25, metadata=key("positive", "For accounts that pay as they go."))
    sub: int = field(default=100, metadata=key("positive", "For accounts with a subscription."))


@dataclass(frozen=True, slots=True, kw_only=True)
class TierTable:
    """One entry of ``tiers``, with its name."""

    name: str
    pays: bool = field(
        default=False,
        metadata=key(
            "flag",
            "Whether answers are paid from the account's balance. The tier `payg` pays always.",
        ),
    )
    rpm: int | None = field(
        default=None,
        metadata=key(
            "positive",
            "Requests in a minute. Without it: as `rate_limits` says for `payg` and `sub`, else "
            "no limit.",
        ),
    )
    tpm: int | None = field(
        default=None,
        metadata=key("positive", "Tokens in a minute, of prompts and answers together."),
    )
    concurrency: int | None = field(
        default=None, metadata=key("positive", "Requests at the same time.")
    )
    priority: str = field(
        default="normal",
        metadata=key("priority", 'The place in the queue: `"low"`, `"normal"` or `"high"`.'),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcTable:
    """The value of ``oidc``."""

    issuer: str = field(
        metadata=key("url", 'The provider, such as `"https://id.example.com/realms/us"`.')
    )
    client_id: str = field(metadata=key("name", "The name that it has given the gateway."))
    client_secret: str | None = field(
        default=None,
        repr=False,
        metadata=key("secret", "The secret that it has given the gateway, if any."),
    )
    tier: str | None = field(
        default=None,
        metadata=key(
            "name",
            "The tier of an account that is made when somebody without one logs in. Without it: "
            "only those log in who have an account with their e-mail address.",
        ),
    )
    domains: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "hosts", "The domains of the e-mail addresses for which accounts are made; none: all."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsSettings:
    """Settings of ``accounts``."""

    database_url: str | None = field(
        default=None,
        repr=False,
        metadata=key(
            "secret",
            "A PostgreSQL database for the accounts: `postgresql://user:password@host/name`. "
            "Without it: the file `accounts.db` in `server.state_dir`.",
            reload="restart",
        ),
    )
    pricing: PriceTable = field(
        default_factory=PriceTable,
        metadata=key("price", "The prices of models that `prices` does not name.", each=PriceTable),
    )
    prices: tuple[PriceTable, ...] = field(
        default=(),
        metadata=key(
            "prices",
            'The prices of single models, or of patterns: `{ ["qwen3-*"] = { output_per_1k = '
            '"0.0006" } }`. A missing key is as in `pricing`; of several patterns the longest '
            "counts.",
            each=PriceTable,
        ),
    )
    currency: str = field(
        default="credits",
        metadata=key(
            "prose",
            'What amounts of money are in, as pages show it: a currency such as `"EUR"`, or a '
            "word of your own.",
        ),
    )
    rate_limits: RateLimitsTable = field(
        default_factory=RateLimitsTable,
        metadata=key("rate_limits", "Requests in a minute, by tier.", each=RateLimitsTable),
    )
    tiers: tuple[TierTable, ...] = field(
        default=(),
        metadata=key(
            "tiers",
            "Further tiers, or other limits for `payg`, `sub` and `admin`: `{ gold = { rpm = 500, "
            'priority = "high" } }`.',
            each=TierTable,
        ),
    )
    oidc: OidcTable | None = field(
        default=None,
        metadata=key(
            "oidc",
            "A provider of OpenID Connect by which people log in. See [oidc](#oidc).",
            each=OidcTable,
        ),
    )
    hold_tokens: int = field(
        default=1024,
        metadata=key(
            "positive",
            "For how many tokens of a streamed answer money is held before it begins. While it "
            "grows beyond that, more is held.",
        ),
    )
    hold_wait: float = field(
        default=5.0,
        metadata=key(
            "seconds",
            "How long a paying request waits for the database before it is refused with 503.",
        ),
    )
    usage_days: int = field(
        default=90, metadata=key("positive", "How many days a request's own figures are kept.")
    )
    audit_days: int = field(
        default=365, metadata=key("positive", "How many days the audit is kept.")
    )
    durable: bool = field(
        default=False,
        metadata=key(
            "flag",
            "Wait for the disk at each commit to SQLite, so that a loss of power loses nothing.",
            reload="restart",
        ),
    )
