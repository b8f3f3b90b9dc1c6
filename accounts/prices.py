"""Which price a model has: by the database, else by the configuration. Pure."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from accounts.money import LARGEST, NANO, Price, as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from utils.config.accounts import AccountsSettings, PriceTable

_INPUT, _OUTPUT, _PER_REQUEST = "0.0001", "0.0002", "0"
# Thousands of tokens in a million.
_THOUSANDS = 1000


class PriceList:
    """The prices of all models. ``own`` are those of the database that hold now, by model."""

    def __init__(self, settings: AccountsSettings, own: Mapping[str, Price] | None = None) -> None:
        self._own = own or {}
        self._usual = settings.pricing
        # The longest pattern is the most exact one.
        self._patterns = sorted(settings.prices, key=lambda table: -len(table.name))
        self._known: dict[str, Price] = {}

    def of(self, model: str) -> Price:
        """Return the price of this model."""
        price = self._known.get(model)
        if price is None:
            price = self._known[model] = self._own.get(model) or self._configured(model)
        return price

    def _configured(self, model: str) -> Price:
        fitting = (table for table in self._patterns if fnmatchcase(model, table.name))
        return price_of(next(fitting, self._usual), self._usual)


def price_of(table: PriceTable, usual: PriceTable) -> Price:
    """Return the price of a table; what it lacks is as in ``usual``."""
    new = table.input_per_1k or usual.input_per_1k or _INPUT
    cached = table.cached_per_1k or (None if table.input_per_1k else usual.cached_per_1k) or new
    output = table.output_per_1k or usual.output_per_1k or _OUTPUT
    each = table.per_request or usual.per_request or _PER_REQUEST
    return Price(
        _nano(new, _THOUSANDS), _nano(cached, _THOUSANDS), _nano(output, _THOUSANDS), _nano(each, 1)
    )


def _nano(text: str, times: int) -> int:
    """Return so many times the amount in nano-units, rounded up."""
    exact = Decimal(text) * NANO * times
    return min(LARGEST, int(exact.to_integral_value(ROUND_CEILING)))


def price_told(price: Price) -> dict[str, str]:
    """Return a price as decimal text: for a million tokens, and for a request."""
    amounts = price._asdict()
    return {name: as_text(amounts[name]) for name in _SHOWN}


_SHOWN = ("input", "cached", "output", "per_request")
