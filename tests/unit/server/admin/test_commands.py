"""server/admin/commands.py: what the commands do where no gateway runs."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from server.admin.commands import NOT_RUNNING, add_commands, run_command
from utils.config.settings import ServerSettings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_route_is_tried_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders: list[Any] = []

    def decided(order: bytes) -> dict[str, Any]:
        orders.append(json.loads(order))
        return {"route": "fast", "model": "small", "then": ["big"], "reason": "rule=1"}

    def run(*words: str) -> int:
        parser, config = argparse.ArgumentParser(), argparse.ArgumentParser(add_help=False)
        config.add_argument("-c", dest="config", default=None)
        add_commands(parser, config)
        return run_command(parser.parse_args(words), ServerSettings(), tmp_path, decided)

    file = tmp_path / "request.json"
    file.write_text('{"model": "fast"}')
    assert run("route", str(file), "--hour", "3", "--header", "X-Team: blue") == 0
    assert capsys.readouterr().out == "fast -> small: rule=1; then big (no gateway runs)\n"
    [order] = orders
    assert (order["request"], order["hour"]) == ({"model": "fast"}, 3)
    assert order["headers"] == {"X-Team": "blue"}
    assert run("status") == run("profile") == NOT_RUNNING
    assert run("route", str(tmp_path / "none.json")) == 1
