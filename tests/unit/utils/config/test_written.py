"""utils/config/written.py: what is set, where, and nothing that is secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from utils.config.settings import ServerSettings, server_settings
from utils.config.tables import Tables
from utils.config.written import HIDDEN, Written, effective_view

SOURCE = """server = {
  max_queue = 5,
  admin_token = "geheim",
}
accounts = {
  tiers = { gold = { rpm = 500 } }, prices = { ["m-*"] = { per_request = "1" } },
}
models = { {
  name = "m",
  variants = { { context = 512, args = { "--api-key", "geheim", "-c", 512 } } },
} }
"""


def view(tables: Tables, source: str = "", **more: Any) -> dict[str, dict[str, Any]]:
    settings = server_settings(tables.server, tables.accounts)
    settings = replace(settings, written=Written(Path("/etc/gateway.cfg.lua"), tables), **more)
    shown = effective_view(settings, source)
    assert shown["file"] == "/etc/gateway.cfg.lua"
    return {each["name"]: each for table in shown["tables"] for each in table["settings"]}


def test_each_setting_has_its_value_its_default_and_its_line() -> None:
    server = {"max_queue": 5, "admin_token": "geheim", "engine_idle_timeout": "never"}
    found = view(Tables(server, []), SOURCE)
    assert found["server.max_queue"] == {
        "name": "server.max_queue",
        "value": 5,
        "default": 64,
        "set": True,
        "line": 2,
    }
    # The file does not show where this one is set, but in which table.
    assert found["server.engine_idle_timeout"]["value"] == "never"
    assert found["server.max_switch_wait"] == {
        "name": "server.max_switch_wait",
        "value": 30.0,
        "default": 30.0,
        "set": False,
        "line": None,
    }


def test_tables_inside_tables_are_followed_by_their_names() -> None:
    model = {
        "name": "m",
        "env": [{"name": "HF_TOKEN", "value": "geheim"}],
        "variants": [{"context": 512, "args": ["--api-key", "geheim", "-c", 512, "-t=1"]}],
    }
    accounts = {
        "tiers": [{"name": "gold", "rpm": 500}],
        "prices": [{"name": "m-*", "per_request": "1"}],
    }
    found = view(Tables({}, [model], accounts=accounts), SOURCE)
    assert (
        found["accounts.tiers.gold.rpm"]["value"],
        found["accounts.tiers.gold.rpm"]["line"],
    ) == (500, 6)
    assert found["accounts.prices.m-*.per_request"]["line"] == 6
    assert found["accounts.hold_tokens"]["set"] is False
    assert found["models[1].variants[1].context"]["line"] == 10
    assert found["models[1].variants[1].args"]["value"] == ["--api-key", HIDDEN, "-c", 512, "-t=1"]
    assert found["models[1].env"]["value"] == {"HF_TOKEN": HIDDEN}
    assert "models[1].pinned" not in found


def test_nothing_secret_is_shown() -> None:
    secret = "geheim"
    server = {"admin_token": secret}
    accounts = {
        "database_url": f"postgresql://user:{secret}@host/name",
        "oidc": {"issuer": "https://id.example.org", "client_id": "us", "client_secret": secret},
    }
    peer = {"name": "p", "url": f"http://user:{secret}@box:1", "api_key": secret}
    model = {
        "name": "m",
        "set_params": {"x": {"api_key": secret}},
        "on_ready": ["/bin/curl", "-H", f"Authorization: Bearer {secret}", f"--token={secret}"],
    }
    tables = Tables(server, [model], accounts=accounts, peers=[peer])
    found = view(tables)
    assert secret not in str(found)
    assert found["server.admin_token"]["value"] == HIDDEN
    assert found["peers[1].url"]["value"] == f"http://{HIDDEN}@box:1"
    assert found["models[1].on_ready"]["value"][2] == f"Authorization:{HIDDEN}"


def test_a_setting_that_counts_after_a_restart_says_so() -> None:
    found = view(Tables({"state_timeout": 20}, []), state_timeout=10.0)
    assert found["server.state_timeout"]["waits_for_restart"] is True
    assert found["server.state_timeout"]["value"] == 10.0


def test_without_a_file_all_is_as_usual() -> None:
    shown = effective_view(ServerSettings(), "")
    assert shown["file"] is None
    assert [each["name"] for each in shown["tables"]] == ["server"]
    assert not any(each["set"] for each in shown["tables"][0]["settings"])
    assert Written(Path("/nowhere"), Tables({}, [])).source() == ""
