"""All configured models under every name a client may use.

Built once from checked tables and never changed. It knows no engine and no request.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from models.spec import GroupSpec, ModelSpec, Timeouts, TokenizationSpec, VariantSpec
from utils.errors import BadRequest, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from utils.config.settings import ServerSettings
    from utils.config.tables import (
        GroupTable,
        ModelTable,
        TimeoutsTable,
        TokenizationTable,
        VariantTable,
    )


class Catalog:
    """The models in the order of the configuration, found by name or alias."""

    __slots__ = ("_by_name", "default", "groups", "models")

    def __init__(
        self,
        models: Iterable[ModelSpec],
        default: str | None = None,
        groups: Iterable[GroupSpec] = (),
    ) -> None:
        self.models = tuple(models)
        self.groups = tuple(groups)
        self._by_name = {
            name: model for model in self.models for name in (model.name, *model.aliases)
        }
        # An only model needs no name in a request, and no default_model either.
        if default is None and len(self.models) == 1:
            default = self.models[0].name
        self.default = None if default is None else self._by_name[default].name

    @classmethod
    def from_tables(
        cls,
        tables: Iterable[ModelTable],
        settings: ServerSettings,
        groups: Iterable[GroupTable] = (),
    ) -> Catalog:
        """The catalog of checked tables; a time comes from variant, model or server."""
        base = Timeouts(
            health_check=settings.health_check_timeout,
            startup=settings.engine_startup_timeout,
            idle=settings.engine_idle_timeout,
            stop=settings.engine_stop_timeout,
        )
        known = (GroupSpec(group["name"], group.get("persistent", False)) for group in groups)
        specs = (
            _model(
                table,
                base,
                carry=settings.state_carry,
                grow=settings.grow_answers,
                ahead=settings.grow_ahead,
            )
            for table in tables
        )
        return cls(specs, settings.default_model, known)

    def __contains__(self, name: object) -> bool:
        """Whether a model has this name or alias."""
        return name in self._by_name

    def find(self, name: str | None) -> ModelSpec:
        """The model of this name or alias; without a name, the default.

        Raises ModelNotFound for an unknown name, BadRequest where a name is needed.
        """
        model = self._by_name.get(name or self.default or "")
        if model is not None:
            return model
        known = ", ".join(model.name for model in self.models)
        if name:
            raise ModelNotFound(
                f"The model '{name}' does not exist. Available models: {known}.", param="model"
            )
        raise BadRequest(
            f"This request names no model, and there is no default. Available models: {known}.",
            param="model",
        )


def _model(table: ModelTable, base: Timeouts, *, carry: bool, grow: bool, ahead: bool) -> ModelSpec:
    timeouts = _timeouts(table, base)
    aliases = table.get("aliases", ())
    carry = table.get("state_carry", carry)
    variants = (
        _variant(variant, table["name"], timeouts, carry=carry) for variant in table["variants"]
    )
    return ModelSpec(
        name=table["name"],
        variants=tuple(sorted(variants, key=lambda variant: variant.context)),
        aliases=tuple(a if isinstance(a, str) else a["name"] for a in aliases),
        engine=table.get("engine", "llamacpp"),
        connect=table.get("connect"),
        group=table.get("group"),
        pinned=table.get("pinned", False),
        grow_answers=table.get("grow_answers", grow),
        grow_ahead=table.get("grow_ahead", ahead),
        tokenization=_tokenization(table.get("tokenization", {})),
        capabilities=frozenset(table["capabilities"]) if "capabilities" in table else None,
        set_params=MappingProxyType(dict(table.get("set_params", {}))),
        strip_params=tuple(table.get("strip_params", ())),
        upstream_model=table.get("upstream_model"),
        alias_params=MappingProxyType(
            {a["name"]: MappingProxyType(a["params"]) for a in aliases if not isinstance(a, str)}
        ),
    )


def _variant(table: VariantTable, model: str, base: Timeouts, *, carry: bool) -> VariantSpec:
    return VariantSpec(
        model=model,
        context=table["context"],
        binary=table["binary"],
        timeouts=_timeouts(table, base),
        args=tuple(table.get("args", ())),
        env=MappingProxyType({entry["name"]: entry["value"] for entry in table.get("env", ())}),
        parallel=table.get("parallel", 1),
        needs=MappingProxyType(table.get("needs", {})),
        state_carry=table.get("state_carry", carry),
    )


def _timeouts(table: TimeoutsTable, base: Timeouts) -> Timeouts:
    """The times that ``table`` sets, over those of ``base``."""
    return Timeouts(
        health_check=float(table.get("health_check_timeout", base.health_check)),
        startup=float(table.get("engine_startup_timeout", base.startup)),
        idle=float(table.get("engine_idle_timeout", base.idle)),
        stop=float(table.get("engine_stop_timeout", base.stop)),
    )


def _tokenization(table: TokenizationTable) -> TokenizationSpec:
    given = TokenizationSpec()
    return TokenizationSpec(
        binary=table.get("binary"),
        extra_args=tuple(table.get("extra_args", ())),
        extra_tokens_per_message=table.get(
            "extra_tokens_per_message", given.extra_tokens_per_message
        ),
        extra_tokens_per_request=table.get(
            "extra_tokens_per_request", given.extra_tokens_per_request
        ),
        extra_tokens_per_image=table.get("extra_tokens_per_image", given.extra_tokens_per_image),
        extra_tokens_per_audio=table.get("extra_tokens_per_audio", given.extra_tokens_per_audio),
        default_max_tokens=table.get("default_max_tokens", given.default_max_tokens),
        max_reserved_tokens=table.get("max_reserved_tokens"),
    )
