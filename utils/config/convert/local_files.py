"""Convert configurations that name the files of models: of three other programs. Pure."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING, Any

from utils.config.convert.document import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

_OFF = frozenset({"off", "false", "disabled", "no"})
_ON = frozenset({"on", "true", "enabled", "yes"})
# Arguments of llama-server that have an option of their own, by their names there.
_OPTIONS = {
    "c": "context_size",
    "ctx-size": "context_size",
    "t": "threads",
    "threads": "threads",
    "b": "batch_size",
    "batch-size": "batch_size",
    "ub": "ubatch_size",
    "ubatch-size": "ubatch_size",
    "ngl": "gpu_layers",
    "gpu-layers": "gpu_layers",
    "n-gpu-layers": "gpu_layers",
    "n-cpu-moe": "cpu_moe_layers",
    "m": "path",
    "model": "path",
    "mm": "mmproj",
    "mmproj": "mmproj",
    "md": "draft",
    "model-draft": "draft",
    "hf": "hf",
    "hf-repo": "hf",
    "hf-file": "file",
}
_NUMBERS = frozenset({"context_size", "threads", "batch_size", "ubatch_size", "cpu_moe_layers"})
_LAYERS = {"all": -1, "-1": "auto", "auto": "auto"}


def from_presets(text: str) -> Document:
    """Return what means the same as presets of llama-server. Raises ValueError for bad INI."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), default_section="")
    parser.optionxform = str  # type: ignore[method-assign,assignment]  # names keep their capitals
    try:
        parser.read_string(f"[top]\n{text}")
    except configparser.Error as error:
        raise ValueError(str(error)) from None
    made = Document()
    for section in parser.sections():
        if section == "top":
            continue
        table, preload = _preset(dict(parser[section]))
        if section == "*":
            made.defaults = table
            continue
        # A section without a model is called by its repository.
        where = {} if {"path", "hf"} & {*table} else {"hf": section}
        if "path" not in table:
            # The server fetches a model when it loads it.
            where["download"] = "start" if preload else "request"
        made.models.append({"name": section, **where, **table})
        if preload:
            made.server.setdefault("preload", []).append(section)
    return made


def _preset(said: Mapping[str, str]) -> tuple[dict[str, Any], bool]:
    """Return the options of a section, and whether its model is loaded at the start."""
    made: dict[str, Any] = {}
    more: list[str] = []
    preload = False
    for name, value in said.items():
        plain = name.lstrip("-").removeprefix("LLAMA_ARG_").replace("_", "-")
        plain = plain.lower() if name.isupper() else plain
        option = _OPTIONS.get(plain)
        if plain == "load-on-startup":
            preload = value.lower() in _ON
        elif plain == "stop-timeout":
            made["engine_stop_timeout"] = int(value)
        elif option == "gpu_layers":
            made[option] = _LAYERS.get(value.lower(), value if not value.isdigit() else int(value))
        elif option in _NUMBERS and value.isdigit():
            # No context means that of the model.
            if value != "0" or option != "context_size":
                made[option] = int(value)
        elif option is not None:
            made[option] = value
        else:
            more += _argument(plain, value)
    if more:
        made["extra_args"] = more
    return made, preload


def _argument(name: str, value: str) -> list[str]:
    flag = f"-{name}" if len(name) < 4 and "-" not in name else f"--{name}"  # noqa: PLR2004 - short names
    switch = name not in {"flash-attn", "fa", "reasoning", "fit"}
    if switch and value.lower() in _ON:
        return [flag]
    if switch and value.lower() in _OFF:
        return [f"--no-{name.removeprefix('no-')}"]
    return [flag, value]


def from_router(said: Mapping[str, Any]) -> Document:
    """Return what means the same as the ``router-config.json`` of llama-router."""
    router = said.get("router") or {}
    made = Document()
    made.server = {
        "listen_v4": f"{router.get('host', '127.0.0.1')}:{router.get('port', 8082)}",
        "port_range_start": router.get("base_port", 50000),
    }
    if router.get("admin_token"):
        made.server["admin_token"] = router["admin_token"]
    made.defaults = _spawn(said.get("default_spawn") or {})
    sizes: dict[str, int] = {}
    for each in said.get("models") or ():
        model = {"name": each["name"], "path": each["path"], **_spawn(each.get("spawn") or {})}
        if "--mmproj" in model.get("command", ()):
            model["mmproj"] = False
        if group := each.get("group"):
            model["group"] = group
            sizes[group] = sizes.get(group, 0) + 1
        made.models.append(model)
    if (most := max(sizes.values(), default=1)) > 1:
        made.server["max_loaded_models"] = most
    if any(each.get("state") == "auto" for each in said.get("models") or ()):
        made.notes.append("discover = true also serves what comes to the hub cache later")
    made.notes += [
        f"router.{name}: is not converted"
        for name in ("connection_timeout_s", "read_timeout_s")
        if name in router
    ]
    return made


def _spawn(said: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for theirs, ours in (("command", "command"), ("proxy_endpoints", "endpoints")):
        if said.get(theirs):
            made[ours] = list(said[theirs])
    if said.get("health_endpoint"):
        made["health_path"] = said["health_endpoint"]
    return made


def from_wrapper(said: Mapping[str, Any]) -> Document:
    """Return what means the same as the ``config.yaml`` of the LlamaWrapper gateway."""
    made = Document()
    host, _, port = str(said.get("listen_addr", ":8000")).rpartition(":")
    made.server = {
        "listen_v4": f"{host or '0.0.0.0'}:{port}",  # noqa: S104 - what it means there
        "port_range_start": said.get("port_range_start", 8081),
        "max_loaded_models": said.get("max_loaded_models", 2),
        "health_check_interval": said.get("health_check_sec", 30),
    }
    made.defaults = {
        "binary": said.get("llama_server_path", "llama-server"),
        "gpu_layers": 0,
        "context_size": 4096,
        "threads": 4,
        "batch_size": 512,
    }
    for each in said.get("models") or ():
        model = {"name": each["name"], "path": each["model_path"], "mmproj": False}
        for name in ("gpu_layers", "context_size", "threads", "batch_size", "extra_args"):
            if each.get(name) is not None:
                model[name] = each[name]
        made.models.append(model)
    return made
