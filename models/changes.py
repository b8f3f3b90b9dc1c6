"""Compare two configurations, and tell what a reload means for running engines. Pure.

1. A model is identified by its name, a variant by its label; their order does not matter.
2. An engine runs on if its command line, environment, address and engine type are the same.
   Other keys of a variant, such as times and needs, change without a restart of the engine.
3. A setting that a running gateway cannot change keeps its value: see ``NEEDS_RESTART``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from math import inf
from typing import TYPE_CHECKING, Any

from models.catalog import Catalog
from models.spec import ModelSpec
from utils.config.schema import keys_of
from utils.config.settings import ServerSettings
from utils.config.tables import ModelTable, VariantTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import VariantSpec

# The settings that are read only at the start of the gateway.
NEEDS_RESTART = tuple(k.name for k in keys_of(ServerSettings) if k.reload == "restart")
# What an engine is started with, and what of that only the model itself has.
_OF_ENGINE = frozenset(
    k.name for table in (VariantTable, ModelTable) for k in keys_of(table) if k.reload == "engine"
)
_OF_MODEL = tuple(each.name for each in fields(ModelSpec) if each.name in _OF_ENGINE)


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes: models by name, variants by label, each with the keys that differ.

    Engines of ``redefined`` variants drain, those of ``adjusted`` variants run on; ``kept`` are
    the labels of all that run on. ``restart`` names the settings that need a restart.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variants_added: tuple[str, ...] = ()
    variants_removed: tuple[str, ...] = ()
    redefined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    adjusted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    groups: bool = False
    routes: bool = False
    peers: bool = False
    restart: tuple[str, ...] = ()
    kept: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return self != Changes(kept=self.kept)

    @property
    def stale(self) -> tuple[str, ...]:
        """Return the names of the earlier models that are removed or changed."""
        labels = (*self.variants_removed, *self.redefined, *self.adjusted, *self.variants_added)
        partly = {label.rpartition("@")[0] for label in labels}
        return tuple(sorted({*self.removed, *self.models, *partly} - {*self.added}))

    def shown(self) -> dict[str, Any]:
        """Return the changes as plain JSON values."""
        return {
            "models": {
                "added": list(self.added),
                "removed": list(self.removed),
                "changed": _listed(self.models),
            },
            "variants": {
                "added": list(self.variants_added),
                "removed": list(self.variants_removed),
                "redefined": _listed(self.redefined),
                "adjusted": _listed(self.adjusted),
            },
            "settings": dict(self.settings),
            "groups": self.groups,
            "routes": self.routes,
            "peers": self.peers,
            "needs_restart": list(self.restart),
        }

    def lines(self) -> list[str]:
        """Return the changes for a person, one line for each; empty if there are none."""
        return [
            *(f"model {name}: added" for name in self.added),
            *(f"model {name}: removed" for name in self.removed),
            *(f"model {name}: {', '.join(what)}" for name, what in self.models.items()),
            *(f"variant {label}: added" for label in self.variants_added),
            *(f"variant {label}: removed" for label in self.variants_removed),
            *(f"variant {label}: {', '.join(what)}" for label, what in self.redefined.items()),
            *(
                f"variant {label}: {', '.join(what)}; a running engine goes on"
                for label, what in self.adjusted.items()
            ),
            *(f"server.{name}: {what}" for name, what in self.settings.items()),
            *(["groups: changed"] if self.groups else []),
            *(["routes: changed"] if self.routes else []),
            *(["peers: changed"] if self.peers else []),
            *(f"server.{name}: needs a restart" for name in self.restart),
        ]


def changes(
    before: tuple[ServerSettings, Catalog], after: tuple[ServerSettings, Catalog]
) -> Changes:
    """Return what ``after`` changes in ``before``."""
    old = {model.name: model for model in before[1].models}
    new = {model.name: model for model in after[1].models}
    both = [
        (old[name], model) for name, model in new.items() if name in old and old[name] is not model
    ]
    variants = _variants(both)
    kept = {label for label, what in variants.items() if _OF_ENGINE.isdisjoint(what)}
    kept |= {v.label for name, m in new.items() if old.get(name) is m for v in m.variants}
    restart, settings = _settings(before[0], after[0])
    return Changes(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        models={one.name: what for one, other in both if (what := _model(one, other))},
        variants_added=_only(both, first=False),
        variants_removed=_only(both, first=True),
        redefined={label: what for label, what in variants.items() if label not in kept},
        adjusted={label: what for label, what in variants.items() if label in kept and what},
        settings=settings,
        groups={*before[1].groups} != {*after[1].groups},
        routes=before[1].routes != after[1].routes,
        peers=(before[1].peers, before[1].shared) != (after[1].peers, after[1].shared),
        restart=restart,
        kept=frozenset(kept),
    )


def applied(
    before: tuple[ServerSettings, Catalog], after: tuple[ServerSettings, Catalog]
) -> tuple[ServerSettings, Catalog]:
    """Return ``after`` as far as a gateway that runs with ``before`` can apply it.

    Settings that need a restart keep their value. An unchanged model stays the same object, so
    that callers can see that what they learnt about it still holds.
    """
    kept = {name: getattr(before[0], name) for name in NEEDS_RESTART}
    old = {model.name: model for model in before[1].models}
    models = [old[m.name] if old.get(m.name) == m else m for m in after[1].models]
    kept["own_token"] = before[0].own_token
    return replace(after[0], **kept), Catalog(
        models,
        after[1].default,
        after[1].groups,
        after[1].routes.values(),
        after[1].peers.values(),
        after[1].shared,
        dict.fromkeys(after[1].missing.values()),
    )


def _settings(
    before: ServerSettings, after: ServerSettings
) -> tuple[tuple[str, ...], dict[str, str]]:
    restart: list[str] = []
    settings: dict[str, str] = {}
    for known in keys_of(ServerSettings):
        one, other = getattr(before, known.name), getattr(after, known.name)
        if one == other:
            continue
        if known.reload == "restart":
            restart.append(known.name)
        else:
            # Numbers are not secret. Other values may be, so they are not shown.
            plain = isinstance(one, int | float) and isinstance(other, int | float)
            settings[known.name] = f"{_number(one)} → {_number(other)}" if plain else "changed"
    return tuple(restart), settings


def _number(value: float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "never" if value == inf else f"{value:.15g}"


def _model(before: ModelSpec, after: ModelSpec) -> tuple[str, ...]:
    own = (each.name for each in fields(before) if each.init)
    names = (name for name in own if name not in {"name", "variants"})
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))


def _variants(both: list[tuple[ModelSpec, ModelSpec]]) -> dict[str, tuple[str, ...]]:
    """Return the keys that differ for each variant that is in both, by its label."""
    found = {}
    for one, other in both:
        shared = [name for name in _OF_MODEL if getattr(one, name) != getattr(other, name)]
        old = {variant.label: variant for variant in one.variants}
        for variant in other.variants:
            if (was := old.get(variant.label)) is not None:
                found[variant.label] = (*shared, *_variant(was, variant))
    return found


def _variant(before: VariantSpec, after: VariantSpec) -> tuple[str, ...]:
    names = (each.name for each in fields(before) if each.init)
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))


def _only(both: list[tuple[ModelSpec, ModelSpec]], *, first: bool) -> tuple[str, ...]:
    """Return the labels that are in only one model of each pair: the first or the second."""
    labels: list[str] = []
    for pair in both:
        here, there = pair if first else reversed(pair)
        others = {variant.label for variant in there.variants}
        labels += [each.label for each in here.variants if each.label not in others]
    return tuple(labels)


def _listed(what: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    return {name: list(words) for name, words in what.items()}
