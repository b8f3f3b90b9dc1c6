"""Change the rate of mono samples of 16 bits. Pure, and without a package for it."""

from __future__ import annotations

from array import array
from math import gcd


def resampled(samples: bytes, rate: int, wanted: int) -> bytes:
    """Return the samples at the rate ``wanted``, by a line between each and the next.

    It takes a few milliseconds for a second of sound.
    """
    if rate == wanted or rate <= 0:
        return samples
    have = array("h", samples[: len(samples) // 2 * 2])
    if not have:
        return b""
    count = len(have) * wanted // rate
    have.append(have[-1])
    made = array("h", bytes(2 * count))
    # Every ``period`` samples, the places between the old ones come again: all new samples that
    # have the same place are made at once.
    common = gcd(rate, wanted)
    step, period = rate // common, wanted // common
    for phase in range(min(period, count)):
        place, part = divmod(phase * step, period)
        number = len(range(phase, count, period))
        first = have[place::step][:number]
        if part:
            following = have[place + 1 :: step][:number]
            pairs = zip(first, following, strict=True)
            first = array("h", [one + (two - one) * part // period for one, two in pairs])
        made[phase::period] = first
    return made.tobytes()
