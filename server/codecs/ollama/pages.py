"""The pages of Ollama's API about models: which there are, what they are, which are loaded. Pure.

Names without a tag get ``:latest``, as clients of this API expect; requests may leave it out. What
the files of a model do not tell is empty or 0. The context is the largest that is configured: a
larger ``num_ctx`` gets no more.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from engine.resources.rules import RAM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.base import ModelFile
    from engine.scheduling.engine_table import EngineRecord
    from models.requests.fields import Json
    from models.spec import ModelSpec
    from server.codecs.known import Known

# The version of Ollama whose API this is. Clients refuse to work with one that is too old.
VERSION = "0.13.5"
_UNKNOWN = "unknown"
# Ollama's word for a capability, in the order in which it shows them.
_WORDS = {
    "text": "completion",
    "vision": "vision",
    "audio": "audio",
    "embeddings": "embedding",
    "tools": "tools",
}
_ARCHITECTURE = "general.architecture"
# A model that is never unloaded is so in a time without an end, which has no date.
_NEVER = timedelta(days=36_525)
_UNITS = ((1e9, "B", 1), (1e6, "M", 2), (1e3, "K", 0))


def tagged(name: str) -> str:
    """Return the name with a tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def when(moment: datetime) -> str:
    """Return the moment in the form of RFC 3339."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def tags_page(known: Iterable[Known], since: float) -> Json:
    """Return the page ``/api/tags``; ``since`` stands for the times of models without files."""
    return {
        "models": [
            {
                "name": tagged(each.name),
                "model": tagged(each.name),
                "modified_at": _modified(each.file, since),
                "size": each.file.facts.size if each.file else 0,
                "digest": _digest(each),
                "details": _details(each),
                "capabilities": _capabilities(each),
            }
            for each in known
        ]
    }


def show_page(known: Known, since: float) -> Json:
    """Return the page ``/api/show``."""
    file = known.file
    return {
        "license": file.facts.licence if file else "",
        "modelfile": f"# The model is set up in the gateway's configuration.\nFROM {known.name}\n",
        "parameters": _parameters(known.model),
        "template": file.template if file else "",
        "details": _details(known),
        "model_info": _info(known),
        "capabilities": _capabilities(known),
        "modified_at": _modified(file, since),
    }


class Loaded(NamedTuple):
    """A loaded model, its engine's record, and the seconds until it ends if nobody uses it."""

    known: Known
    record: EngineRecord
    left: float


def ps_page(loaded: Iterable[Loaded], now: datetime) -> Json:
    """Return the page ``/api/ps``, those that stay longest first."""
    models = []
    for known, record, left in sorted(loaded, key=lambda each: -each.left):
        taken = dict(record.memory)
        size = sum(taken.values()) or (known.file.facts.size if known.file else 0)
        stays = timedelta(seconds=max(0.0, left)) if isfinite(left) else _NEVER
        models.append(
            {
                "name": tagged(known.name),
                "model": tagged(known.name),
                "size": size,
                "digest": _digest(known),
                "details": _details(known),
                "expires_at": when(now + min(stays, _NEVER)),
                "size_vram": sum(taken[name] for name in taken if name != RAM),
                "context_length": record.variant.context or 0,
            }
        )
    return {"models": models}


def _details(known: Known) -> Json:
    file, families = known.file, []
    if file is None:
        about = {"format": "", "family": "", "parameter_size": "", "quantization_level": ""}
    else:
        facts = file.facts
        families = [facts.architecture, *(["clip"] if facts.vision else [])]
        about = {
            "format": file.format,
            "family": facts.architecture,
            "parameter_size": _human(facts.parameters),
            "quantization_level": facts.quantisation or _UNKNOWN,
        }
    details: Json = {"parent_model": "", **about, "families": families}
    if context := known.context:
        details["context_length"] = context
    if file is not None and file.facts.width:
        details["embedding_length"] = file.facts.width
    return details


def _info(known: Known) -> Json:
    info: Json = dict(known.file.info) if known.file else {}
    architecture = info.setdefault(_ARCHITECTURE, _UNKNOWN)
    info.setdefault("general.basename", known.model.name)
    if known.file is not None:
        info["general.parameter_count"] = known.file.facts.parameters
    if context := known.context:
        info[f"{architecture}.context_length"] = context
    return info


def _capabilities(known: Known) -> list[str]:
    able = known.able.certain
    found = [word for name, word in _WORDS.items() if name in able]
    if known.file is not None and "text" in able:
        found += ["insert"] if known.file.facts.fills_gaps else []
        found += ["thinking"] if known.file.facts.thinking else []
    return found


def _parameters(model: ModelSpec) -> str:
    lines = []
    for name, value in model.set_params.items():
        values = value if isinstance(value, list | tuple) else [value]
        lines += [f"{name:<30} {each}" for each in values if isinstance(each, str | int | float)]
    return "\n".join(lines)


def _modified(file: ModelFile | None, since: float) -> str:
    return when(datetime.fromtimestamp(file.modified if file else since, UTC))


def _digest(known: Known) -> str:
    """Return what changes with the model's files; reading all of them would take too long."""
    file = known.file
    state = (known.model.name, file.facts.size, file.modified) if file else (known.model.name,)
    return sha256(repr(state).encode()).hexdigest()


def _human(number: int) -> str:
    for size, unit, digits in _UNITS:
        if number >= size:
            return f"{number / size:.{digits}f}{unit}"
    return str(number) if number else ""
