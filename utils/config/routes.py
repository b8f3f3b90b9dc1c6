"""The tables of ``routes``: names that stand for several models, and the rules that choose one."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from utils.config.schema import key

if TYPE_CHECKING:
    from collections.abc import Mapping


def _nothing() -> Mapping[str, int]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PickTable:
    """How one of several models is picked; a rule has the values of its route unless it says."""

    pick: str = field(
        default="first",
        metadata=key(
            "picker",
            'Which of the models in `to`: `"first"`, `"warm"`, `"cheapest_to_load"`, '
            '`"spillover"` or `"weighted"`. See [Pickers](routing.md#pickers).',
            inherits=True,
        ),
    )
    limits: Mapping[str, int] = field(
        default_factory=_nothing,
        metadata=key(
            "counts",
            "For `spillover`: how many requests a model may have, running and waiting, before the "
            "next one is taken: `{ small = 4 }`.",
            inherits=True,
        ),
    )
    weights: Mapping[str, int] = field(
        default_factory=_nothing,
        metadata=key(
            "counts",
            "For `weighted`: the share of each model; 1 without an entry: `{ old = 9, new = 1 }`.",
            inherits=True,
        ),
    )
    fallbacks: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "targets",
            "Models or routes to try after those in `to`, where an engine fails or a queue is full "
            "before the first byte of an answer.",
            inherits=True,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTable(PickTable):
    """One element of a route's ``rules``. A condition that is not set always holds."""

    to: tuple[str, ...] = field(
        metadata=key("targets", "The models or routes for requests that meet every condition.")
    )
    endpoints: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "words",
            "The request is for one of these endpoints: see [Endpoints](routing.md#rules).",
        ),
    )
    parts: frozenset[str] = field(
        default=frozenset(),
        metadata=key("parts", 'It has all of these parts: `"image"`, `"audio"`.'),
    )
    tools: bool | None = field(
        default=None, metadata=key("flag", "It offers tools to the model, or with `false` none.")
    )
    min_tokens: int = field(
        default=0,
        metadata=key("amount", "Its prompt has at least so many tokens, by an estimate."),
    )
    max_tokens: int | None = field(
        default=None,
        metadata=key("positive", "Its prompt has at most so many tokens, by an estimate."),
    )
    matches: str | None = field(
        default=None,
        metadata=key(
            "expression",
            "A regular expression of RE2 that finds something in the last message of the user, or "
            "in the first 32 KiB of it.",
        ),
    )
    headers: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=key("env", 'It has these headers: `{ ["X-Team"] = "blue" }`.'),
    )
    tiers: tuple[str, ...] = field(
        default=(), metadata=key("words", "The tier of the client's key is one of these.")
    )
    hours: tuple[int, int] | None = field(
        default=None,
        metadata=key(
            "hours",
            "The local time is between these hours: `{ 22, 6 }` is from 22:00 until 6:00.",
        ),
    )
    profile: str | None = field(
        default=None,
        metadata=key("name", "This profile is active: see [Profiles](routing.md#profiles)."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyTable:
    """The value of ``classify``: a small model decides."""

    model: str = field(metadata=key("name", "The model that decides; a small one is best."))
    labels: Mapping[str, tuple[str, ...]] = field(
        metadata=key(
            "labels",
            "The words to choose from, and the models or routes of each: "
            '`{ code = { "coder" }, talk = { "small" } }`.',
        )
    )
    default: str = field(
        metadata=key("name", "The label where the model does not decide in time, or not clearly.")
    )
    prompt: str | None = field(
        default=None,
        metadata=key(
            "prose", "What the model is told beside the labels and the last message of the user."
        ),
    )
    timeout: float = field(
        default=2.0, metadata=key("seconds", "How long the decision may take, with a load.")
    )
    cache: int = field(
        default=1000, metadata=key("amount", "How many decisions are remembered, by their message.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable(PickTable):
    """One entry of ``routes``, with its name."""

    name: str
    rules: tuple[RuleTable, ...] = field(
        default=(),
        metadata=key(
            "rules",
            "The rules, see below. The first one whose conditions all hold decides.",
            each=RuleTable,
        ),
    )
    classify: ClassifyTable | None = field(
        default=None,
        metadata=key(
            "classify",
            "Lets a small model decide where no rule holds: see below.",
            each=ClassifyTable,
        ),
    )
    to: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "targets",
            "The models or routes for all other requests. Without it, any model that can do what "
            "the request needs.",
        ),
    )
    unlisted: bool = field(
        default=False, metadata=key("flag", "The route is not shown in `/v1/models`.")
    )
