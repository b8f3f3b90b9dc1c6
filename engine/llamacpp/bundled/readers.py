"""The building blocks of ``table.py``: readers of values, and short forms of ``Flag``. Pure.

A reader turns the text of a value into changes. It raises ValueError with what it expected.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Final

from engine.llamacpp.bundled.flags import FALSE, TRUE, Changes, Flag, Reader, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPERTS: Final = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
"""The names of the tensors that hold the experts of a mixture-of-experts model."""

_MOST_LAYERS: Final = 9999


def valued(names_: str, metavar: str, read: Reader, help_: str, env: str | None = None) -> Flag:
    """Return a flag with a value; ``names_`` are separated by spaces."""
    return Flag(tuple(names_.split()), help_, read, metavar, env)


def switch(
    names_: str,
    on: Changes,
    help_: str,
    env: str | None = None,
    off: tuple[str, Changes] = ("", {}),
) -> Flag:
    """Return a flag without a value; ``off`` has the names that turn it off, and the changes."""
    off_names = tuple(off[0].split())
    return Flag(tuple(names_.split()), help_, env=env, on=on, off_names=off_names, off=off[1])


def toggle(names_: str, off_names: str, target: str, help_: str, env: str) -> Flag:
    """Return a switch that makes one parameter true or false."""
    return switch(names_, {target: True}, help_, env, (off_names, {target: False}))


def text(target: str) -> Reader:
    """Read any value, as it is."""
    return lambda given: {target: given}


def integer(target: str, lowest: int = -(2**31), highest: int = 2**31 - 1) -> Reader:
    """Read an integer from ``lowest`` to ``highest``; by default any that llama.cpp can hold."""

    def read(given: str) -> Changes:
        return {target: _integer(given, lowest, highest)}

    return read


def decimal(target: str) -> Reader:
    """Read a number with or without a fraction."""
    return lambda given: {target: _decimal(given)}


def inverse(target: str) -> Reader:
    """Read a number above 0 as 1 divided by it."""

    def read(given: str) -> Changes:
        number = _decimal(given)
        if number <= 0:
            raise ValueError(f'expected a number above 0, got "{given}"')
        return {target: 1 / number}

    return read


def names(target: str) -> Reader:
    """Read one or more names, separated by commas."""

    def read(given: str) -> Changes:
        found = tuple(part.strip() for part in given.split(",") if part.strip())
        if not found:
            raise ValueError("expected at least one name")
        return {target: found}

    return read


def one_of(choices: Mapping[str, Changes]) -> Reader:
    """Read one of a few words, each with its changes."""

    def read(given: str) -> Changes:
        if given not in choices:
            raise ValueError(f'expected one of {", ".join(choices)}; got "{given}"')
        return choices[given]

    return read


def words(target: str, prefix: str, list_: str) -> Mapping[str, Changes]:
    """Return words for enumeration members: a member is the prefix and the word in capitals."""
    return {word: {target: prefix + word.upper().replace("-", "_")} for word in list_.split()}


def on_off(on: Changes, off: Changes) -> Mapping[str, Changes]:
    """Return llama-server's words for yes and no, with their changes."""
    return dict.fromkeys(TRUE, on) | dict.fromkeys(FALSE, off)


def on_off_auto(on: Changes, off: Changes, auto: Changes) -> Mapping[str, Changes]:
    """Return llama-server's words for yes, no and auto, with their changes."""
    return {**on_off(on, off), "auto": auto, "-1": auto}


def either(special: Mapping[str, Changes], otherwise: Reader) -> Reader:
    """Read one of a few words, or else with another reader."""
    return lambda given: special[given] if given in special else otherwise(given)


def both(first: Reader, second: Reader) -> Reader:
    """Read the value with two readers, and make the changes of both."""
    return lambda given: {**first(given), **second(given)}


def chosen(bit: str, read: Reader) -> Reader:
    """Read a sampling value and mark it as the user's, so that it overrides the model's own."""
    return lambda given: {**read(given), f":chosen.{bit}": True}


def chat_template(target: str) -> Reader:
    """Read a chat template, as text or as a file; of the two, the later one counts."""
    unset: dict[str, Value] = {"chat_template": "", ":file.chat_template": ""}
    return lambda given: {**unset, target: given}


def seed(given: str) -> Changes:
    """Read a seed of 32 bits; -1 becomes llama.cpp's value for a random seed."""
    return {"sampling.seed": _integer(given, -1, 2**32 - 1) % 2**32}


def first_experts(given: str) -> Changes:
    """Read a number of layers as the patterns that keep their experts in main memory."""
    layers = range(_integer(given, 0, _MOST_LAYERS))
    return {":tensors.n_cpu_moe": ",".join(rf"blk\.{layer}{EXPERTS}=CPU" for layer in layers)}


def template_arguments(given: str) -> Changes:
    """Read a JSON object as values for the chat template, each as JSON."""
    parsed = json.loads(given)  # its error is a ValueError that names the fault and its place
    if not isinstance(parsed, dict):
        raise ValueError(f"expected a JSON object, got {given}")  # noqa: TRY004 - a reader's error
    return {f":template.{key}": json.dumps(value) for key, value in parsed.items()}


def _integer(given: str, lowest: int, highest: int) -> int:
    try:
        number = int(given)
    except ValueError:
        raise ValueError(f'expected an integer, got "{given}"') from None
    if not lowest <= number <= highest:
        raise ValueError(f"expected an integer from {lowest} to {highest}, got {number}")
    return number


def _decimal(given: str) -> float:
    try:
        number = float(given)
    except ValueError:
        raise ValueError(f'expected a number, got "{given}"') from None
    if not isfinite(number):
        raise ValueError(f'expected a number, got "{given}"')
    return number
