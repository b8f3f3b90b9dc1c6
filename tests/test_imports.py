"""Imports point one way: utils ← models ← engine ← server ← main.py. Read, not executed."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
STREET = ("utils", "models", "engine", "server", "main")
IMPURE = {"asyncio", "aiohttp", "time"}
GROWTH = (
    "answer",
    "asking",
    "chat",
    "continuation",
    "counts",
    "messages",
    "parts",
    "responses",
    "stream",
    "tongue",
    "tongues",
)
# Decides without waiting, without a clock and without HTTP; tested in a file of its own.
PURE = (
    "engine/admission.py",
    "engine/effects.py",
    "engine/eviction.py",
    "engine/fallback.py",
    "engine/fleet.py",
    "engine/health.py",
    "engine/idle.py",
    "engine/lifecycle.py",
    "engine/observer.py",
    "engine/logtail.py",
    "engine/needs.py",
    "engine/oom.py",
    "engine/policy.py",
    "engine/progress.py",
    "engine/projection.py",
    "engine/queue.py",
    "engine/records.py",
    "engine/refusals.py",
    "engine/renewal.py",
    "engine/restart.py",
    "engine/scheduler.py",
    "engine/turn.py",
    "models/capabilities.py",
    "server/client_key.py",
    "models/catalog.py",
    "models/changes.py",
    "models/counts.py",
    "models/facts/chat.py",
    "models/facts/fields.py",
    "models/facts/messages.py",
    "models/facts/parts.py",
    "models/facts/prompts.py",
    "models/facts/responses.py",
    "models/facts/values.py",
    "models/request.py",
    "models/selector.py",
    "models/sizing.py",
    "models/shaping.py",
    "models/spec.py",
    "server/access.py",
    "server/configuration.py",
    "server/cors.py",
    "server/dialects.py",
    "server/errors.py",
    *(f"server/growth/{room}.py" for room in GROWTH),
    "server/headers.py",
    "server/orders.py",
    "server/routes.py",
    "server/running.py",
    "server/usage.py",
    "server/views.py",
    "utils/errors.py",
    "utils/settings.py",
    "utils/tables.py",
)
# Read by the tests of the room's door, or, of growth, by those of streams and answers.
SHARED = {f"models/facts/{room}.py" for room in ("chat", "fields", "parts", "values")} | {
    f"server/growth/{room}.py" for room in GROWTH
}
# Without a test file of their own: nothing but types, and errors that test_errors.py walks.
TRIVIAL = {"utils/errors.py", "utils/tables.py"}

FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "main.py", *(p for room in STREET for p in (ROOT / room).rglob("*.py")))
)


def imported(tree: ast.AST, *, running: bool = False) -> Iterator[str]:
    """The modules that are imported, wherever in the file; ``running``: not by the checker only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and running:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = "." * node.level + (node.module or "")
            yield package
            # "from engine import effects" may name a module.
            yield from (f"{package}.{alias.name}" for alias in node.names)
        else:
            yield from imported(node, running=running)


def imports_of(file: str, *, running: bool = False) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"), file)
    return set(imported(tree, running=running))


def house(module: str) -> int | None:
    """Where on the street a module lives; None for those of others."""
    top = module.partition(".")[0]
    return STREET.index(top) if top in STREET else None


def file_of(module: str) -> str | None:
    """The file of a module of ours; None for those of others and for names inside a module."""
    file = module.replace(".", "/") + ".py"
    return file if file in FILES else None


def test_there_are_files_to_look_at() -> None:
    assert "main.py" in FILES
    assert {file.partition("/")[0] for file in FILES} == {*STREET[:-1], "main.py"}
    assert not [file for file in FILES if "venv" in file]


@pytest.mark.parametrize("file", FILES)
def test_imports_point_down_the_street(file: str) -> None:
    own = STREET.index(file.partition("/")[0].removesuffix(".py"))
    houses = {module: house(module) for module in imports_of(file)}
    assert not [name for name, number in houses.items() if number is not None and number > own]


@pytest.mark.parametrize("file", FILES)
def test_modules_are_imported_by_their_full_names(file: str) -> None:
    assert not [module for module in imports_of(file) if module.startswith(".")]


@pytest.mark.parametrize("file", [f for f in FILES if f.startswith("engine/bundled/")])
def test_the_bundled_engine_is_a_program_of_its_own(file: str) -> None:
    ours = {module for module in imports_of(file) if house(module) is not None}
    assert not [module for module in ours if not module.startswith("engine.bundled")]


@pytest.mark.parametrize("file", [f for f in FILES if not f.startswith("engine/bundled/")])
def test_nobody_imports_the_bundled_engine(file: str) -> None:
    assert not [module for module in imports_of(file) if module.startswith("engine.bundled")]


@pytest.mark.parametrize("file", PURE)
def test_pure_files_know_neither_waiting_nor_http_nor_clocks(file: str) -> None:
    tops = {module.partition(".")[0] for module in imports_of(file)}
    assert not tops & IMPURE


@pytest.mark.parametrize("file", PURE)
def test_pure_files_run_nothing_impure_of_ours(file: str) -> None:
    ours = {other for m in imports_of(file, running=True) if (other := file_of(m)) is not None}
    impure = [o for o in ours if {m.partition(".")[0] for m in imports_of(o)} & IMPURE]
    # The log writes the time of day into its lines; nobody decides by it.
    assert set(impure) <= {"utils/logger.py"}


def test_imports_are_seen_wherever_they_stand() -> None:
    tree = ast.parse(
        "import a\nfrom b.c import d\n"
        "if TYPE_CHECKING:\n    from e import f\n"
        "def g():\n    import h.i\n"
        "try:\n    import j\nexcept ImportError:\n    from . import k\n"
    )
    everything = {"a", "b.c", "b.c.d", "e", "e.f", "h.i", "j", ".", "..k"}
    assert set(imported(tree)) == everything
    assert set(imported(tree, running=True)) == everything - {"e", "e.f"}


@pytest.mark.parametrize("file", sorted({*PURE} - TRIVIAL - SHARED))
def test_each_pure_file_has_a_test_file(file: str) -> None:
    room = "facts_" if file.startswith("models/facts/") else ""
    assert (ROOT / "tests" / f"test_{room}{Path(file).stem}.py").is_file()
