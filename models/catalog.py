"""The catalog: all configured models and routes, by name and alias.

It is built once from checked tables and never changes. It knows no engines and no requests.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from models.downloads.reference import NOT_READ
from models.routing.needed import RouteNeeded
from models.spec import GroupSpec, ModelSpec, Timeouts, VariantSpec, untagged
from utils.config.peers import PeerTable
from utils.config.routes import RouteTable
from utils.config.schema import keys_of, read
from utils.config.settings import ServerSettings
from utils.config.tables import ModelTable
from utils.errors import BadRequest, ModelMissing, ModelNotFound, ModelUnread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.downloads.reference import Missing
    from models.requests.endpoints import Endpoint
    from models.requests.fields import Json
    from utils.config.tables import VariantTable
    from utils.errors import GatewayError


# The name of a variant that has neither a name nor a context.
UNNAMED = "default"
# What a request may name to get any model that can answer it.
AUTO = "auto"
# Models that an error names.
_SHOWN = 100


class Catalog:
    """The models in the order of the configuration; finds them by name or alias.

    ``routes`` are names that stand for several models. So are those in ``shared``, of models that
    ``peers`` have, and perhaps this gateway too. ``missing`` are models that are not on this
    machine, by their names.
    """

    __slots__ = (
        "_by_name",
        "_certain",
        "default",
        "groups",
        "missing",
        "models",
        "peers",
        "routes",
        "shared",
    )

    def __init__(
        self,
        models: Iterable[ModelSpec],
        default: str | None = None,
        groups: Iterable[GroupSpec] = (),
        routes: Iterable[RouteTable] = (),
        peers: Iterable[PeerTable] = (),
        shared: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
        missing: Iterable[Missing] = (),
    ) -> None:
        self.models = tuple(models)
        self.groups = tuple(groups)
        self.routes = {route.name: route for route in routes}
        self.peers = {peer.name: peer for peer in peers}
        self.shared = shared
        self._by_name = {
            name: model for model in self.models for name in (model.name, *model.aliases)
        }
        # The names of a single model each, which nothing stands in for.
        self._certain = {
            name: model
            for name, model in self._by_name.items()
            if name not in shared and not model.fallback
        }
        self.missing = {
            name: each
            for each in missing
            for name in (each.name, *each.aliases)
            if name not in self._by_name and name not in shared
        }
        # A single model is the default, even without default_model.
        if default is None and len(self.models) == 1:
            default = self.models[0].name
        if default is not None and default not in self.routes:
            default = self._by_name[default].name
        self.default = default

    @classmethod
    def from_tables(
        cls,
        tables: Iterable[Mapping[str, Any] | ModelSpec],
        settings: ServerSettings,
        groups: Iterable[Mapping[str, Any]] = (),
        routes: Iterable[Mapping[str, Any]] = (),
        peers: Iterable[Mapping[str, Any]] = (),
        missing: Iterable[Missing] = (),
    ) -> Catalog:
        """Return the catalog of checked tables, or models; they inherit from ``settings``."""
        tables = list(tables)
        plain = [each for each in tables if not isinstance(each, ModelSpec)]
        made = iter(models_of(plain, settings))
        return cls(
            (each if isinstance(each, ModelSpec) else next(made) for each in tables),
            settings.default_model,
            (read(GroupSpec, group) for group in groups),
            (read(RouteTable, route) for route in routes),
            (read(PeerTable, peer) for peer in peers),
            missing=missing,
        )

    def with_models(self, models: Iterable[ModelSpec]) -> Catalog:
        """Return the same catalog with these models, of which none is missing any more."""
        return Catalog(
            models,
            self.default,
            self.groups,
            self.routes.values(),
            self.peers.values(),
            self.shared,
            dict.fromkeys(self.missing.values()),
        )

    def __contains__(self, name: object) -> bool:
        """Return whether a model, a route or a shared model has this name."""
        return self.has_model(name) or name in self.routes or name in self.shared

    def may_have(self, name: str) -> bool:
        """Return whether the name is known, or a peer may have it."""
        return name in self or name.partition("/")[0] in self.peers

    def has_model(self, name: object) -> bool:
        """Return whether ``find`` finds a model of this name."""
        return name in self._by_name or (isinstance(name, str) and untagged(name) in self._by_name)

    def asked(self, endpoint: Endpoint, request: Json, name: str | None) -> ModelSpec:
        """Return the model that a request is for; RouteNeeded if the models must be compared.

        That is so if it names a route, or ``auto``, or nothing where there are several models; and
        if another model may have to answer in its place.
        """
        model = self._certain.get(name or "")
        if model is not None:
            return model
        plain = None if name is None else untagged(name)
        if plain is None:
            if self.default in self.routes:
                plain = self.default
            elif len(self.models) == 1 and not self.shared:
                return self.models[0]
        several = plain is None or plain in self.routes or plain in self.shared
        if several or (plain == AUTO and not self.has_model(plain)):
            raise RouteNeeded(endpoint, request, plain)
        if plain in self.missing:
            raise self._missing(plain, stream=request.get("stream") is True)
        model = self.find(name)
        if model.fallback and not endpoint.auxiliary:
            known = name if name in self._by_name else plain
            raise RouteNeeded(endpoint, request, known or model.name)
        return model

    def find(self, name: str | None) -> ModelSpec:
        """Return the model with this name or alias; without a name, the default model.

        Ollama's clients add the tag ``:latest`` to a name without one; it is ignored. Raises
        ModelNotFound for an unknown name, ModelMissing for a model that is not on this machine,
        BadRequest if there is no name and no default.
        """
        model = self._by_name.get(name or self.default or "")
        if model is None and name:
            model = self._by_name.get(untagged(name))
        if model is not None:
            return model
        if name and untagged(name) in self.missing:
            raise self._missing(untagged(name))
        known = ", ".join(map(_names, self.models[:_SHOWN]))
        if (more := len(self.models) - _SHOWN) > 0:
            known += f" and {more} more"
        if name and (untagged(name) in self.routes or untagged(name) in self.shared):
            raise BadRequest(
                f"'{name}' stands for several, and this needs a model. Available models: {known}.",
                param="model",
            )
        if name:
            raise ModelNotFound(
                f"The model '{name}' does not exist. Available models: {known}.",
                param="model",
                name=name,
            )
        raise BadRequest(
            f"This request names no model, and there is no default. Available models: {known}.",
            param="model",
        )

    def _missing(self, name: str, *, stream: bool = False) -> GatewayError:
        each = self.missing[name]
        if each.download == NOT_READ:
            message = f"What the file of '{name}' holds is still being read. Ask again."
            return ModelUnread(message, model=each.name)
        return ModelMissing(
            f"The model '{name}' is not on this machine. An operator can fetch it: models pull "
            f"{each.wanted}.",
            model=name,
            stream=stream,
        )


def models_of(tables: Iterable[Mapping[str, Any]], settings: ServerSettings) -> list[ModelSpec]:
    """Return the models of checked tables; they inherit from ``settings``."""
    above = {known.name: getattr(settings, known.name) for known in keys_of(ServerSettings)}
    return [_model(read(ModelTable, table, above)) for table in tables]


def _names(model: ModelSpec) -> str:
    also = f" (also {', '.join(model.aliases)})" if model.aliases else ""
    return f"{model.name}{also}"


def _model(table: ModelTable) -> ModelSpec:
    variants = (_variant(variant, table) for variant in table.variants)
    return ModelSpec(
        name=table.name,
        variants=tuple(sorted(variants, key=lambda variant: variant.capacity)),
        aliases=tuple(a if isinstance(a, str) else a["name"] for a in table.aliases),
        connect=table.connect,
        group=table.group,
        pinned=table.pinned,
        grow_answers=table.grow_answers,
        grow_ahead=table.grow_ahead,
        tokenization=table.tokenization,
        capabilities=table.capabilities,
        set_params=table.set_params,
        strip_params=table.strip_params,
        upstream_model=table.upstream_model,
        found=table.found,
        size=table.size,
        quantisation=table.quantisation,
        unlisted=table.unlisted,
        fallback=table.fallback,
        metadata=table.metadata,
        max_seconds=table.max_seconds,
        max_characters=table.max_characters,
        alias_params=MappingProxyType(
            {
                a["name"]: MappingProxyType(a["params"])
                for a in table.aliases
                if not isinstance(a, str)
            }
        ),
    )


def _variant(table: VariantTable, model: ModelTable) -> VariantSpec:
    timeouts = Timeouts(
        health_check=table.health_check_timeout,
        startup=table.engine_startup_timeout,
        idle=table.engine_idle_timeout,
        stop=table.engine_stop_timeout,
        stall=table.stall_timeout,
    )
    binary, *args = table.command or (table.binary, *table.args)
    return VariantSpec(
        model=model.name,
        engine=model.engine,
        name=table.name or ("" if table.context else UNNAMED),
        context=table.context,
        binary=binary,
        timeouts=timeouts,
        args=tuple(args),
        env=table.env,
        parallel=table.parallel,
        needs=table.needs,
        estimated=table.estimated,
        state_carry=table.state_carry,
        url=model.url,
        api_key=model.api_key,
        api_key_env=model.api_key_env,
        endpoints=model.endpoints,
        health_path=model.health_path,
        ready_status=model.ready_status,
        stop_signal=model.stop_signal,
        count=model.count,
        on_ready=table.on_ready,
        on_stop=table.on_stop,
        wake=model.wake,
        max_seconds=model.max_seconds,
    )
