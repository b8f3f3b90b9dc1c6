"""Imports point one way, see ``ROOMS``. The files are read, not executed."""

from __future__ import annotations

import ast
from functools import cache

from paths import ROOT
from rooms_script import rooms

# Each room may import from itself and from those before it.
ROOMS = (
    "utils",
    "models",
    "engine",
    "inference",
    "accounts",
    "voice",
    "web",
    "server",
    "app",
    "main",
)
# These know nothing of each other: ``app.py`` hands them what they need.
APART = ("accounts", "voice", "web")
IMPURE = {"asyncio", "aiohttp", "time"}
# Engines that come with the gateway run as processes of their own.
PROGRAMS = ("engine/llamacpp/bundled/", "engine/whisper/bundled/")
# Folders and files that decide without waiting, without a clock and without HTTP.
PURE = (
    "accounts/admission.py",
    "accounts/book.py",
    "accounts/charging.py",
    "accounts/ending.py",
    "accounts/guard.py",
    "accounts/keys.py",
    "accounts/limits.py",
    "accounts/money.py",
    "accounts/oidc.py",
    "accounts/parties.py",
    "accounts/prices.py",
    "accounts/ticket.py",
    "accounts/throttle.py",
    "accounts/tiers.py",
    "engine/generic/counting.py",
    "engine/llamacpp/arguments.py",
    "engine/llamacpp/capabilities.py",
    "engine/llamacpp/log.py",
    "engine/llamacpp/slot_actions.py",
    "engine/observer.py",
    "engine/piper/asked.py",
    "engine/piper/sentences.py",
    "engine/process/health.py",
    "engine/process/log_tail.py",
    "engine/process/slots.py",
    "engine/program.py",
    "engine/resources/rules.py",
    "engine/response_parser.py",
    "engine/scheduling/",
    "engine/sound/kinds.py",
    "engine/sound/resample.py",
    "engine/sound/wav.py",
    "engine/whisper/asked.py",
    "engine/whisper/transcript.py",
    "inference/call.py",
    "inference/caller.py",
    "inference/continuation/",
    "inference/finish.py",
    "inference/usage.py",
    "models/",
    "server/admin/access.py",
    "server/admin/grants.py",
    "server/admin/params.py",
    "server/admin/show.py",
    "server/admin/show_models.py",
    "server/admin/show_pulls.py",
    "server/admin/status.py",
    "server/browsers.py",
    "server/codecs/",
    "server/configuration.py",
    "server/dialects.py",
    "server/errors.py",
    "server/forwarded.py",
    "server/headers.py",
    "server/people/cookies.py",
    "server/people/fields.py",
    "server/people/views.py",
    "server/records/ended.py",
    "server/records/journal.py",
    "server/records/row.py",
    "server/records/samples.py",
    "server/records/uptime.py",
    "server/responses/listing.py",
    "server/responses/shelf.py",
    "server/routes.py",
    "server/status.py",
    "utils/config/lua_data.py",
    "utils/config/peers.py",
    "utils/config/routes.py",
    "utils/config/schema.py",
    "utils/config/settings.py",
    "utils/config/tables.py",
    "utils/errors.py",
    "voice/",
    "web/",
)
NOT_PURE = {
    "inference/continuation/relay.py",
    "models/discovery/importing.py",
    "models/discovery/scan.py",
    "models/discovery/walk.py",
    "models/discovery/watch.py",
    "models/downloads/fetch.py",
    "models/downloads/hub.py",
    "models/downloads/pull.py",
    "models/downloads/pulls.py",
    "models/downloads/remote_head.py",
    "voice/hearing/kit.py",
    "voice/outbox.py",
    # They begin tasks of the session.
    "voice/ahead.py",
    "voice/realtime/out_of_band.py",
    "voice/realtime/conversation.py",
    "voice/realtime/idle.py",
    "voice/realtime/talk.py",
    "voice/session.py",
}
# Tested through the file that uses them: readers by the test of the reader, codecs and parts of an
# answer by those of streams and answers; errors by the table that walks them.
TESTED_ELSEWHERE = {
    # By accounts/guard.py, which finds callers.
    "inference/caller.py",
    *(f"models/requests/{name}.py" for name in ("chat", "fields", "facts")),
    *(f"inference/continuation/{name}.py" for name in ("answer", "chat", "codec", "messages")),
    # Values and protocols.
    *(f"server/codecs/{name}.py" for name in ("codec", "deltas", "responses/output")),
    "utils/config/peers.py",
    "utils/config/routes.py",
    "utils/config/tables.py",
    "utils/errors.py",
    "voice/models.py",
    "voice/told.py",
    # By the tests of live voice in tests/gateway.
    "voice/live/talk.py",
    "voice/realtime/events.py",
    # By the tests of decisions and of the catalog.
    *(f"models/routing/{name}.py" for name in ("book", "needed")),
}

FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        ROOT / "app.py",
        ROOT / "main.py",
        *(p for room in ROOMS for p in (ROOT / room).rglob("*.py")),
    )
)
KNOWN = frozenset(FILES)
PURE_FILES = [
    file
    for file in FILES
    if file.startswith(PURE) and file not in NOT_PURE and not file.endswith("__init__.py")
]


@cache
def imports_of(file: str, *, running: bool = False) -> frozenset[str]:
    """Return the modules that the file imports; ``running``: not under TYPE_CHECKING."""
    return frozenset(module for module, runs in rooms().imports_of(file) if runs or not running)


def room_of(module: str) -> int | None:
    """The number of a module's room; None for those of others."""
    top = module.partition(".")[0]
    return ROOMS.index(top) if top in ROOMS else None


def file_of(module: str) -> str | None:
    """The file of a module of ours; None for those of others and for names inside a module."""
    file = module.replace(".", "/") + ".py"
    return file if file in KNOWN else None


def test_there_are_files_to_look_at() -> None:
    assert "main.py" in FILES
    assert {file.partition("/")[0] for file in FILES} == {*ROOMS[:-2], "app.py", "main.py"}
    assert not [file for file in FILES if "venv" in file]


def against(file: str) -> list[str]:
    own = ROOMS.index(file.partition("/")[0].removesuffix(".py"))
    rooms = {module: room_of(module) for module in imports_of(file)}
    return [name for name, number in rooms.items() if number is not None and number > own]


def tops(file: str) -> set[str]:
    return {module.partition(".")[0] for module in imports_of(file)}


def test_imports_point_one_way() -> None:
    assert not {file: found for file in FILES if (found := against(file))}


def test_rooms_that_stand_apart_do_not_import_each_other() -> None:
    for room in APART:
        others = {*APART} - {room}
        assert not [f for f in FILES if f.startswith(f"{room}/") and tops(f) & others], room


def test_the_code_that_answers_calls_knows_no_http() -> None:
    # Downloads come by HTTP; no call passes through them.
    files = [f for f in FILES if f.startswith(("inference/", "models/"))]
    answering = [file for file in files if not file.startswith("models/downloads/")]
    http = {"aiohttp", "multidict", "yarl"}
    assert not {file: found for file in answering if (found := tops(file) & http)}


def test_modules_are_imported_by_their_full_names() -> None:
    assert not [(f, module) for f in FILES for module in imports_of(f) if module.startswith(".")]


def test_an_embedded_engine_is_a_program_of_its_own() -> None:
    files = [file for file in FILES if file.startswith(PROGRAMS)]
    assert files
    for file in files:
        own = file.rpartition("/")[0].replace("/", ".")
        ours = {module for module in imports_of(file) if room_of(module) is not None}
        assert not [module for module in ours if not module.startswith(own)], file


def test_nobody_imports_an_embedded_engine() -> None:
    programs = tuple(folder.rstrip("/").replace("/", ".") for folder in PROGRAMS)
    others = [file for file in FILES if not file.startswith(PROGRAMS)]
    assert not [
        (f, module) for f in others for module in imports_of(f) if module.startswith(programs)
    ]


def test_pure_files_know_neither_waiting_nor_http_nor_clocks() -> None:
    assert not {file: found for file in PURE_FILES if (found := tops(file) & IMPURE)}


def test_pure_files_run_nothing_impure_of_ours() -> None:
    for file in PURE_FILES:
        ours = {other for m in imports_of(file, running=True) if (other := file_of(m)) is not None}
        # The log writes the time of day into its lines; nobody decides by it.
        assert {other for other in ours if tops(other) & IMPURE} <= {"utils/logger.py"}, file


def test_imports_are_seen_wherever_they_stand() -> None:
    tree = ast.parse(
        "import a\nfrom b.c import d\n"
        "if TYPE_CHECKING:\n    from e import f\n"
        "def g():\n    import h.i\n"
        "try:\n    import j\nexcept ImportError:\n    from . import k\n"
    )
    everything = {"a", "b.c", "b.c.d", "e", "e.f", "h.i", "j", ".", "..k"}
    found = dict(rooms().imported(tree))
    assert found.keys() == everything
    assert {module for module, running in found.items() if not running} == {"e", "e.f"}


def test_each_pure_file_has_a_test_file() -> None:
    tests = {
        file: ROOT / "tests" / "unit" / file.rpartition("/")[0] / f"test_{file.rpartition('/')[2]}"
        for file in {*PURE_FILES} - TESTED_ELSEWHERE
    }
    assert not sorted(file for file, test in tests.items() if not test.is_file())
