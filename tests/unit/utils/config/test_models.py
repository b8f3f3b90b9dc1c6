"""Keys of a model that say how its requests are served, from Lua to the catalog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from lua_config import PRESETS, VERSIONS, models, run

from models.catalog import Catalog
from models.routing.check import faults_of_routes
from utils.config.loader import ConfigLoader
from utils.config.settings import server_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("version", VERSIONS)
def test_capabilities(version: str, tmp_path: Path) -> None:
    left = run(version, tmp_path, models('capabilities = { "text", "vision" }'))
    assert left.faults == []
    assert left.models[0]["capabilities"] == ["text", "vision"]


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ('capabilities = "text"', 'expected a list such as { "text", "tools" }, got "text"'),
        ('capabilities = { "visoin" }', "did you mean vision?"),
    ],
)
def test_capabilities_that_are_none(extra: str, fault: str, tmp_path: Path) -> None:
    (told,) = run("lua54", tmp_path, models(extra)).faults
    assert told.startswith("models[1].capabilities")
    assert fault in told


@pytest.mark.parametrize("version", VERSIONS)
def test_parameters(version: str, tmp_path: Path) -> None:
    left = run(
        version,
        tmp_path,
        models(
            """
            set_params = { temperature = 0.7, n = 4096, ["a.b"] = { "x", true, { c = -1 } },
                           text = 'say "hi"\\n\\\\', none = {} },
            strip_params = { "seed", "top_k" },
            upstream_model = "org/M",
            aliases = { "q", ["q:think"] = { reasoning = { effort = "high" } }, ["q:0.5"] = {} },
            """
        ),
    )
    assert left.faults == []
    model = left.models[0]
    assert json.loads(model["set_params"]) == {
        "temperature": 0.7,
        "n": 4096,
        "a.b": ["x", True, {"c": -1}],
        "text": 'say "hi"\n\\',
        "none": {},
    }
    assert model["strip_params"] == ["seed", "top_k"]
    assert model["upstream_model"] == "org/M"
    assert model["aliases"] == [
        "q",
        {"name": "q:0.5", "params": "{}"},
        {"name": "q:think", "params": '{"reasoning":{"effort":"high"}}'},
    ]


@pytest.mark.parametrize(
    ("extra", "place", "fault"),
    [
        ("set_params = 5", ".set_params", "expected a table such as { temperature = 0.7 }, got 5"),
        ('set_params = { "x" }', ".set_params", "expected names, as in"),
        ("set_params = { x = print }", ".set_params.x", "expected a text, a number"),
        ("set_params = { x = { 1, a = 2 } }", ".set_params.x", "not both"),
        ("set_params = { x = { [2] = 1 } }", ".set_params.x", "not both"),
        ("set_params = { x = 1 / 0 }", ".set_params.x", "expected a number that JSON can hold"),
        ('set_params = { x = "\\255" }', ".set_params.x", "expected UTF-8 text"),
        ("set_params = { stream = true }", ".set_params.stream", "the gateway itself needs"),
        ('strip_params = { "model" }', ".strip_params[1]", "the gateway itself needs"),
        ("strip_params = { 5 }", ".strip_params[1]", "expected a non-empty string"),
        ('upstream_model = ""', ".upstream_model", "expected a non-empty string"),
        ("aliases = { a = {} }", ".aliases.a", '"a" is already a name of models[1]'),
        ("aliases = { b = { model = 1 } }", ".aliases.b.model", "the gateway itself needs"),
        ('aliases = { b = "c" }', ".aliases.b", "a list has no names"),
    ],
)
def test_parameters_that_are_none(extra: str, place: str, fault: str, tmp_path: Path) -> None:
    (told,) = run("lua54", tmp_path, models(extra)).faults
    assert told.startswith(f"models[1]{place}: ")
    assert fault in told


def test_what_goes_round_in_circles_ends(tmp_path: Path) -> None:
    source = "local a = {}\na.a = a\n" + models("set_params = a")
    (told,) = run("lua54", tmp_path, source).faults
    assert "nested too deep" in told


def test_from_the_file_to_the_catalogue(tmp_path: Path) -> None:
    file = tmp_path / "x.cfg.lua"
    file.write_text(
        models(
            'capabilities = { "text" }, set_params = { ["a.b"] = 1.5, on = true },'
            ' strip_params = { "seed" }, upstream_model = "U",'
            ' aliases = { "q", ["q:x"] = { n = 1 } }'
        )
    )
    tables = ConfigLoader(file, PRESETS).load()
    (model,) = Catalog.from_tables(tables.models, server_settings(tables.server)).models
    assert model.capabilities == frozenset({"text"})
    assert model.set_params == {"a.b": 1.5, "on": True}
    assert model.strip_params == ("seed",)
    assert model.upstream_model == "U"
    assert model.aliases == ("q", "q:x")
    assert model.alias_params == {"q:x": {"n": 1}}


@pytest.mark.parametrize("version", VERSIONS)
def test_origins(version: str, tmp_path: Path) -> None:
    source = 'server = { cors_origins = { "https://a.b:1", "app://x.y", "*" } } ' + models()
    left = run(version, tmp_path, source)
    assert left.faults == []
    assert left.server["cors_origins"] == ["https://a.b:1", "app://x.y", "*"]
    assert server_settings({"cors_origins": ["*"]}).cors_origins == ("*",)


@pytest.mark.parametrize("origin", ["5", '"a.b"', '"https://a.b/"', '"https://a b"', '"https://"'])
def test_origins_that_are_none(origin: str, tmp_path: Path) -> None:
    source = f"server = {{ cors_origins = {{ {origin} }} }} " + models()
    (told,) = run("lua54", tmp_path, source).faults
    assert told.startswith("server.cors_origins[1]: expected an origin such as ")


@pytest.mark.parametrize("version", VERSIONS)
def test_hosts(version: str, tmp_path: Path) -> None:
    source = 'server = { hosts = { "llm.example.com", "10.0.0.5", "fd00::5", "*" } } ' + models()
    left = run(version, tmp_path, source)
    assert left.faults == []
    assert left.server["hosts"] == ["llm.example.com", "10.0.0.5", "fd00::5", "*"]
    assert server_settings({"hosts": ["a"]}).hosts == ("a",)


@pytest.mark.parametrize("host", ["5", '"a.b:80"', '"http://a.b"', '"a b"', '""', '"[::1]"'])
def test_hosts_that_are_none(host: str, tmp_path: Path) -> None:
    source = f"server = {{ hosts = {{ {host} }} }} " + models()
    (told,) = run("lua54", tmp_path, source).faults
    assert told.startswith("server.hosts[1]: expected a name such as ")


@pytest.mark.parametrize("token", ['""', '"two words"', '"schl\\u{fc}ssel"', "7", '"line\\n"'])
def test_a_token_that_no_header_can_carry_is_not_shown(token: str, tmp_path: Path) -> None:
    source = f"server = {{ admin_token = {token} }} " + models()
    (told,) = run("lua54", tmp_path, source).faults
    assert told == "server.admin_token: expected ASCII text without spaces"


def test_routes_from_the_file_to_the_catalogue(tmp_path: Path) -> None:
    config = tmp_path / "my.cfg.lua"
    route = """
    routes = {
      ["f.ast"] = {
        rules = {
          { to = "a", hours = { 22, 6 }, headers = { ["X-Team"] = "x" }, parts = { "image" },
            pick = "warm", matches = [[\\bsql\\b]] },
          { to = { "a", "auto" }, min_tokens = 10 },
        },
        classify = { model = "a", labels = { ["c.d"] = "a" }, default = "c.d" },
        pick = "weighted", weights = { a = 3 }, unlisted = true,
      },
    }
    """
    config.write_text(models() + route)
    tables = ConfigLoader(config, PRESETS).load()
    catalog = Catalog.from_tables(
        tables.models, server_settings(tables.server), tables.groups, tables.routes
    )
    (found,) = catalog.routes.values()
    first, second = found.rules
    assert (found.name, found.unlisted, found.to) == ("f.ast", True, ())
    assert (first.pick, second.pick, second.weights) == ("warm", "weighted", {"a": 3})
    assert (first.to, second.to, first.hours) == (("a",), ("a", "auto"), (22, 6))
    assert first.headers == {"X-Team": "x"}
    assert first.parts == {"image"}
    assert first.matches == "\\bsql\\b"
    assert found.classify is not None
    assert found.classify.labels == {"c.d": ("a",)}
    assert faults_of_routes(catalog) == []
