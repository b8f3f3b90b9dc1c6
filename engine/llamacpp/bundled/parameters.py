"""Put the parsed parameters into llama.cpp's own record, with the defaults of llama-server.

The record is filled by its attributes, so this file does not import xllamacpp.
"""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING, Any, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.llamacpp.bundled.flags import Value

_TEMPLATE: Final = ":template."
_TENSORS: Final = ":tensors."
_CHOSEN: Final = ":chosen."
_LOAD_MODES: Final = {
    (True, True): "LLAMA_LOAD_MODE_MMAP_MLOCK",
    (True, False): "LLAMA_LOAD_MODE_MLOCK",
    (False, True): "LLAMA_LOAD_MODE_MMAP",
    (False, False): "LLAMA_LOAD_MODE_NONE",
}
"""The load mode for the flags (--mlock, --mmap) of older llama-servers."""


def apply(parameters: Mapping[str, Value], params: Any, sampling: Any) -> None:  # noqa: ANN401 - xllamacpp has no types
    """Fill ``params``, a ``CommonParams``; ``sampling`` enumerates the sampling values."""
    plain: dict[str, Value] = {"n_parallel": 1}
    template = {"preserve_reasoning": "true"}
    tensors: list[str] = []
    chosen = 0
    for name, value in parameters.items():
        if name.startswith(_TEMPLATE):
            template[name.removeprefix(_TEMPLATE)] = str(value)
        elif name.startswith(_TENSORS):
            tensors += [str(value)] if value else []
        elif name.startswith(_CHOSEN):
            chosen |= sampling["COMMON_PARAMS_SAMPLING_CONFIG_" + name.removeprefix(_CHOSEN)].value
        elif not name.startswith(":"):
            plain[name] = value
    if ":mlock" in parameters or ":mmap" in parameters:
        wanted = bool(parameters.get(":mlock", False)), bool(parameters.get(":mmap", True))
        plain["load_mode"] = _LOAD_MODES[wanted]
    plain |= _threads(parameters)
    for name, value in plain.items():
        _put(params, name, value)
    params.default_template_kwargs = template
    params.sampling.user_sampling_config = chosen
    if tensors:
        params.tensor_buft_overrides = ",".join(tensors)


def _threads(parameters: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return one thread for each core, as llama-server does; llama.cpp would take four."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    every = usable or 1
    cores = min(psutil.cpu_count(logical=False) or every, every)
    generation = parameters.get("cpuparams.n_threads", cores)
    prompts = parameters.get("cpuparams_batch.n_threads", generation)
    return {
        name: threads if isinstance(threads, int) and threads > 0 else every
        for name, threads in (
            ("cpuparams.n_threads", generation),
            ("cpuparams_batch.n_threads", prompts),
        )
    }


def _put(params: Any, name: str, value: Value) -> None:  # noqa: ANN401 - xllamacpp has no types
    """Set one attribute by its path, and convert the value to the attribute's type."""
    *path, attribute = name.split(".")
    for step in path:
        params = getattr(params, step)
    present = getattr(params, attribute)
    if isinstance(present, enum.Enum):
        setattr(params, attribute, type(present)[str(value)])
    elif isinstance(present, list | set):
        setattr(params, attribute, type(present)(value))  # type: ignore[arg-type]  # as above
    else:
        setattr(params, attribute, value)
