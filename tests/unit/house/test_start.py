"""What a gateway imports at its start: nothing that its configuration may not need."""

from __future__ import annotations

import ast

from paths import ROOT

# Imported where they are first needed. What is in brackets needs it.
LATER = (
    "accounts",  # accounts
    "server.people",
    "voice",  # a voice session
    "server.voice",
    "engine.generic",  # a model of that type
    "engine.remote",
    "engine.whisper",
    "engine.piper",
    "engine.sound",
    "models.downloads.hub",  # a download
    "server.metrics_page",  # its page
    "prometheus_client",
    "pynvml",  # a driver for GPUs
    "importlib.metadata",  # the versions
    "csv",  # a list in that form
    "sqlalchemy",
    "alembic",
    "numpy",
)


def imported_at_once(body: list[ast.stmt]) -> set[str]:
    """Return what these statements import when they run, without the bodies of functions."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found |= imported_at_once(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.ClassDef):
            found |= imported_at_once(node.body)
    return found


def loaded(*names: str) -> set[str]:
    """Return all modules that these load, our own and those of others that they name."""
    known: set[str] = set()
    left = set(names)
    while left:
        name = left.pop()
        known.add(name)
        file = ROOT / f"{name.replace('.', '/')}.py"
        if file.is_file():
            left |= imported_at_once(ast.parse(file.read_text(encoding="utf-8")).body) - known
    return known


def test_the_start_loads_no_more_than_every_gateway_needs() -> None:
    modules = loaded("main", "app")
    assert {"server.lane", "engine.llamacpp.type", "aiohttp"} <= modules
    assert not [name for name in modules if name.startswith(tuple(f"{each}." for each in LATER))]
    assert not modules.intersection(LATER)
