"""The page at ``/upstream``: every model, what runs of it, and a link to its engine. Pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Engines</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884 }}
</style>
<h1>Engines</h1>
<table>
<tr><th>Model<th>Type<th>State
{rows}
</table>
<p>A link leads to the pages of the engine itself. An engine that does not run is not started by
opening its page.
</html>
"""


def upstream_page(models: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the page for these entries of ``/v1/models``."""
    return _PAGE.format(rows="\n".join(map(_row, models))).encode()


def _row(model: Mapping[str, Any]) -> str:
    name, link = escape(model["id"]), quote(model["id"], safe="/")
    state = escape(str(model["state"]))
    return f'<tr><td><a href="/upstream/{link}/">{name}</a><td>{model["type"] or ""}<td>{state}'
