"""The models of peers: read from their lists, and added to a catalog. Pure.

A model of the peer ``box`` is ``box/name``. A name that several have, or only peers, is *shared*:
it stands for all of them, and the request goes where it is answered first.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from models.capabilities import NAMES
from models.catalog import UNNAMED, Catalog
from models.requests.endpoints import SPEECH
from models.spec import ModelSpec, Timeouts, VariantSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from utils.config.peers import PeerTable
    from utils.config.settings import ServerSettings

_GATEWAY = "llm-gateway"
# Requests that one engine of a peer gets at once; it has a queue of its own.
_PARALLEL = 64
# The model's state in a list of another gateway.
_READY, _STARTING = "ready", "starting"
# More models than any server has; what follows is not read.
_MOST = 2000
_MOST_VOICES = 20_000


class Told(NamedTuple):
    """What a peer tells of one of its models.

    ``capabilities`` are None where it does not tell. ``free`` requests would be answered at once;
    ``loadable``: the model would be loaded for one. It has ``busy`` requests, running and waiting.
    ``voices`` are those that it tells, each with its language, "" if that is not known.
    """

    name: str
    context: int | None = None
    capabilities: frozenset[str] | None = None
    ready: bool = False
    starting: bool = False
    free: int = 0
    loadable: bool = True
    load_seconds: float | None = None
    busy: int = 0
    voices: tuple[tuple[str, str], ...] = ()


class Listing(NamedTuple):
    """The models of a peer. Of a ``gateway`` like this one more is known than names."""

    models: tuple[Told, ...] = ()
    gateway: bool = False

    def lasting(self) -> tuple[object, ...]:
        """Return what makes the models what they are; the rest changes from moment to moment."""
        lasting = ((m.name, m.context, m.capabilities, m.voices) for m in self.models)
        return (self.gateway, *lasting)

    @property
    def speaks(self) -> bool:
        """Whether one of the models does, by what the peer tells."""
        return any(SPEECH.needs in (told.capabilities or ()) for told in self.models)


def read_listing(page: Any, peer: PeerTable) -> Listing:  # noqa: ANN401 - decoded JSON
    """Return what ``/v1/models`` of a peer tells; raise ValueError if that is no list of models.

    Models that the peer has from others, and its routes, are left out: they would come back.
    """
    entries = page.get("data") if isinstance(page, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is no list of models")  # noqa: TRY004 - the page, not an argument
    known = [each for each in entries[:_MOST] if isinstance(each, dict) and _is_own(each)]
    gateway = any(each.get("owned_by") == _GATEWAY for each in known)
    told = (_told(each, gateway=gateway) for each in known)
    wanted = {
        model.name: model
        for model in told
        if any(fnmatchcase(model.name, pattern) for pattern in peer.models)
    }
    return Listing(tuple(sorted(wanted.values())), gateway)


def with_load(listing: Listing, page: Any) -> Listing:  # noqa: ANN401 - decoded JSON
    """Return the listing with the requests that ``/running`` of the peer tells of each model."""
    busy: Counter[str] = Counter()
    if isinstance(page, dict):
        for part, amount in (("engines", "active"), ("queue", None)):
            entries = page.get(part)
            for each in entries if isinstance(entries, list) else ():
                if isinstance(each, dict) and isinstance(each.get("model"), str):
                    count = 1 if amount is None else each.get(amount)
                    busy[each["model"]] += count if isinstance(count, int) else 0
    models = (told._replace(busy=busy[told.name]) for told in listing.models)
    return listing._replace(models=tuple(models))


def with_voices(listing: Listing, page: Any) -> Listing:  # noqa: ANN401 - decoded JSON
    """Return the listing with the voices that ``/v1/audio/voices`` of the peer tells."""
    entries = page.get("voices") if isinstance(page, dict) else None
    voices: dict[str, dict[str, str]] = {}
    for each in entries[:_MOST_VOICES] if isinstance(entries, list) else ():
        if isinstance(each, dict) and isinstance(name := each.get("id"), str) and name:
            language = each.get("language")
            of_model = voices.setdefault(str(each.get("model")), {})
            of_model.setdefault(name, language if isinstance(language, str) else "")
    models = (
        told._replace(voices=tuple(voices.get(told.name, {}).items())) for told in listing.models
    )
    return listing._replace(models=tuple(models))


def _is_own(entry: Mapping[str, Any]) -> bool:
    name = entry.get("id")
    own = isinstance(name, str) and name != "" and name.isprintable()
    return own and not any(key in entry for key in ("peer", "alias_of", "models"))


def _told(entry: Mapping[str, Any], *, gateway: bool) -> Told:
    if not gateway:
        return Told(entry["id"])
    context, capabilities = entry.get("context_length"), entry.get("capabilities")
    free, seconds = entry.get("free_slots"), entry.get("load_seconds")
    known = [s for s in seconds.values() if _is_number(s)] if isinstance(seconds, dict) else []
    state = entry.get("state")
    return Told(
        entry["id"],
        context if isinstance(context, int) and context > 0 else None,
        frozenset(c for c in capabilities if c in NAMES)
        if isinstance(capabilities, list)
        else None,
        ready=state == _READY,
        starting=state == _STARTING,
        free=free if isinstance(free, int) else 0,
        loadable=entry.get("loadable") is not False,
        load_seconds=min(known, default=None),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and value > 0


def name_at(model: ModelSpec) -> str:
    """Return the model's name at its peer; its own name if it has no peer."""
    return model.name if model.peer is None else model.name.removeprefix(f"{model.peer}/")


def with_peers(
    catalog: Catalog, settings: ServerSettings, listings: Mapping[str, Listing]
) -> Catalog:
    """Return the catalog with the models that its peers have."""
    if not catalog.peers:
        return catalog
    own = [model for model in catalog.models if model.peer is None]
    taken = {name for model in own for name in (model.name, *model.aliases)} | {*catalog.routes}
    found = [
        _model(peer, told, settings, gateway=listing.gateway)
        for peer in catalog.peers.values()
        for listing in (listings.get(peer.name, Listing()),)
        for told in listing.models
        if f"{peer.name}/{told.name}" not in taken
    ]
    shared = _shared(own, [m for m in found if catalog.peers[str(m.peer)].share], catalog)
    return Catalog(
        (*own, *found),
        catalog.default,
        catalog.groups,
        catalog.routes.values(),
        catalog.peers.values(),
        shared,
        dict.fromkeys(catalog.missing.values()),
    )


def _shared(
    own: Sequence[ModelSpec], found: Iterable[ModelSpec], catalog: Catalog
) -> dict[str, tuple[str, ...]]:
    """Return the names that several have, or only peers, each with its models: our own first."""
    here = {model.name: model for model in own}
    aliases = {alias for model in own for alias in model.aliases}
    shared: dict[str, tuple[str, ...]] = {}
    for model in found:
        name = name_at(model)
        if name in catalog.routes or name in aliases:
            continue
        before = shared.get(name, (name,) if name in here else ())
        shared[name] = (*before, model.name)
    return shared


def _model(peer: PeerTable, told: Told, settings: ServerSettings, *, gateway: bool) -> ModelSpec:
    name = f"{peer.name}/{told.name}"
    variant = VariantSpec(
        model=name,
        context=told.context,
        binary="",
        timeouts=Timeouts(
            health_check=settings.health_check_timeout,
            startup=settings.engine_startup_timeout,
            idle=settings.engine_idle_timeout,
            stop=settings.engine_stop_timeout,
        ),
        parallel=_PARALLEL,
        engine="remote",
        name="" if told.context else UNNAMED,
        url=peer.url,
        api_key=peer.api_key,
        api_key_env=peer.api_key_env,
        # Others may not have this page, and would never be ready.
        health_path="/health" if gateway else None,
        wake=peer.wake if gateway else (),
    )
    return ModelSpec(
        name=name,
        variants=(variant,),
        capabilities=told.capabilities,
        upstream_model=told.name,
        peer=peer.name,
        voices=told.voices,
    )
