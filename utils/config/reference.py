"""Write the tables of keys in docs/configuration.md from the schema.

``python -m utils.config.reference`` prints the page with new tables; ``--write`` saves it, and the
types for editors, see stubs.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.config.schema import KINDS, keys_of
from utils.config.servers import SERVERS
from utils.config.stubs import FILE, stubs
from utils.config.tables import TABLES, ModelTable, VariantTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from utils.config.schema import Key

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
NOTHING = "\N{EN DASH}"
_ABOVE = {"model": "`server`", "variant": "the model"}
_HEAD = "| Key | Type | Default | Meaning |\n|---|---|---|---|\n"
_HEAD_OF_CHANGES = "| Change | Effect |\n|---|---|\n"
_HEAD_OF_SERVERS = (
    "| Preset | Server | Ready when this answers | Serves | If its model can, set `endpoints` to "
    "| Counts tokens by | What it cannot | Known from |\n|---|---|---|---|---|---|---|---|\n"
)
# Where servers count tokens.
_COUNTS = {
    "vllm": "`/tokenize`",
    "tabbyapi": "`/v1/token/encode`, of completions",
    "koboldcpp": "`/api/extra/tokencount`, of completions",
}


def keys_table(title: str) -> str:
    """Return the table of keys of this name, with its head."""
    return _HEAD + "".join(_row(title, known) for known in keys_of(TABLES[title]))


def _row(title: str, known: Key) -> str:
    required = known.required or known.required_by
    name = f"**`{known.name}`**" if required else f"`{known.name}`"
    meaning, default = known.meaning, _default(known)
    if known.inherits and title in _ABOVE:
        meaning, default = f"As in `server`, for this {title}.", f"from {_ABOVE[title]}"
    if known.engines:
        types = " and ".join(f"`{engine}`" for engine in known.engines)
        meaning += f" Only for engines of type {types}."
    if known.required_by:
        types = " and ".join(f"`{engine}`" for engine in known.required_by)
        meaning += f" Engines of type {types} need it."
    return f"| {name} | {KINDS[known.kind].written} | {default} | {meaning} |\n"


def _default(known: Key) -> str:
    if known.shown:
        return f"`{known.shown}`"
    if known.required or known.required_by:
        return NOTHING
    return NOTHING if known.default is None else f"`{_lua(known.default)}`"


def _lua(value: Any) -> str:  # noqa: ANN401 - a default of any kind
    """Return the default ``value`` as Lua."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.15g}"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping | tuple | frozenset) and value:
        raise TypeError(f"no way to write {value!r}")
    return "{}"


def changes_table() -> str:
    """Return the table of what a reload does for each changed key, with its head."""
    server = keys_of(TABLES["server"])
    engine = [k for k in (*keys_of(VariantTable), *keys_of(ModelTable)) if k.reload == "engine"]
    start = [k for k in server if k.reload == "start" and not k.inherits]
    variant = [k for k in keys_of(VariantTable) if k.reload == "start"]
    restart = [k for k in server if k.reload == "restart"]
    now = [k for k in keys_of(VariantTable) if k.reload == "now"]
    rows = {
        "A new model or variant": "The next request can use it.",
        f"An engine's {_names(engine)}": "The engine takes no new requests, and ends when its "
        "answers are complete. The next request starts it with the new definition.",
        "A removed model or variant": "The same, but nothing is started. A waiting request gets "
        "the next larger variant, or the error `model_not_found` or `configuration_changed`.",
        f"{_names(variant)}; {_names(start)}": "The new values apply to engines that start later.",
        f"A variant's {_names(now)}; other keys of a model": "The new values apply at once; the "
        "engine runs on.",
        "Limits: `max_loaded_models`, `resources`, `groups`, `pinned`": "Engines beyond the new "
        "limits end as soon as they have no requests, the least recently used first.",
        _names(restart): "No effect until a restart; the log says so.",
        "Other keys of `server`": "The new values apply to the next request.",
    }
    return _HEAD_OF_CHANGES + "".join(f"| {new} | {then} |\n" for new, then in rows.items())


def _names(keys: Iterable[Key | str]) -> str:
    names = (known if isinstance(known, str) else known.name for known in keys)
    return ", ".join(f"`{name}`" for name in names)


def servers_table() -> str:
    """Return the table of ``presets.servers``, with its head."""
    return _HEAD_OF_SERVERS + "".join(
        f"| `presets.servers.{name}` | {each.title} | `{each.ready}` | {_names(each.endpoints)} | "
        f"{_names(each.also) or NOTHING} | {_COUNTS.get(each.counter, NOTHING)} | {each.cannot} | "
        f"{each.known} |\n"
        for name, each in SERVERS.items()
    )


def with_tables(page: str) -> str:
    """Return the page with all tables made anew from the schema."""
    for title in TABLES:
        if f"\n## {title}\n" in page:
            page = _with_table(page, title, keys_table(title))
    page = _with_table(page, "Other engines", servers_table())
    return _with_table(page, "Changing the configuration", changes_table())


def _with_table(page: str, title: str, table: str) -> str:
    """Return the page with the table of the same head replaced in the section ``title``."""
    section = page.index(f"\n## {title}\n")
    begin = end = page.index(table.partition("\n")[0], section)
    while page.startswith("|", end):
        end = page.index("\n", end) + 1
    return page[:begin] + table + page[end:]


def main() -> None:
    """Print the page, or write it to its file."""
    page = with_tables(PAGE.read_text(encoding="utf-8"))
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page, encoding="utf-8")
        FILE.write_text(stubs(), encoding="utf-8")
    else:
        sys.stdout.write(page)


if __name__ == "__main__":
    main()
