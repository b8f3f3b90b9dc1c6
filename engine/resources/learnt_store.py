"""Measurements that outlive the gateway: memory needs, load times and prompt cache misses.

Each kind has a file in ``state_dir``. A variant with a changed definition has a new key, so it
starts without measurements. A file holds the ``MOST`` keys used last. An unreadable file is
ignored, with a line in the log.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import orjson

from engine.resources.rules import fingerprint, peak
from utils.logger import get_logger
from utils.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import EngineTypes
    from models.spec import VariantSpec

_Known = TypeVar("_Known")
_log = get_logger("memory")
FILE = "needs.json"
LOADS = "loads.json"
MISSES = "misses.json"
MOST = 256
_LARGEST_FILE = 1 << 20
# A smaller change, as a share, is not worth a write.
_NEWS = 0.01
_LOAD_NEWS = 0.1
# How many load times of a kind are kept: enough for a median when one or two are unusual.
_TIMES = 5
# Kinds of loads: from the disk, and after the files were preloaded.
COLD, WARM = "cold", "warm"


class _Learnt(ABC, Generic[_Known]):
    """Named values by the key of a variant's definition.

    Without a ``folder`` the values live in memory only. ``types`` tell which files and which
    variables of ``environ`` belong to a definition.
    """

    def __init__(
        self,
        folder: Path | None,
        environ: Mapping[str, str],
        name: str,
        types: EngineTypes | None = None,
    ) -> None:
        self._file = None if folder is None else folder / name
        # A copy, because each look at ``os.environ`` decodes what it finds.
        self._environ = dict(environ)
        self._types = types
        self._known = self._read()

    def files(self, variant: VariantSpec) -> list[str]:
        """Return the files that the variant's engine reads while it loads."""
        return [] if self._types is None else self._types.files(variant, self._environ)

    def key(self, variant: VariantSpec) -> str:
        """Return the variant's key, made from its command line, environment and files."""
        types, environ = self._types, self._environ
        inherited = {} if types is None else types.inherited(variant, environ)
        files = [_state_of(path) for path in (variant.binary, *self.files(variant))]
        return fingerprint(variant, inherited, tuple(files))

    def known(self, variant: VariantSpec) -> dict[str, _Known]:
        """Return what is known of the variant as it is defined now; reads no file if nothing is."""
        return self.of(self.key(variant)) if self._known else {}

    def of(self, key: str) -> dict[str, _Known]:
        """Return what is known for the key by now; empty if nothing is."""
        return dict(self._known.get(key, {}))

    @abstractmethod
    def _value(self, raw: object) -> _Known:
        """Return the value as it is read from the file, or raise TypeError for a wrong type."""

    def _know(self, key: str, after: dict[str, _Known], *, news: bool) -> None:
        self._known.pop(key, None)
        self._known[key] = after
        if news:
            self._save()

    def _read(self) -> dict[str, dict[str, _Known]]:
        if self._file is None:
            return {}
        try:
            with self._file.open("rb") as file:
                data = file.read(_LARGEST_FILE)
            entries = orjson.loads(data)["variants"]
            return {
                str(key): {name: self._value(raw) for name, raw in entry.items()}
                for key, entry in entries.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("ignored the unreadable file %s: %s", self._file, error)
            return {}

    def _save(self) -> None:
        # Another gateway may write to the same folder.
        others = {key: each for key, each in self._read().items() if key not in self._known}
        newest = list((others | self._known).items())[-MOST:]
        self._known = dict(newest)
        if self._file is None:
            return
        try:
            write_whole(self._file, orjson.dumps({"variants": self._known}))
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._file, error)


class LearntNeeds(_Learnt[int]):
    """The peak memory use of each variant, in bytes by resource."""

    def __init__(
        self, folder: Path | None, environ: Mapping[str, str], types: EngineTypes | None = None
    ) -> None:
        super().__init__(folder, environ, FILE, types)

    def learn(self, key: str, amounts: Mapping[str, int]) -> None:
        """Remember a measurement. A write error is logged and not raised."""
        before = self.of(key)
        after = peak(before, amounts)
        news = any(amount > before.get(name, 0) * (1 + _NEWS) for name, amount in after.items())
        self._know(key, after, news=news)

    def _value(self, raw: object) -> int:
        return _amount(raw)


class LoadTimes(_Learnt[list[int]]):
    """How long variants took to load: the last times of each kind. Kind "" is the last load."""

    def __init__(
        self, folder: Path | None, environ: Mapping[str, str], types: EngineTypes | None = None
    ) -> None:
        super().__init__(folder, environ, LOADS, types)

    def seconds(self, variant: VariantSpec) -> float:
        """Return the seconds of the last load; 0.0 if none is known."""
        times = self.times(variant)
        return times[-1] if times else 0.0

    def times(self, variant: VariantSpec, kind: str = "") -> list[float]:
        """Return the seconds of the last loads of that kind, the latest at the end."""
        return [each / 1000 for each in self.known(variant).get(kind, [])]

    def learn(self, variant: VariantSpec, seconds: float, kind: str = "") -> None:
        """Remember that the variant loaded in ``seconds``. A write error is logged, not raised."""
        key, taken = self.key(variant), max(1, round(1000 * seconds))
        before = self.of(key)
        last = before.get("", [0])[-1]
        after = before | {"": [taken]}
        if kind:
            after[kind] = [*before.get(kind, []), taken][-_TIMES:]
        self._know(key, after, news=bool(kind) or abs(taken - last) > _LOAD_NEWS * taken)

    def _value(self, raw: object) -> list[int]:
        if not isinstance(raw, list) or not raw:
            raise TypeError("the load times are not a list")
        return [_amount(each) for each in raw][-_TIMES:]


class PromptCacheMisses(_Learnt[int]):
    """How many prompt cache restores in a row saved no prefill, by fingerprint, and when."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__(folder, {}, MISSES)

    def since(self, fingerprint: str) -> tuple[int, int]:
        """Return the misses since the last useful restore, and the time of the last miss."""
        known = self.of(fingerprint)
        return known.get("misses", 0), known.get("at", 0)

    def learn(self, fingerprint: str, misses: int, at: float) -> None:
        """Remember the number of misses by now. A write error is logged and not raised."""
        if misses != self.since(fingerprint)[0]:
            self._know(fingerprint, {"misses": misses, "at": round(at)}, news=True)

    def _value(self, raw: object) -> int:
        return _amount(raw)


def _state_of(path: str) -> tuple[str, int, int] | None:
    with contextlib.suppress(OSError, ValueError):
        state = Path(path).stat()
        return path, state.st_size, state.st_mtime_ns
    return None


def _amount(raw: object) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or raw < 0:
        raise TypeError("an amount is not a whole number of 0 or more")
    return raw
