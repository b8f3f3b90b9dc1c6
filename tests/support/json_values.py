"""JSON values of any form, each from one string of bytes that Hypothesis draws.

Hypothesis draws a value of many parts one by one, which takes longer than what a test does with it.
Here each byte decides one part. Where the bytes end, the rest is as simple as can be, so a failing
example becomes small as its bytes become few.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Made = TypeVar("_Made")
# Characters that are written, counted or cut in another way than most.
_ODD = '\0\x1f"\\/\x7f\x85\xa0\xadßé\u0301\u200b\u2028\ud7ff\ufeff\ufffd\uffff🦙\U0010ffff'
_EDGES = (2**31 - 1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, -(10**30))
_FLOATS = (0.5, -0.0, 1e308, 5e-324, float("inf"), float("-inf"), float("nan"), 100.0, 1e30)


class Parts:
    """Decisions from bytes, in their order."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def __repr__(self) -> str:
        return f"Parts({self._raw!r})"

    def below(self, count: int) -> int:
        """Return a number from 0 to ``count`` - 1; 0 after the last byte."""
        if self._at == len(self._raw):
            return 0
        self._at += 1
        return self._raw[self._at - 1] % count

    def large(self, count: int) -> int:
        """Return a number from 0 to ``count`` - 1, which may be large; small ones are frequent."""
        size = self.below(4)
        return sum(self.below(256) << 8 * at for at in range(size)) % count

    def one_of(self, choices: Sequence[_Made]) -> _Made:
        return choices[self.below(len(choices))]

    def several(self, most: int, make: Callable[[], _Made]) -> list[_Made]:
        """Return up to ``most`` things that ``make`` returns."""
        return [make() for _ in range(self.below(most + 1))]

    def text(self, most: int) -> str:
        """Return a text of up to ``most`` characters, none of them a surrogate."""
        return "".join(self.several(most, self._character))

    def number(self) -> float:
        """Return an integer or a float of any size."""
        kind = self.below(5)
        if kind == 0:
            return self.below(256)
        if kind == 1:
            return self.one_of(_EDGES)
        if kind == 2:
            return self.one_of(_FLOATS)
        some = bytes(self.below(256) for _ in range(8))
        return float(struct.unpack("<d", some)[0]) if kind == 3 else int.from_bytes(some, "big")

    def value(self, depth: int = 4, names: Sequence[str] = ()) -> Any:
        """Return any JSON value of up to ``depth`` levels. Its objects have ``names``, or any."""
        kind = self.below(9 if depth else 6)
        if kind < 3:
            return (None, True, False)[kind]
        if kind == 3:
            return self.number()
        if kind < 6:
            return self.text(8)
        if kind == 6:
            return self.several(4, lambda: self.value(depth - 1, names))
        name = partial(self.one_of, names) if names else partial(self.text, 6)
        return dict(self.several(4, lambda: (name(), self.value(depth - 1, names))))

    def _character(self) -> str:
        kind = self.below(4)
        if kind == 1:
            return self.one_of(_ODD)
        if kind == 2:
            # The first plane without its surrogates.
            return chr((self.below(256) << 8 | self.below(256)) % 0xD800)
        return chr(32 + self.below(95))


def from_bytes(make: Callable[[Parts], _Made], size: int = 64) -> st.SearchStrategy[_Made]:
    """Return a strategy of what ``make`` makes of about ``size`` bytes."""
    return st.binary(min_size=size // 2, max_size=size * 3 // 2).map(lambda raw: make(Parts(raw)))


ANY_PARTS: st.SearchStrategy[Parts] = from_bytes(lambda parts: parts, 32)
ANY_JSON: st.SearchStrategy[Any] = from_bytes(Parts.value)
