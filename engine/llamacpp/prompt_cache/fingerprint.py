"""The fingerprint of a variant: a saved slot can be restored only where it is the same.

A saved slot has the keys and values that one model computed in one layout. Every argument counts,
except those that are known not to change the content: they distribute the work (threads, layers on
the GPU), limit it (context, batch) or name things.
"""

from __future__ import annotations

import hashlib
import json
import re
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from engine.llamacpp.arguments import ARGUMENTS, Arguments, plain
from engine.llamacpp.shipped import bundled_server, bundled_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from models.spec import VariantSpec

# llama-server's arguments with a value that do not change the content of a saved slot.
_WITH_VALUE = frozenset(
    """
    -c --ctx-size -n --predict --n-predict -b --batch-size -ub --ubatch-size -t
    --threads -tb --threads-batch -C --cpu-mask -Cr --cpu-range --prio --poll -ngl --gpu-layers
    --n-gpu-layers -ncmoe --n-cpu-moe -ot --override-tensor -sm --split-mode -ts --tensor-split
    -mg --main-gpu -dev --device -fit --fit -fitt --fit-target -fitc --fit-ctx --host --port -a
    --alias --api-key --api-key-file --timeout -to --threads-http --slot-save-path -sps
    --slot-prompt-similarity -cram --cache-ram --cache-reuse --log-file -lv --log-verbosity
    --temp --top-k --top-p --min-p -s --seed --repeat-penalty --presence-penalty
    --frequency-penalty --reasoning-format --reasoning-budget --numa -lm --load-mode
    """.split()  # noqa: SIM905 - eighty lines of one word each read worse
)
# The same without a value.
_ALONE = frozenset(
    """
    --mlock --no-mmap --mmap --jinja --no-jinja --metrics --slots --no-slots --no-webui -cb
    --cont-batching -nocb --no-cont-batching --cpu-moe -cmoe --cache-idle-slots
    --no-cache-idle-slots --no-warmup --warmup -v --verbose
    --log-prefix --log-timestamps --log-disable --no-perf --perf --props
    """.split()  # noqa: SIM905 - eighty lines of one word each read worse
)
# The libraries of an engine. A new build may change them and not the executable.
_LIBRARY = re.compile(r"(?:lib)?(?:llama|ggml|mtmd)[^/]*\.(?:so|dylib|dll)(?:\.[\d.]+)?")


def deciding(args: Sequence[str]) -> list[str]:
    """Return the arguments in their order, without those that do not change the content."""
    kept = []
    left = iter(args)
    for arg in left:
        if plain(arg) in _WITH_VALUE:
            next(left, None)
        elif plain(arg) not in _ALONE:
            kept.append(arg)
    return kept


def fingerprint(variant: VariantSpec, env: Mapping[str, str]) -> str:
    """Return the hash of all that a saved slot of this variant depends on.

    ``env`` is the engine's whole environment; the variables of the variant and those that
    llama-server takes as arguments count. Of files the size and the time count; a missing file
    counts as missing.
    """
    chosen = {k: v for k, v in env.items() if k in variant.env or k.startswith(ARGUMENTS)}
    said: list[object] = [deciding(variant.args), sorted(chosen.items())]
    if variant.binary == bundled_server():
        # The launcher script is the same for every version of the engine.
        said.append(bundled_version())
    named = with_shards(Arguments(variant.args, env).files())
    files = [*named, variant.binary, *_libraries(variant.binary)]
    seen = [(path, *_state_of(path)) for path in files]
    # json.dumps, because names of files may not be valid UTF-8.
    return hashlib.blake2b(json.dumps([said, seen]).encode(), digest_size=16).hexdigest()


def with_shards(paths: Iterable[str]) -> list[str]:
    """Return the paths; for a file named …-00001-of-000NN.gguf, all files of its set."""
    found = []
    for path in paths:
        first = Path(path)
        stem, mark, total = first.stem.rpartition("-00001-of-")
        found += (
            sorted(map(str, first.parent.glob(f"{escape(stem)}-*-of-{total}{first.suffix}")))
            if mark
            else [path]
        )
    return found


def _libraries(binary: str) -> list[str]:
    """Return the engine's libraries beside the executable, as in the releases of llama.cpp."""
    try:
        beside = [str(path) for path in Path(binary).resolve().parent.iterdir()]
    except (OSError, RuntimeError):
        return []
    return sorted(path for path in beside if _LIBRARY.fullmatch(Path(path).name))


def _state_of(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
