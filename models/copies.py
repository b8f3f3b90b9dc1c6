"""Copies: names that operators gave to models while the gateway ran. Pure.

1. A copy is one more alias of its model. A copy of an alias has that alias's parameters, a copy of
   a copy is one of the same model.
2. A copy never takes a name from others: it is not served while a model, a route or a peer has its
   name, nor while its model is away. It is remembered, and served again afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.catalog import AUTO, Catalog
from models.spec import untagged
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import ModelSpec

# Characters of the longest name.
_LONGEST = 255


def with_copies(catalog: Catalog, copies: Mapping[str, str]) -> Catalog:
    """Return the catalog with these copies, each a name with that of its model or alias."""
    served: dict[str, list[str]] = {}
    for name, source in copies.items():
        if not _is_taken(catalog, name) and catalog.has_model(source):
            served.setdefault(catalog.find(source).name, []).append(name)
    if not served:
        return catalog
    return catalog.with_models(_copied(m, served.get(m.name, ()), copies) for m in catalog.models)


def without_copies(catalog: Catalog) -> Catalog:
    """Return the catalog as it was before ``with_copies``."""
    if not any(model.copies for model in catalog.models):
        return catalog
    return catalog.with_models(_uncopied(model) for model in catalog.models)


def source_of(
    catalog: Catalog, copies: Mapping[str, str], source: str, name: str
) -> tuple[str, str] | None:
    """Return the name of a new copy of ``source``, and its source; None if they are the same.

    Raises ModelNotFound for an unknown source, BadRequest for a name that cannot be a copy's.
    """
    model, plain = catalog.find(source), untagged(name)
    if model.peer is not None:
        raise BadRequest(f"'{model.name}' is a model of a peer. Copy it there.", param="source")
    if not plain.strip() or not plain.isprintable() or len(plain) > _LONGEST:
        raise BadRequest("'destination' must be a name.", param="destination")
    own = source if source in {model.name, *model.aliases} else untagged(source)
    if plain == own:
        return None
    if _is_taken(catalog, plain) and not is_copy(catalog, copies, plain):
        raise BadRequest(
            f"The name '{plain}' is taken. A copy cannot replace it.", param="destination"
        )
    if own in model.copies:
        return plain, copies[own]
    # Other aliases of a found model may mean another one later.
    return plain, own if own in model.alias_params else model.name


def is_copy(catalog: Catalog, copies: Mapping[str, str], name: str) -> bool:
    """Return whether the name is a copy's, and nothing else's."""
    plain = untagged(name)
    if plain not in copies:
        return False
    return not _is_taken(catalog, plain) or (
        catalog.has_model(plain) and plain in catalog.find(plain).copies
    )


def _is_taken(catalog: Catalog, name: str) -> bool:
    return name == AUTO or catalog.may_have(name) or name in catalog.missing


def _copied(model: ModelSpec, names: list[str] | tuple[()], copies: Mapping[str, str]) -> ModelSpec:
    if not names:
        return model
    params = {name: model.params_of(copies[name]) for name in names}
    own = {name: values for name, values in params.items() if values}
    return replace(
        model,
        aliases=(*model.aliases, *names),
        copies=tuple(names),
        alias_params={**model.alias_params, **own},
    )


def _uncopied(model: ModelSpec) -> ModelSpec:
    if not model.copies:
        return model
    return replace(
        model,
        aliases=tuple(alias for alias in model.aliases if alias not in model.copies),
        copies=(),
        alias_params={n: v for n, v in model.alias_params.items() if n not in model.copies},
    )
