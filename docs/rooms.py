"""Draw the rooms of the gateway and the imports between them: ``python docs/rooms.py``.

The picture is ``docs/rooms.svg``. It is made of the imports alone, those for the type checker too,
and a test fails when it is not what the imports are now.

An arrow means "imports". Where a room reaches another through a third one, no arrow of its own is
drawn. Rooms lie above what they import; those of one folder stand in one band.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "rooms.svg"
# From top to bottom. Each may import from itself and from those below it.
BANDS = (
    "main.py",
    "app.py",
    "server",
    "web",
    "voice",
    "accounts",
    "inference",
    "engine",
    "models",
    "utils",
)
# Folders that are no rooms of their own.
_PARTS = {"utils/config/lua": "utils/config"}
# Programs of their own, which import nothing of the gateway.
_APART = ("engine/llamacpp/bundled", "engine/whisper/bundled")

_WIDTH, _BAND, _GAP = 1180, 64, 44
_BOX_WIDTH, _BOX_HEIGHT = 120, 40
_LONG = 16

# What may have statements inside; the rest need not be looked at.
_WITH_STATEMENTS = (
    ast.FunctionDef
    | ast.AsyncFunctionDef
    | ast.ClassDef
    | ast.If
    | ast.For
    | ast.AsyncFor
    | ast.While
    | ast.With
    | ast.AsyncWith
    | ast.Try
    | ast.TryStar
    | ast.ExceptHandler
    | ast.Match
    | ast.match_case
)

Graph = dict[str, set[str]]


def files() -> list[str]:
    """Every Python file of the product, relative to the project."""
    found = []
    for band in BANDS:
        paths = [ROOT / band] if band.endswith(".py") else (ROOT / band).rglob("*.py")
        found += [path.relative_to(ROOT).as_posix() for path in paths if path.exists()]
    return sorted(file for file in found if not file.startswith(_APART))


def room_of(file: str) -> str:
    """The folder of a file; a file at the top is a room itself."""
    folder = file.rpartition("/")[0] or file
    return _PARTS.get(folder, folder)


@cache
def imports_of(file: str) -> frozenset[tuple[str, bool]]:
    """What the file imports anywhere: see ``imported``."""
    return frozenset(imported(ast.parse((ROOT / file).read_text(encoding="utf-8"), file)))


def imported(tree: ast.AST, *, running: bool = True) -> Iterator[tuple[str, bool]]:
    """What is imported: modules, and names of modules or in them; whether not for types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_for_types(node.test):
            yield from imported(node, running=False)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, running) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = "." * node.level + (node.module or "")
            yield package, running
            # "from engine import effects" may name a module.
            yield from ((f"{package}.{alias.name}", running) for alias in node.names)
        elif isinstance(node, _WITH_STATEMENTS):
            yield from imported(node, running=running)


def _is_for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def imports(known: list[str]) -> Graph:
    """Which room imports from which others."""
    modules = {file.removesuffix(".py").replace("/", "."): file for file in known}
    graph: Graph = {room_of(file): set() for file in known}
    for file in known:
        graph[room_of(file)] |= {
            room_of(modules[name]) for name, _ in imports_of(file) if name in modules
        }
    return {room: targets - {room} for room, targets in graph.items()}


def reduced(graph: Graph) -> Graph:
    """The graph without arrows that a way over rooms between says already."""
    reach = {room: _reach(graph, room) for room in graph}

    def implied(room: str, target: str) -> bool:
        return any(
            target in reach[other] and room not in reach[other]
            for other in graph[room] - {target}
            if other not in reach[target]
        )

    return {
        room: {target for target in targets if not implied(room, target)}
        for room, targets in graph.items()
    }


def _reach(graph: Graph, room: str) -> set[str]:
    seen: set[str] = set()
    left = [room]
    while left:
        for target in graph[left.pop()] - seen:
            seen.add(target)
            left.append(target)
    return seen


def picture() -> str:
    """The drawing as SVG."""
    graph = imports(files())
    places: dict[str, tuple[float, float]] = {}
    parts: list[str] = []
    top = 10.0
    bands = [("main.py", "app.py"), *((band,) for band in BANDS[2:])]
    for names in bands:
        rooms = [r for name in names for r in sorted(graph) if r.split("/")[0] == name]
        if not rooms:
            continue
        parts.append(_band(top, " ".join(names) if len(names) == 1 else "top"))
        step = (_WIDTH - 110) / max(len(rooms), 1)
        for index, room in enumerate(rooms):
            places[room] = (100 + step * (index + 0.5), top + _BAND / 2)
        top += _BAND + _GAP
    for room, targets in sorted(reduced(graph).items()):
        parts += [_arrow(places[room], places[target]) for target in sorted(targets)]
    parts += [_box(room, place) for room, place in sorted(places.items())]
    return _PAGE.format(width=_WIDTH, height=int(top - _GAP + 10), parts="\n".join(parts))


_PAGE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" \
font-family="sans-serif" font-size="12">
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#5b6b7f"/></marker></defs>
<rect width="{width}" height="{height}" fill="#ffffff"/>
{parts}
</svg>
"""


def _band(top: float, name: str) -> str:
    label = "" if name == "top" else name
    return (
        f'<rect x="6" y="{top:g}" width="{_WIDTH - 12}" height="{_BAND}" rx="8" fill="#f1f4f8"/>'
        f'<text x="18" y="{top + _BAND / 2 + 4:g}" font-weight="bold" fill="#33415c">{label}</text>'
    )


def _box(room: str, place: tuple[float, float]) -> str:
    x, y = place
    name = room if room.endswith(".py") or "/" not in room else room.partition("/")[2]
    if "/" not in room and not room.endswith(".py"):
        name = f"{room}/"
    size = 12 if len(name) < _LONG else 10
    return (
        f'<rect x="{x - _BOX_WIDTH / 2:g}" y="{y - _BOX_HEIGHT / 2:g}" width="{_BOX_WIDTH}" '
        f'height="{_BOX_HEIGHT}" rx="5" fill="#ffffff" stroke="#33415c"/>'
        f'<text x="{x:g}" y="{y + 4:g}" text-anchor="middle" font-size="{size}">'
        f"{escape(name)}</text>"
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    half = _BOX_HEIGHT / 2
    if y1 == y2:
        # Rooms of one folder: over the boxes between them.
        side = 1 if x2 > x1 else -1
        bend = y1 - half - 4 - min(26.0, abs(x2 - x1) / 14)
        path = f"M{x1 + 20 * side:g},{y1 - half:g} Q{(x1 + x2) / 2:g},{bend:g} "
        path += f"{x2 - 20 * side:g},{y2 - half:g}"
    else:
        middle = (y1 + y2) / 2
        path = f"M{x1:g},{y1 + half:g} C{x1:g},{middle:g} {x2:g},{middle:g} {x2:g},{y2 - half:g}"
    return f'<path d="{path}" fill="none" stroke="#5b6b7f" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    print(PICTURE, file=sys.stderr)  # noqa: T201 - says what it wrote
