"""Parse the command line of llama-server: arguments and environment in, parameters out.

The rules are those of llama-server:

* A value is the next argument; ``--flag=value`` is not allowed.
* In a long name ``_`` and ``-`` are the same. If a flag is repeated, the last one counts.
* ``LLAMA_ARG_*`` variables are read first, so an argument overrides its variable. A switch that
  can be turned off also has ``LLAMA_ARG_NO_*``; if that variable exists, the switch is off.

It is stricter than llama-server in one point: ``-c 4k`` is refused, not read as 4.

This file knows nothing of files, processes or llama.cpp. ``table.py`` lists the flags.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Value: TypeAlias = bool | int | float | str | tuple[str, ...] | tuple[float, ...]
Changes: TypeAlias = "Mapping[str, Value]"
Reader: TypeAlias = "Callable[[str], Changes]"

TRUE = ("on", "enabled", "true", "1")
FALSE = ("off", "disabled", "false", "0")


class FlagError(Exception):
    """The command line has an error, or a flag that this engine does not have."""


@dataclass(frozen=True)
class Flag:
    """One line of the table: the names of a flag, and how it changes the parameters.

    ``read`` turns the flag's value into changes. A flag without ``read`` is a switch: its names
    make the changes ``on``, and its ``off_names`` the changes ``off``.
    """

    names: tuple[str, ...]
    help: str
    read: Reader | None = None
    metavar: str = ""
    env: str | None = None
    on: Changes = field(default_factory=dict)
    off_names: tuple[str, ...] = ()
    off: Changes = field(default_factory=dict)
    value_optional: bool = False

    def from_variable(self, environment: Mapping[str, str]) -> Changes:
        """Return the changes for the flag's environment variable; none if it is not set.

        Raises FlagError for a value that is not valid.
        """
        if self.env is None:
            return {}
        if self.off_names and self.env.replace("LLAMA_ARG_", "LLAMA_ARG_NO_") in environment:
            return self.off
        if self.env not in environment:
            return {}
        value = environment[self.env]
        if self.read is None:
            if value in TRUE:
                return self.on
            if value in FALSE:
                return self.off
            raise FlagError(f'environment variable "{self.env}": expected on or off, got "{value}"')
        try:
            return self.read(value)
        except ValueError as fault:
            raise FlagError(f'environment variable "{self.env}": {fault}') from None

    def from_arguments(self, name: str, rest: Sequence[str]) -> tuple[Changes, int]:
        """Return the changes for ``name``, and how many arguments of ``rest`` are its value.

        Raises FlagError for a value that is missing or not valid.
        """
        if name in self.off_names:
            return self.off, 0
        if self.read is None:
            return self.on, 0
        try:
            if rest:
                return self.read(rest[0]), 1
            fault = "expected a value"
        except ValueError as refused:
            fault = str(refused)
        if self.value_optional and (not rest or rest[0].startswith("-")):
            return self.on, 0
        raise FlagError(f'argument "{name}": {fault}')


def parse(
    table: Sequence[Flag],
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> dict[str, Value]:
    """Return every parameter that is set, by its name in the table, or raise FlagError."""
    by_name = {name: flag for flag in table for name in (*flag.names, *flag.off_names)}
    parameters: dict[str, Value] = {}
    for flag in table:
        parameters |= flag.from_variable(environment)
    position = 0
    while position < len(arguments):
        name = arguments[position]
        if name.startswith("--"):
            name = name.replace("_", "-")
        if name not in by_name:
            raise FlagError(f"invalid argument: {arguments[position]}")
        changes, taken = by_name[name].from_arguments(name, arguments[position + 1 :])
        parameters |= changes
        position += 1 + taken
    return parameters


def usage(table: Sequence[Flag]) -> str:
    """Return the list of flags for ``--help``."""
    blocks = []
    for flag in table:
        names = ", ".join((*flag.names, *flag.off_names))
        block = [f"{names} {flag.metavar}".rstrip(), f"        {flag.help}"]
        if flag.env is not None:
            block.append(f"        (env: {flag.env})")
        blocks.append("\n".join(block))
    return "\n".join(blocks)
