"""Every fault that Lua finds, on every Lua that lupa has."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from lua_config import VARIANT, VERSIONS, model, models, route, run, variant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lua_config import Result

A = ' (model "a")'
PICKERS = '"first", "warm", "cheapest_to_load", "spillover", "weighted"'
SECONDS = "expected a positive number of seconds, got"
LEVELS = 'server.log_level: expected "debug", "info", "warning", "error"'
UNKNOWN = "unknown key; did you mean"
CHECKS = "health_check_interval, health_check_failures or health_check_timeout?"
CONNECT = 'models[1].connect: expected a URL such as "http://127.0.0.1:8080",'
NETWORK = 'expected an address or a network such as "10.0.0.0/8"'
POSITIVE = "expected a positive integer, got"
FILE_OR_VARIANTS = "expected variants, or the model's file as path or hf"
PLANNED = "only for a model with path or hf; with variants it belongs to their args"
REPOSITORY = 'expected a repository such as "org/repo" or "org/repo:Q4_K_M", got'
BOTH = "give one of the two"
PERSISTENT = "groups = { g = { persistent = true } }"

FAULTS: list[tuple[str, str]] = [
    # Missing, empty and misplaced tables
    ("modles = {}", "modles: unknown table; did you mean models?"),
    ("models = {}", "models: expected at least one model, or discover or model_dirs"),
    ("models = 5", "models: expected a list of models, got 5"),
    (f"models = {{ qwen = {model()} }}",
     "models.qwen: a list has no names; expected a list of models"),
    ("models = { 5 }", "models[1]: expected a table, got 5"),
    (f"models = {{ nil, {model()} }}", "models[1]: nothing here (an undefined value?)"),
    (f"server = 5 {models()}", "server: expected a table, got 5"),
    (f"sever = {{}} {models()}", "sever: unknown table; did you mean server?"),
    ('models = { { name = "a" } }', f"models[1].variants: missing; {FILE_OR_VARIANTS}" + A),
    (models(variants=""), "models[1].variants: expected at least one variant" + A),
    ('models = { { name = "a", variants = "x" } }',
     'models[1].variants: expected a list of variants, got "x"' + A),
    (models(variants="5"), "models[1].variants[1]: expected a table, got 5" + A),
    # Unknown keys
    (f"server = {{ helth_check_timeout = 5 }} {models()}",
     "server.helth_check_timeout: unknown key; did you mean health_check_timeout?"),
    (f"server = {{ idle_timeout = 5 }} {models()}",
     "server.idle_timeout: unknown key; did you mean engine_idle_timeout?"),
    (f'server = {{ ["a b"] = 5 }} {models()}', 'server["a b"]: unknown key'),
    (f"server = {{ [true] = 5 }} {models()}", "server[true]: unknown key"),
    (f"server = {{ 5 }} {models()}", "server[1]: unknown key"),
    (models("nmae = 5"), "models[1].nmae: unknown key; did you mean name?" + A),
    (models("context = 5"),
     "models[1].context: unknown key (known in a variant table); did you mean contexts?" + A),
    (f"server = {{ health_check_sec = 5 }} {models()}",
     f"server.health_check_sec: {UNKNOWN} {CHECKS}"),
    (variant("engine_timeout = 5"),
     f"models[1].variants[1].engine_timeout: {UNKNOWN} engine_startup_timeout,"
     " engine_idle_timeout or engine_stop_timeout?" + A),
    (models("tokenization = { args = {} }"),
     "models[1].tokenization.args: unknown key (known in a variant table);"
     " did you mean extra_args?" + A),
    (variant("contxt = 5"),
     "models[1].variants[1].contxt: unknown key; did you mean context?" + A),
    (variant("zzzzzz = 5"), "models[1].variants[1].zzzzzz: unknown key" + A),
    # Models by their files
    (f"models = {{ {{ variants = {{ {VARIANT} }} }} }}", "models[1].name: missing"),
    ("models = { { path = 5 } }", "models[1].path: expected a non-empty string, got 5"),
    ('models = { { path = "a.gguf", hf = "o/r" } }',
     f'models[1].path: with hf; {BOTH} (model "o/r")'),
    (f'models = {{ {model("path = [[x.gguf]]")} }}',
     f"models[1].path: with variants; {BOTH}: the gateway plans the variants of a file itself, and"
     " variants name their file in args" + A),
    (models("threads = 4"), f"models[1].threads: {PLANNED}" + A),
    (models("mmproj = false"), f"models[1].mmproj: {PLANNED}" + A),
    (models("file = [[x.gguf]]"), "models[1].file: only for a model with hf" + A),
    (models("download = [[start]]"), "models[1].download: only for a model with hf" + A),
    ('models = { { hf = "o/r", download = "now" } }',
     'models[1].download: expected "never", "start" or "request", got "now" (model "o/r")'),
    ('models = { { hf = "repo" } }',
     f'models[1].hf: {REPOSITORY} "repo" (model "repo")'),
    ('models = { { hf = "o/r:Q 4" } }',
     f'models[1].hf: {REPOSITORY} "o/r:Q 4" (model "o/r:Q 4")'),
    ('models = { { hf = "o/r", file = "../x" } }',
     'models[1].file: expected a name inside the repository, got "../x" (model "o/r/../x")'),
    ('models = { { path = "a.gguf", contexts = {} } }',
     'models[1].contexts: expected a list such as { 8192, 32768 }, or "auto", got a table' + A),
    ('models = { { path = "a.gguf", contexts = { 512, 512 } } }',
     "models[1].contexts[2]: 512 is already in the list" + A),
    ('models = { { path = "a.gguf", contexts = { 512 }, context_size = 512 } }',
     f"models[1].context_size: with contexts; {BOTH}" + A),
    ('models = { { path = "a.gguf", gpu_layers = -2 } }',
     'models[1].gpu_layers: expected a number of layers, -1 for all, or "auto", got -2' + A),
    ('models = { { path = "a.gguf", cache_type = "q8" } }',
     'models[1].cache_type: expected "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0",'
     ' "iq4_nl", got "q8"; did you mean q8_0?' + A),
    ('models = { { path = "a.gguf", cache_type = "q8_0", flash_attention = false } }',
     'models[1].cache_type: "q8_0" needs flash_attention' + A),
    ('models = { { path = "a.gguf", mmproj = true } }',
     "models[1].mmproj: expected a path, or false, got true" + A),
    ('models = { { path = "a.gguf", context_size = 5, command = { "/bin/sh", "-c", 5 } } }',
     "models[1].command: it has -c; leave out contexts and context_size" + A),
    ('models = { { path = "a.gguf" }, { path = "b/a.gguf" } }',
     'models[2].name: "a" is already a name of models[1]'),
    (f"defaults = {{ thread = 4 }} {models()}",
     "defaults.thread: unknown key; did you mean threads?"),
    (f"defaults = 4 {models()}", "defaults: expected a table, got 4"),
    (f"discover = 4 {models()}",
     "discover: expected true, false or a table such as { ollama = true }"),
    (f"discover = {{ olama = true }} {models()}",
     "discover.olama: unknown key; did you mean ollama?"),
    (f"model_dirs = {{ {{ keep = true }} }} {models()}", "model_dirs[1].path: missing"),
    (f"model_dirs = 4 {models()}", 'model_dirs: expected a list such as { "~/models" }, got 4'),
    # Groups
    (f"groups = 5 {models()}",
     "groups: expected a table such as { name = { persistent = true } }, got 5"),
    (f"groups = {{ 5 }} {models()}",
     "groups[1]: not a group's name; expected { name = { persistent = true } }"),
    (f"groups = {{ g = {{ pinned = true }} }} {models('group = [[g]]')}",
     "groups.g.pinned: unknown key (known in a model table)"),
    (f"groups = {{ big = {{}} }} {models('group = [[bag]]')}",
     "groups.big: no model is in this group; did you mean bag?"),
    (models("pinned = 1"), "models[1].pinned: expected true or false, got 1" + A),
    (models("group = 1"), "models[1].group: expected a non-empty string, got 1" + A),
    (f"models = {{ {model('pinned = true')}, {model(name='b')} }}",
     "server.max_loaded_models: 1 leaves no room beside 1 pinned or persistent model(s)"),
    (f"{PERSISTENT} models = {{ {model('group = [[g]]')}, {model(name='c')} }}",
     "server.max_loaded_models: 1 leaves no room beside 1 pinned or persistent model(s)"),
    # Resources
    (f"server = {{ resources = 5 }} {models()}",
     'server.resources: expected a table such as { gpu0 = "24GiB" }, got 5'),
    (f"server = {{ resources = {{ 5 }} }} {models()}",
     "server.resources[1]: not a resource's name; expected letters, digits, _ or -"),
    (f'server = {{ resources = {{ ["a.b"] = 5 }} }} {models()}',
     "server.resources[\"a.b\"]: not a resource's name; expected letters, digits, _ or -"),
    (f'server = {{ resources = {{ gpu0 = "24 Gib" }} }} {models()}',
     'server.resources.gpu0: expected a size such as "24GiB", got "24 Gib"'),
    (variant("needs = { gpu0 = 5 }"),
     "models[1].variants[1].needs.gpu0: server.resources has no gpu0"),
    (f"server = {{ resources = {{ gpu0 = 5 }} }} {variant('needs = { gpu = 5 }')}",
     "models[1].variants[1].needs.gpu: server.resources has no gpu; did you mean gpu0?"),
    (f"server = {{ resources = {{ gpu0 = 5 }} }} {variant('needs = { gpu0 = 6 }')}",
     "models[1].variants[1].needs.gpu0: more than server.resources has (6 > 5)"),
    # TLS and proxies
    (f'server = {{ tls = {{ cert = "a" }} }} {models()}', "server.tls.key: missing"),
    (f"server = {{ tls = true }} {models()}", "server.tls: expected a table, got true"),
    (f'server = {{ trusted_proxies = {{ "nginx" }} }} {models()}',
     f'server.trusted_proxies[1]: {NETWORK}, got "nginx"'),
    # Ports
    (f"server = {{ port_range = {{ first = 70000, last = 65535 }} }} {models()}",
     "server.port_range.first: expected a port from 1 to 65535, got 70000"),
    (f"server = {{ port_range = {{ first = 0.5, last = 5 }} }} {models()}",
     f"server.port_range.first: {POSITIVE} 0.5"),
    (f"server = {{ port_range = {{ first = 5, last = 4 }} }} {models()}",
     "server.port_range: last (4) comes before first (5)"),
    (f"server = {{ port_range = {{ first = 5 }} }} {models()}",
     "server.port_range.last: missing"),
    (f"server = {{ port_range = {{ first = 5, last = 9 }}, port_range_start = 5 }} {models()}",
     f"server.port_range_start: with port_range; {BOTH}"),
    (f"server = {{ port_range = 5 }} {models()}",
     "server.port_range: expected a table, got 5"),
    # Names
    (f"models = {{ {{ variants = {{ {VARIANT} }} }} }}", "models[1].name: missing"),
    (models('name = ""'), 'models[1].name: expected a non-empty string, got "" (model "")'),
    (models('name = "  "'), 'models[1].name: expected a non-empty string, got "  " (model "  ")'),
    (models("name = 5"), "models[1].name: expected a non-empty string, got 5"),
    (models('name = "a\\nb"'),
     'models[1].name: expected a name without control characters, got "a\\x0ab" (model "a\\x0ab")'),
    (models('name = "a\\255"'),
     'models[1].name: expected UTF-8 text, got "a\\xff" (model "a\\xff")'),
    (models('aliases = "b"'), 'models[1].aliases: expected a list of names, got "b"' + A),
    (models('aliases = { "" }'),
     'models[1].aliases[1]: expected a non-empty string, got ""' + A),
    (models('aliases = { b = "c" }'),
     "models[1].aliases.b: a list has no names; expected a list of names" + A),
    (models('aliases = { "a" }'), 'models[1].aliases[1]: "a" is already a name of models[1]'),
    (models('aliases = { "b", "b" }'), 'models[1].aliases[2]: "b" is already a name of models[1]'),
    (f"models = {{ {model()}, {model()} }}", 'models[2].name: "a" is already a name of models[1]'),
    (f"""models = {{ {model('aliases = { "b" }')}, {model(name="b")} }}""",
     'models[1].aliases[1]: "b" is already a name of models[2]'),
    ('server = { default_model = "kwen" } ' + models('aliases = { "qwen" }'),
     'server.default_model: no model or route has the name "kwen"; did you mean qwen?'),
    (f'server = {{ default_model = "unlike" }} {models()}',
     'server.default_model: no model or route has the name "unlike"'),
    (f'server = {{ default_model = "" }} {models()}',
     'server.default_model: expected a non-empty string, got ""'),
    # Numbers
    (f"server = {{ health_check_timeout = 0 }} {models()}",
     f"server.health_check_timeout: {SECONDS} 0"),
    (f"server = {{ engine_startup_timeout = -1 }} {models()}",
     f"server.engine_startup_timeout: {SECONDS} -1"),
    (f"server = {{ engine_idle_timeout = 0/0 }} {models()}",
     f"server.engine_idle_timeout: {SECONDS} nan"),
    (f"server = {{ engine_stop_timeout = math.huge }} {models()}",
     f"server.engine_stop_timeout: {SECONDS} inf"),
    (f'server = {{ shutdown_timeout = "5" }} {models()}',
     f'server.shutdown_timeout: {SECONDS} "5"'),
    (f"server = {{ keepalive_interval = true }} {models()}",
     f"server.keepalive_interval: {SECONDS} true"),
    (f"server = {{ max_request_bytes = 1.5 }} {models()}",
     f"server.max_request_bytes: {POSITIVE} 1.5"),
    (f"server = {{ max_queue = 0 }} {models()}", f"server.max_queue: {POSITIVE} 0"),
    (f"server = {{ shrink_requests = {{}} }} {models()}",
     f"server.shrink_requests: {POSITIVE} a table"),
    (f"server = {{ shrink_after = -1 }} {models()}",
     "server.shrink_after: expected a number of seconds, 0 or more, got -1"),
    (models("engine_idle_timeout = 0"), f"models[1].engine_idle_timeout: {SECONDS} 0" + A),
    (models('engine_idle_timeout = "nevr"'),
     'models[1].engine_idle_timeout: expected a positive number of seconds, or "never",'
     ' got "nevr"' + A),
    (variant("engine_stop_timeout = 0"),
     f"models[1].variants[1].engine_stop_timeout: {SECONDS} 0" + A),
    (variant('context = "4k"'), f'models[1].variants[1].context: {POSITIVE} "4k"' + A),
    (variant("context = -512"), f"models[1].variants[1].context: {POSITIVE} -512" + A),
    (models(variants="{}"), "models[1].variants[1].context: missing" + A),
    (models(variants=f"{VARIANT}, {VARIANT}"),
     "models[1].variants[2].context: 512 is already the context of variants[1]" + A),
    (models("tokenization = { default_max_tokens = 0 }"),
     f"models[1].tokenization.default_max_tokens: {POSITIVE} 0" + A),
    (models("tokenization = { extra_tokens_per_message = -1 }"),
     "models[1].tokenization.extra_tokens_per_message: expected an integer of 0 or more, got -1"
     + A),
    # Choices
    (f'server = {{ log_level = "warn" }} {models()}',
     f'{LEVELS}, got "warn"; did you mean warning?'),
    (f"server = {{ log_level = 5 }} {models()}",
     f"{LEVELS}, got 5"),
    (models('engine = "vllm"'),
     'models[1].engine: expected presets.engines.llamacpp, got "vllm"' + A),
    (models('engine = "none"'),
     'models[1].engine: expected presets.engines.llamacpp, got "none"' + A),
    (models("engine = presets.engines"),
     "models[1].engine: expected presets.engines.llamacpp, got a table" + A),
    # Addresses
    (f'server = {{ listen_v4 = "none" }} {models()}',
     'server.listen_v4: expected an address, as listen_v6 is "none" too'),
    (f'server = {{ listen_v4 = "none", listen_v6 = "none" }} {models()}',
     'server.listen_v4: expected an address, as listen_v6 is "none" too'),
    (f"server = {{ listen_v6 = false }} {models()}",
     'server.listen_v6: expected an address such as "[::1]:7777", or "none", got false'),
    (models('connect = "https://127.0.0.1:8080"'),
     f'{CONNECT} got "https://127.0.0.1:8080"; the gateway asks its engines by http, and what'
     " answers by https is an engine of type presets.engines.remote with a url" + A),
    (models('connect = "http://127.0.0.1:8080/v1"'),
     f'{CONNECT} got "http://127.0.0.1:8080/v1"; it ends with the port, and paths are added to it'
     + A),
    (models('connect = "http://127.0.0.1"'),
     f'{CONNECT} got "http://127.0.0.1"; it must name the port' + A),
    (models('connect = "127.0.0.1:8080"'), f'{CONNECT} got "127.0.0.1:8080"' + A),
    (models("connect = 8080"), f"{CONNECT} got 8080" + A),
    (models('connect = "http://127.0.0.1:7777"'),
     "models[1].connect: port 7777 is where the gateway itself listens" + A),
    (models('connect = "http://127.0.0.1:8080"',
            '{ context = 1, args = { "--port", 81 } }, { context = 2, args = { "--port", 8080 } }'),
     "models[1].variants[1].args: --port 81, but connect expects the engine on port 8080" + A),
    # Routes
    (f"routes = 5 {models()}",
     'routes: expected a table such as { fast = { to = { "small" } } }, got 5'),
    (f"routes = {{ {{}} }} {models()}",
     'routes[1]: not a name; expected a table such as { fast = { to = { "small" } } }'),
    (route('pik = "warm"'), "routes.r.pik: unknown key; did you mean pick?"),
    (route('pick = "warn"'), f'routes.r.pick: expected {PICKERS}, got "warn"; did you mean warm?'),
    (route("to = {}"), "routes.r.to: expected at least one model or route"),
    (route("rules = { {} }"), "routes.r.rules[1].to: missing"),
    (route('rules = { { to = "a", parts = { "video" } } }'),
     'routes.r.rules[1].parts[1]: expected "image" or "audio", got "video"'),
    (route('rules = { { to = "a", hours = { 22 } } }'),
     "routes.r.rules[1].hours: expected two hours from 0 to 24 such as { 22, 6 }, got a table"),
    (route("limits = { 1 }"),
     "routes.r.limits[1]: not a name; expected a table such as { small = 4 }"),
    (route("limits = { a = -1 }"), "routes.r.limits.a: expected an integer of 0 or more, got -1"),
    (route('classify = { model = "a", default = "x", labels = {} }'),
     "routes.r.classify.labels: expected at least one label"),
    # Arguments, binaries, environment
    (variant('args = "-c 512"'),
     'models[1].variants[1].args: expected a list such as { "-c", "4096" }, got "-c 512"' + A),
    (variant('args = { "-c", {} }'),
     "models[1].variants[1].args[2]: expected a string or a number, got a table" + A),
    (variant('args = { "-c", false }'),
     "models[1].variants[1].args[2]: expected a string or a number, got false" + A),
    (variant('args = { "-t", 0/0 }'),
     "models[1].variants[1].args[2]: expected a string or a number, got nan" + A),
    (variant('args = { "-m", nil, "-c" }'),
     "models[1].variants[1].args[2]: nothing here (an undefined value?)" + A),
    (variant('args = { "a\\0b" }'),
     'models[1].variants[1].args[1]: expected text without a zero byte, got "a\\x00b"' + A),
    (variant("binary = 5"), "models[1].variants[1].binary: expected a non-empty string, got 5" + A),
    (models('tokenization = { binary = "" }'),
     'models[1].tokenization.binary: expected a non-empty string, got ""' + A),
    (models("tokenization = 5"), "models[1].tokenization: expected a table, got 5" + A),
    (variant('env = "A=1"'),
     'models[1].variants[1].env: expected a table such as { NAME = "value" }, got "A=1"' + A),
    (variant('env = { "A=1" }'),
     'models[1].variants[1].env[1]: not a variable\'s name; expected { NAME = "value" }' + A),
    (variant('env = { ["A=B"] = "1" }'),
     'models[1].variants[1].env["A=B"]: not a variable\'s name; expected { NAME = "value" }' + A),
    (variant("env = { A = true }"),
     "models[1].variants[1].env.A: expected a string or a number, got true" + A),
    (f'server = {{ state_dir = "" }} {models()}',
     'server.state_dir: expected a non-empty string, got ""'),
]  # fmt: skip


ERRORS = [
    ("\n\nmodels = {", "my.cfg.lua:3: "),
    ('\nerror("no GPU today")', "my.cfg.lua:2: no GPU today"),
    ("error({})", "error with a table instead of a message"),
    ("\n\nx = some_path .. '/y'", "my.cfg.lua:3: variable 'some_path' is not defined"),
    ("x = {\n presets.engines.vllm }", "my.cfg.lua:2: presets.engines has no 'vllm'"),
    ("x = presets.engine", "my.cfg.lua:1: presets has no 'engine'"),
    ("local x = nil\nx.y = 5", "my.cfg.lua:2: attempt to index"),
    ('concat_arrays({ 1 }, "b")', "concat_arrays: argument 2 is string, not an array"),
    ("merge_tables({}, nil)", "merge_tables: argument 2 is nil, not a table"),
    ("config_path(nil)", "config_path: expected a path"),
    ("get_llama_moe_args()", "expected a table of options"),
    ("get_llama_moe_args({})", "model and context are required"),
    ("get_llama_moe_args({ model = 'm', contxt = 5 })", "unknown option 'contxt'"),
    ("get_llama_moe_args({ 'm' })", "unknown option '1'"),
    ("get_llama_moe_args({ model = 5 })", "model must be a string, not a number"),
    ("get_llama_moe_args({ model = 'm', context = 1.5 })", "context must be a whole number"),
    (
        "get_llama_moe_args({ model = 'm', context = 5, cpu_moe = true, cpu_moe_layers = 3 })",
        "give cpu_moe or cpu_moe_layers, not both",
    ),
    (
        "get_llama_moe_args({ model = 'm', context = 5, cache_type = 'q8', flash_attn=false})",
        "a quantized cache_type needs flash_attn",
    ),
]
CALLS = ["concat_arrays(1)", "merge_tables(1)", "config_path(1)", "get_llama_moe_args(1)"]


@pytest.fixture(params=VERSIONS)
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Result]:
    return partial(run, request.param, tmp_path)


def test_each_fault_is_named_with_its_place(check: Callable[[str], Result]) -> None:
    for source, fault in FAULTS:
        result = check(source)
        assert result.faults == [fault], source
        assert not result.models, source


def test_all_faults_at_once(check: Callable[[str], Result]) -> None:
    result = check(
        """
        server = { listen_v4 = "localhost", max_queu = 3 }
        models = {
          { name = "a", variants = { { context = "4k" }, 7 } },
          "b",
          { name = "a", variants = { { context = 1 }, { context = 1 } } },
        }
        """
    )
    assert [fault.split(":")[0] for fault in result.faults] == [
        "server.listen_v4",
        "server.max_queu",
        "models[1].variants[1].context",
        "models[1].variants[2]",
        "models[2]",
        "models[3].variants[2].context",
        "models[3].name",
    ]


def test_an_error_in_lua_is_one_fault_with_its_line(check: Callable[[str], Result]) -> None:
    for source, fault in ERRORS:
        [told] = check(source).faults
        assert fault in told, source
        assert "traceback" not in told, source
        assert "pre.lua" not in told, source


def test_a_helper_blames_the_line_that_called_it(check: Callable[[str], Result]) -> None:
    for call in CALLS:
        (fault,) = check(f"\n\nlocal x = {call}").faults
        assert fault.startswith("my.cfg.lua:3: "), call
