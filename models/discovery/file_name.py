"""What the name of a model's file tells: its shard, its quantisation, what it is for. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.model_file import DRAFT, MODEL, OTHER, PROJECTOR

_SHARD = re.compile(r"^(?P<stem>.+)(?P<mark>-(?P<number>\d{5})-of-(?P<total>\d{5}))$")
_QUANTISATION = re.compile(
    r"(?:^|[-._ ])((?:UD-)?"
    r"(?:I?Q\d_[0-9A-Z]+(?:_[A-Z]+)*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32|FP16|FP32|FP8))"
    r"(?=$|[-._ ])",
    re.IGNORECASE,
)
# As in llama.cpp: a file with such a name is no model.
_BESIDE = (
    ("mmproj", PROJECTOR),
    ("imatrix", OTHER),
    ("mtp-", DRAFT),
    ("eagle3-", DRAFT),
    ("dflash-", DRAFT),
    ("dspark-", DRAFT),
)
# Words in the name of a projector that tell nothing about its model.
_PLAIN = re.compile(r"\b(?:mmproj|model|projector|clip|vision|encoder|gguf)\b")


@dataclass(frozen=True, slots=True)
class FileName:
    """The name of a file, taken apart.

    ``stem`` is without the shard; ``base`` also without the quantisation, in small letters. A file
    that is no shard is the first of one.
    """

    name: str
    stem: str
    base: str
    quantisation: str
    kind: str
    shard: int = 1
    shards: int = 1
    mark: str = ""

    @property
    def mark_of_first(self) -> str:
        """The mark of the set's first shard."""
        return f"-00001-of-{self.shards:05}" if self.mark else ""

    @property
    def first(self) -> str:
        """The name of the set's first shard."""
        return self.name.replace(self.mark, self.mark_of_first) if self.mark else self.name


def file_name(name: str, folder: str = "") -> FileName:
    """Return what ``name`` tells; the quantisation may also be in the name of its ``folder``."""
    stem = name[:-5] if name[-5:].lower() == ".gguf" else name
    number = total = 1
    mark = ""
    if (found := _SHARD.match(stem)) is not None:
        stem, mark = found["stem"], found["mark"]
        number, total = int(found["number"]), int(found["total"])
    quantisation, base = _quantisation(stem)
    return FileName(
        name,
        stem,
        _base(base),
        quantisation or _quantisation(folder.rpartition("/")[2])[0],
        _kind(name.lower()),
        number,
        total,
        mark,
    )


def _quantisation(text: str) -> tuple[str, str]:
    """Return the last quantisation in the text, and the text without it."""
    found = list(_QUANTISATION.finditer(text))
    if not found:
        return "", text
    last = found[-1]
    return last[1].upper(), text[: last.start()] + text[last.end() :]


def _base(text: str) -> str:
    words = _PLAIN.sub("", re.sub(r"[^a-z0-9.]+", " ", text.lower()))
    return "-".join(words.split())


def _kind(name: str) -> str:
    return next((kind for part, kind in _BESIDE if part in name), MODEL)
