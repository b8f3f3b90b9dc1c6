"""accounts/money.py: nothing is rounded but a part of a nano-unit, and that is rounded up."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.money import LARGEST, NANO, Price, as_text, to_nano

AMOUNTS = st.integers(-LARGEST, LARGEST)
PRICES = st.integers(0, 10**13)
TOKENS = st.integers(0, 10**7)


@given(AMOUNTS)
def test_text_and_back_is_the_same_amount(nano: int) -> None:
    assert to_nano(as_text(nano)) == nano
    assert Decimal(as_text(nano)) * NANO == nano


@pytest.mark.parametrize(
    ("amount", "nano", "text"),
    [
        ("0.0001", 100_000, "0.0001"),
        (0.1, 10**8, "0.1"),
        (25, 25 * NANO, "25"),
        ("-12.50", -12_500_000_000, "-12.5"),
        ("0", 0, "0"),
        (1e-9, 1, "0.000000001"),
    ],
)
def test_amounts_as_people_write_them(amount: str | float, nano: int, text: str) -> None:
    assert to_nano(amount) == nano
    assert as_text(nano) == text


@pytest.mark.parametrize("amount", ["", "ten", "0.0000000001", "1e30", "nan", "-Infinity", "1,5"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"amount|too large"):
        to_nano(amount)


def test_the_prices_of_the_default() -> None:
    # 0.0001 and 0.0002 for a thousand tokens.
    price = Price(100_000_000, 50_000_000, 200_000_000)
    assert price.cost(1, 0) == 100
    assert price.cost(1000, 500) == to_nano("0.0002")
    assert price.cost(1000, 0, cached=1000) == to_nano("0.00005")
    assert price._replace(per_request=7).cost(0, 0) == 7


@given(PRICES, PRICES, PRICES, PRICES, TOKENS, TOKENS, TOKENS)
def test_a_cost_is_exact_and_never_above_its_bound(
    new: int, old: int, output: int, each: int, prompt: int, completion: int, cached: int
) -> None:
    price = Price(new, old, output, each)
    cost = price.cost(prompt, completion, cached)
    known = min(cached, prompt)
    exact = Fraction((prompt - known) * new + known * old + completion * output, 10**6)
    assert cost == each + ceil(exact)
    assert cost <= price.bound(prompt, completion)


@given(PRICES, st.integers(0, 10**15))
def test_the_tokens_for_an_amount_cost_no_more(output: int, money: int) -> None:
    price = Price(output=output)
    tokens = price.tokens_for(money)
    if output:
        assert price.cost(0, tokens) <= money < price.cost(0, tokens + 1)
    else:
        assert tokens == LARGEST
