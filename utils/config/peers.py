"""The table of ``peers``: other servers whose models are served under their names."""

from __future__ import annotations

from dataclasses import dataclass, field

from utils.config.schema import key


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTable:
    """One entry of ``peers``, with its name."""

    name: str
    url: str = field(metadata=key("url", 'Where the server is: `"http://192.168.1.7:7777"`.'))
    api_key: str | None = field(
        default=None,
        repr=False,
        metadata=key("secret", "The key that it gets. `api_key_env` keeps it out of the file."),
    )
    api_key_env: str | None = field(
        default=None,
        metadata=key("name", "The variable in the gateway's environment that has this key."),
    )
    admin_token: str | None = field(
        default=None,
        repr=False,
        metadata=key(
            "secret",
            "The admin token of a peer that is an LLM Gateway. With it, the peer also tells how "
            "many requests each of its models has, running and waiting.",
        ),
    )
    admin_token_env: str | None = field(
        default=None,
        metadata=key("name", "The variable in the gateway's environment that has this token."),
    )
    models: tuple[str, ...] = field(
        default=("*",),
        metadata=key(
            "words",
            'Which of its models are served: names, or patterns such as `"gpt-*"`.',
            shown='{ "*" }',
        ),
    )
    share: bool = field(
        default=True,
        metadata=key(
            "flag",
            "Whether its models also answer under their names alone, with those of this gateway "
            "and of other peers. `false` for a server that costs money.",
        ),
    )
    refresh: float = field(
        default=5.0,
        metadata=key("seconds", "How often it is asked which models it has, and what they do."),
    )
    timeout: float = field(
        default=3.0,
        metadata=key("seconds", "How long its answer to that may take. Then it counts as gone."),
    )
    wake: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "command",
            "A command that wakes the machine when a request is for one of its models that were "
            "seen before, and it does not answer.",
        ),
    )
