"""Convert a configuration of llama-swap. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from utils.config.convert.command_line import server_command, words_of
from utils.config.convert.document import Document
from utils.config.convert.lua_text import Noted, Raw

_MACRO = re.compile(r"\$\{([\w-]+)\}")
_LEVELS = {"warn": "warning"}
_PICKERS = {"warm": "warm", "pin": "first", "spillover": "spillover"}
_NOT_CONVERTED = "is not converted"
_LEAST_START, _USUAL_START = 15, 120
# Of the whole file, and of a model: what is converted, or means nothing here.
_KNOWN = frozenset(
    """healthCheckTimeout logLevel startPort includeAliasesInList globalTTL unloadTimeout macros
    models peers selectors hooks routing groups apiKeys logTimeFormat logToStdout logRequests
    metricsMaxInMemory""".split()  # noqa: SIM905 - a list of words reads worse
)
_KNOWN_OF_MODEL = frozenset(
    """macros cmd name description env proxy checkEndpoint ttl unloadTimeout useModelName filters
    aliases unlisted metadata concurrencyLimit capabilities sendLoadingState timeouts
    compat""".split()  # noqa: SIM905 - as above
)


def from_llama_swap(said: Mapping[str, Any]) -> Document:
    """Return what means the same."""
    made = Document(server=_server(said))
    made.notes += [f"{name}: {_NOT_CONVERTED}" for name in said if name not in _KNOWN]
    if said.get("apiKeys"):
        made.notes.append("apiKeys: make keys with the accounts of the gateway")
    macros = _strings(said.get("macros"))
    for name, model in _table(said.get("models")).items():
        made.models.append(_model(str(name), _table(model), macros))
    for name, peer in _table(said.get("peers")).items():
        made.models += _peer(str(name), _table(peer), macros)
    for name, selector in _table(said.get("selectors")).items():
        made.routes[str(name)] = _route(_table(selector), str(name), made)
    _groups(said, made)
    return made


def _server(said: Mapping[str, Any]) -> dict[str, Any]:
    start = max(_LEAST_START, said.get("healthCheckTimeout", _USUAL_START))
    server: dict[str, Any] = {
        "listen_v4": "0.0.0.0:8080",
        "engine_startup_timeout": start,
        "engine_idle_timeout": said.get("globalTTL") or "never",
        "list_aliases": bool(said.get("includeAliasesInList", False)),
        "port_range_start": said.get("startPort", 5800),
    }
    if said.get("unloadTimeout"):
        server["engine_stop_timeout"] = said["unloadTimeout"]
    if level := said.get("logLevel"):
        server["log_level"] = _LEVELS.get(level, level)
    wanted = _table(_table(said.get("hooks")).get("on_startup")).get("preload")
    known = _table(said.get("models"))
    if preload := [name for name in wanted or () if name in known]:
        server["preload"] = preload
    return server


def _model(name: str, said: Mapping[str, Any], above: Mapping[str, str]) -> Noted:
    macros = {**above, **_strings(said.get("macros")), "MODEL_ID": name}
    notes = [f"{key}: {_NOT_CONVERTED}" for key in said if key not in _KNOWN_OF_MODEL]
    said = _replaced(said, macros)
    env = dict(each.partition("=")[::2] for each in said.get("env") or ())
    words = words_of(said.get("cmd", ""))
    proxy = str(said.get("proxy") or "")
    found = server_command(words)
    if found is not None:
        made = found.model(name, env)
    else:
        command = {"command": words, **({"env": env} if env else {})}
        made = {"name": name, "engine": Raw("presets.engines.generic"), "variants": [command]}
        if "${PORT}" not in str([words, env]):
            made["connect"] = proxy or "http://127.0.0.1:5800"
            if not proxy:
                notes.append("connect: write here where the command listens")
        if said.get("concurrencyLimit"):
            command["parallel"] = said["concurrencyLimit"]
    if (path := said.get("checkEndpoint")) == "none":
        notes.append("checkEndpoint: the engine needs a path that answers when it is ready")
    elif path:
        made["health_path"] = path
    return Noted({**made, **_of_model(name, said, notes)}, tuple(notes))


def _of_model(name: str, said: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Return the keys of a model that are not about its command."""
    shown = {key: said[key] for key in ("name", "description") if said.get(key)}
    ttl = said.get("ttl", -1)
    made = {
        **_filtered(name, said, notes),
        "engine_idle_timeout": None if ttl < 0 else ttl or "never",
        "engine_stop_timeout": said.get("unloadTimeout"),
        "upstream_model": said.get("useModelName"),
        "unlisted": said.get("unlisted"),
        "metadata": {**shown, **_table(said.get("metadata"))},
        "capabilities": _capabilities(_table(said.get("capabilities"))),
    }
    return {key: value for key, value in made.items() if value}


def _filtered(name: str, said: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Return the aliases and the parameters of a model."""
    filters = _table(said.get("filters"))
    by_alias = dict(_table(filters.get("setParamsByID")))
    own = by_alias.pop(name, {})
    if own:
        notes.append("set_params: those of the model's own name hold for its aliases, too")
    aliases = [each for each in said.get("aliases") or () if each not in by_alias]
    return {
        # Names without parameters are a list, those with parameters keys of the same table.
        "aliases": dict(enumerate(aliases, 1)) | by_alias if by_alias else aliases,
        "strip_params": _stripped(filters),
        "set_params": {**_table(filters.get("setParams")), **own},
    }


def _stripped(filters: Mapping[str, Any]) -> list[str]:
    names = str(filters.get("stripParams") or "").split(",")
    return [name.strip() for name in names if name.strip()]


def _capabilities(said: Mapping[str, Any]) -> list[str]:
    takes, gives = said.get("in") or (), said.get("out") or ()
    able = {
        "text": "text" in gives or "text" in takes,
        "vision": "image" in takes,
        "audio": "audio" in takes,
        "speech": "audio" in gives,
        "image": "image" in gives,
        "tools": said.get("tools"),
        "rerank": said.get("reranker"),
    }
    return [name for name, has in able.items() if has]


def _peer(name: str, said: Mapping[str, Any], macros: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a model for each one of another server."""
    said = _replaced(said, macros)
    filters, key = _table(said.get("filters")), str(said.get("apiKey") or "")
    more: dict[str, Any] = {}
    if found := re.fullmatch(r"\$\{env\.(\w+)\}", key):
        more["api_key_env"] = found[1]
    elif key:
        more["api_key"] = key
    if strip := _stripped(filters):
        more["strip_params"] = strip
    if filters.get("setParams"):
        more["set_params"] = filters["setParams"]
    return [
        {
            "name": f"{name}/{model}",
            "engine": Raw("presets.engines.remote"),
            "url": said.get("proxy", ""),
            "upstream_model": model,
            **more,
        }
        for model in said.get("models") or ()
    ]


def _route(said: Mapping[str, Any], name: str, made: Document) -> dict[str, Any]:
    strategy = said.get("strategy", "pin")
    targets = list(said.get("targets") or ())
    route: dict[str, Any] = {"to": targets, "pick": _PICKERS.get(strategy, "first")}
    if strategy not in _PICKERS:
        made.notes.append(f"selectors.{name}: the strategy {strategy} {_NOT_CONVERTED}")
    if strategy == "spillover":
        most = _table(said.get("settings")).get("spillover", 1)
        route["limits"] = dict.fromkeys(targets[:-1], most)
    return route


def _groups(said: Mapping[str, Any], made: Document) -> None:
    """Put models that run together into groups. Without one, a model runs alone."""
    settings = _table(_table(_table(said.get("routing")).get("router")).get("settings"))
    groups = _table(settings.get("groups")) or _table(said.get("groups"))
    if settings.get("matrix"):
        made.notes.append(f"routing.router.settings.matrix: {_NOT_CONVERTED}; see groups")
    names = {each.value["name"]: each for each in made.models if isinstance(each, Noted)}
    most = 1
    for name, given in groups.items():
        group = _table(given)
        members = [member for member in group.get("members") or () if member in names]
        if group.get("swap", True):
            if group.get("persistent"):
                made.notes.append(f"groups.{name}: persistent, with swap, {_NOT_CONVERTED}")
            continue
        for member in members:
            names[member].value["group"] = str(name)  # type: ignore[index]  # a dict of ours
        if members:
            most = max(most, len(members))
            made.groups[str(name)] = {"persistent": bool(group.get("persistent"))}
        if not group.get("exclusive", True) and not group.get("persistent"):
            made.notes.append(f"groups.{name}: it ends models of other groups, as if exclusive")
    if most > 1:
        kept = sum(
            model.value.get("group") == name
            for name, group in made.groups.items()
            if group["persistent"]
            for model in names.values()
        )
        made.server["max_loaded_models"] = max(most, kept + 1)


def _replaced(value: Any, macros: Mapping[str, str]) -> Any:  # noqa: ANN401 - what YAML has
    """Return the value with macros in its texts replaced, also macros in macros."""
    if isinstance(value, Mapping):
        return {_replaced(key, macros): _replaced(each, macros) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, macros) for each in value]
    if not isinstance(value, str):
        return value
    for _ in range(len(macros) + 1):
        found = _MACRO.sub(lambda one: macros.get(one[1], one[0]), value)
        if found == value:
            break
        value = found
    return value


def _strings(said: object) -> dict[str, str]:
    return {str(name): _plain(value) for name, value in _table(said).items()}


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
