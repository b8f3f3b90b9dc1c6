"""accounts/prices.py: which price counts."""

from __future__ import annotations

from accounts.money import Price
from accounts.prices import PriceList
from utils.config.accounts import AccountsSettings, PriceTable

USUAL = PriceTable(input_per_1k="0.001", cached_per_1k="0.0001", output_per_1k="0.002")


def test_without_a_word_the_prices_are_small() -> None:
    price = PriceList(AccountsSettings()).of("any")
    assert price == Price(100_000_000, 100_000_000, 200_000_000, 0)


def test_the_longest_pattern_counts_and_lacks_nothing() -> None:
    tables = (
        PriceTable(name="*", per_request="1"),
        PriceTable(name="qwen*", output_per_1k="0.5"),
        PriceTable(name="qwen3-*", input_per_1k="0.004"),
    )
    prices = PriceList(AccountsSettings(pricing=USUAL, prices=tables))
    assert prices.of("llama") == Price(10**9, 10**8, 2 * 10**9, 10**9)
    assert prices.of("qwen2") == Price(10**9, 10**8, 500 * 10**9)
    # Another price of the prompt is that of what was read before, too.
    assert prices.of("qwen3-4b") == Price(4 * 10**9, 4 * 10**9, 2 * 10**9)


def test_a_price_of_the_database_counts_before_the_file() -> None:
    own = Price(1, 2, 3, 4, id=7)
    prices = PriceList(AccountsSettings(pricing=USUAL), {"m": own})
    assert prices.of("m") == own
    assert prices.of("n").id is None


def test_a_price_too_fine_for_a_nano_unit_is_rounded_up() -> None:
    fine = PriceTable(input_per_1k="0.0000000000001")
    assert PriceList(AccountsSettings(pricing=fine)).of("m").input == 1
