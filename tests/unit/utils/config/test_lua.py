"""What a configuration may say, on every Lua that lupa has."""

from __future__ import annotations

import math
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lua_config import VERSIONS, model, models, plain, run, variant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lua_config import Result


@pytest.fixture(params=VERSIONS)
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str | bytes], Result]:
    return partial(run, request.param, tmp_path)


ADDRESSES = [
    ("127.0.0.1:7777", True),
    ("0.0.0.0:1", True),
    ("localhost:65535", True),
    ("my-host.example:80", True),
    ("none", True),
    ("", False),
    ("127.0.0.1", False),
    (":7777", False),
    ("7777", False),
    ("127.0.0.1:", False),
    ("127.0.0.1:0", False),
    ("127.0.0.1:65536", False),
    ("127.0.0.1:99999999999999999999", False),
    ("127.0.0.1:-1", False),
    ("127.0.0.1:http", False),
    ("127.0.0.1:80 ", False),
    ("127.0.0.256:80", False),
    ("127.0.1:80", False),
    ("1.2.3.4.5:80", False),
    ("*:80", False),
    ("[::1]:80", False),
    ("::1:80", False),
    ("http://127.0.0.1:80", False),
]
ADDRESSES_V6 = [
    ("[::1]:7777", True),
    ("[::]:7777", True),
    ("[fe80::1%eth0]:7777", True),
    ("[2001:db8:0:0:0:0:0:1]:1", True),
    ("[2001:db8::ffff]:1", True),
    ("[1::]:1", True),
    ("none", True),
    ("::1:7777", False),
    ("[::1]", False),
    ("[::1]:0", False),
    ("[]:7777", False),
    ("[1:2]:7777", False),
    ("[1::2::3]:7777", False),
    ("[12345::]:7777", False),
    ("[1:2:3:4:5:6:7:8:9]:7777", False),
    ("[1:2:3:4:5:6:7:8::]:7777", False),
    ("[:1:2:3:4:5:6:7]:7777", False),
    ("[xyz::]:7777", False),
    ("127.0.0.1:7777", False),
]


URLS = [
    ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ("http://[::1]:8080", "http://[::1]:8080"),
    ("http://other-host:7777", "http://other-host:7777"),
    ("http://127.0.0.1:8080/v1", None),
    ("http://127.0.0.1", None),
    ("https://127.0.0.1:8080", None),
    ("127.0.0.1:8080", None),
    ("http://127.0.0.1:7777", None),
    ("http://[::1]:7777", None),
]
SIZES = [
    ("0", 0),
    ("5", 5),
    ("2^40", 2**40),
    ('"5"', 5),
    ('" 5 B "', 5),
    ('"5kB"', None),
    ('"5KB"', 5000),
    ('"5 KiB"', 5120),
    ('"1.5MiB"', 3 * 2**19),
    ('"2.MB"', 2_000_000),
    ('"1TiB"', 2**40),
    ('"9TB"', 9 * 10**12),
    ('"99999TiB"', None),
    ('"-5GB"', None),
    ('"GB"', None),
    ('"5 G B"', None),
    ("-1", None),
    ("0/0", None),
    ("{}", None),
    ("true", None),
]


def places(result: Result) -> list[str]:
    return [fault.split(": ")[0] for fault in result.faults]


def test_listen(check: Callable[[str], Result]) -> None:
    fill = ("[::1]:9", True)
    for (v4, good), (v6, fine) in zip_longest(ADDRESSES, ADDRESSES_V6, fillvalue=fill):
        result = check(f'server = {{ listen_v4 = "{v4}", listen_v6 = "{v6}" }} {models()}')
        wrong = ["server.listen_v4"] * (not good) + ["server.listen_v6"] * (not fine)
        assert places(result) == wrong, (v4, v6)


def test_connect(check: Callable[[str], Result]) -> None:
    for fine in (True, False):
        urls = [(url, clean) for url, clean in URLS if (clean is not None) is fine]
        each = (model(f'connect = "{url}"', name=f"m{at}") for at, (url, _) in enumerate(urls, 1))
        result = check(f"models = {{ {', '.join(each)} }}")
        assert [entry["connect"] for entry in result.models] == [clean for _, clean in urls if fine]
        wrong = [] if fine else [f"models[{at}].connect" for at in range(1, len(urls) + 1)]
        assert places(result) == wrong


def test_sizes(check: Callable[[str], Result]) -> None:
    for fine in (True, False):
        sizes = [(size, amount) for size, amount in SIZES if (amount is not None) is fine]
        each = (f"r{at:02} = {size}" for at, (size, _) in enumerate(sizes))
        result = check(f"server = {{ resources = {{ {', '.join(each)} }} }} {models()}")
        if fine:
            amounts = {f"r{at:02}": amount for at, (_, amount) in enumerate(sizes)}
            assert result.server["resources"] == amounts
        else:
            assert sorted(places(result)) == [
                f"server.resources.r{at:02}" for at in range(len(sizes))
            ]


def test_several_models_may_connect_to_one_port(check: Callable[[str], Result]) -> None:
    both = (
        model('connect = "http://127.0.0.1:8080"'),
        model('connect = "http://127.0.0.1:8080"', name="b"),
    )
    assert not check(f"models = {{ {', '.join(both)} }}").faults


def test_everything_at_once_is_accepted(check: Callable[[str], Result]) -> None:
    result = check(
        """
        function anything() return coroutine.wrap(function() end) end
        anything_else = { [anything] = anything, ["a.b"] = { 1, nil, 3 } }
        anything_else.self = anything_else
        local unpack = unpack or table.unpack
        server = {
          listen_v4 = "none", listen_v6 = "[::1]:7777", health_check_timeout = 0.5,
          engine_startup_timeout = 60, engine_idle_timeout = 2.0, engine_stop_timeout = 1,
          stall_timeout = 0,
          shutdown_timeout = 1, keepalive_interval = 1, max_request_bytes = 2^20, max_queue = 1,
          resources = { gpu0 = "24GiB", ram = 2^30 }, priority_header = true,
          health_check_interval = 0, health_check_failures = 1,
          max_loaded_models = 3, max_switch_wait = 0, min_residency = 0.5,
          port_range = { first = 50000, last = 50099 },
          shrink_after = 0, shrink_requests = 1, default_model = "kurz", log_level = "debug",
          state_dir = "state",
        }
        models = { {
          name = "größer 🦙", aliases = { "kurz" }, engine = presets.engines.llamacpp,
          connect = "http://127.0.0.1:8080/", health_check_timeout = 1,
          engine_startup_timeout = 1, engine_idle_timeout = 1, engine_stop_timeout = 1,
          stall_timeout = 0,
          tokenization = {
            binary = "/bin/sh", extra_args = { "-m", unpack({ "x" }) },
            extra_tokens_per_message = 0, extra_tokens_per_request = 0,
            extra_tokens_per_image = 0, extra_tokens_per_audio = 0, default_max_tokens = 1,
            max_reserved_tokens = 1,
          },
          variants = { {
            needs = { gpu0 = "18.5GB" },
            binary = "/bin/sh", args = { "-c", 4096, "--temp", 0.5, 1e3, -1, "", "a\\nb" },
            context = 4096.0, env = { ["a.b"] = "1", Z = "", A = 5 },
            health_check_timeout = 1, engine_startup_timeout = 1, engine_idle_timeout = 1,
            engine_stop_timeout = 1,
          stall_timeout = 0,
          } },
        } }
        """
    )
    assert result.faults == []
    assert result.server["max_request_bytes"] == 1048576
    assert result.server["health_check_timeout"] == 0.5
    assert result.server["resources"] == {"gpu0": 24 * 2**30, "ram": 2**30}
    assert result.models[0]["variants"][0]["needs"] == {"gpu0": 18_500_000_000}
    assert result.server["port_range"] == {"first": 50000, "last": 50099}
    (entry,) = result.models
    assert entry["name"] == "größer 🦙"
    assert entry["engine"] == "llamacpp"
    assert entry["tokenization"]["extra_args"] == ["-m", "x"]
    (only,) = entry["variants"]
    assert only["args"] == ["-c", "4096", "--temp", "0.5", "1000", "-1", "", "a\nb"]
    assert repr(only["context"]) == "4096"
    assert only["env"] == [
        {"name": "A", "value": "5"},
        {"name": "Z", "value": ""},
        {"name": "a.b", "value": "1"},
    ]


def test_what_is_empty_is_left_out(check: Callable[[str], Result]) -> None:
    result = check(
        "server = {} "
        "models = { { name = 'a', aliases = {}, tokenization = {},"
        " variants = { { context = 1, args = {}, env = {} } } } }"
    )
    assert result.faults == []
    assert result.models == [{"name": "a", "variants": [{"context": 1, "binary": "/bin/sh"}]}]


def test_a_first_line_for_the_shell_and_a_byte_order_mark(
    check: Callable[[str | bytes], Result],
) -> None:
    assert not check(b"\xef\xbb\xbf#!/usr/bin/env lua\n" + models().encode()).faults


def test_the_file_may_run_another(check: Callable[[str], Result], tmp_path: Path) -> None:
    (tmp_path / "shared.lua").write_text(models())
    assert not check('dofile(loader.workdir .. "shared.lua")').faults
    (tmp_path / "shared.lua").write_text("\nerror('inner')")
    (fault,) = check('dofile(loader.workdir .. "shared.lua")').faults
    assert fault.endswith("shared.lua:2: inner")


def test_the_helpers(check: Callable[[str], Result], tmp_path: Path) -> None:
    left = check(
        """
        local base = { args = { 1, 2 }, inner = { a = 1, b = { 1 } }, keep = true }
        joined = concat_arrays({ 1 }, {}, { 2, 3 })
        merged = merge_tables(base, { args = { 3 }, inner = { b = {}, c = 2 } }, { extra = {} })
        untouched = base
        paths = { config_path("~/m.gguf"), config_path("~"), config_path("/m"),
                  config_path("C:\\\\m"), config_path("m.gguf"), config_path("~m") }
        moe = get_llama_moe_args({ model = "/m.gguf", context = 4096 })
        full = get_llama_moe_args({
          model = "/m.gguf", context = 4096, gpu_layers = 40, cpu_moe_layers = 20,
          flash_attn = false, cache_type = "f16", batch = 2048, ubatch = 1024, threads = 8,
          threads_batch = 16, parallel = 2, mlock = true, jinja = false, extra = { "-v" },
        })
        bundled = { presets.bundled.server, presets.bundled.model }
        """
    ).globals
    assert plain(left[b"joined"]) == [1, 2, 3]
    assert plain(left[b"merged"]) == {
        "args": [3],
        "inner": {"a": 1, "b": {}, "c": 2},
        "keep": True,
        "extra": {},
    }
    assert plain(left[b"untouched"]) == {
        "args": [1, 2],
        "inner": {"a": 1, "b": [1]},
        "keep": True,
    }
    here = f"{tmp_path}/"
    assert plain(left[b"paths"]) == [
        "/home/me/m.gguf",
        "/home/me",
        "/m",
        "C:\\m",
        f"{here}m.gguf",
        f"{here}~m",
    ]
    assert (
        " ".join(plain(left[b"moe"]))
        == "-m /m.gguf -c 4096 -ngl 999 --cpu-moe -np 1 -fa on --jinja"
    )
    assert " ".join(plain(left[b"full"])) == (
        "-m /m.gguf -c 4096 -ngl 40 --n-cpu-moe 20 -np 2 -fa off -ctk f16 -ctv f16"
        " -b 2048 -ub 1024 -t 8 -tb 16 --mlock -v"
    )
    assert plain(left[b"bundled"]) == ["/bin/sh", "/models/small.gguf"]


def lua_string(value: bytes) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in value) + '"'


@settings(
    max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    values=st.sampled_from((st.binary(max_size=80), st.text(max_size=40).map(str.encode))).flatmap(
        lambda kind: st.lists(kind, min_size=1, max_size=5)
    )
)
def test_any_bytes_are_taken_as_they_are_or_refused(
    check: Callable[[str], Result], values: list[bytes]
) -> None:
    result = check(variant(f"args = {{ {', '.join(map(lua_string, values))} }}"))
    texts = [value.decode(errors="replace") for value in values]
    wrong = [
        f"models[1].variants[1].args[{at}]"
        for at, (value, text) in enumerate(zip(values, texts, strict=True), 1)
        if b"\0" in value or text.encode() != value
    ]
    assert places(result) == wrong
    if not wrong:
        assert result.models[0]["variants"][0]["args"] == texts


TIMES = ("shutdown_timeout", "keepalive_interval", "health_check_timeout", "engine_stop_timeout")


@settings(
    max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    numbers=st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * len(TIMES))
    | st.tuples(*[st.floats(0, 2**53, exclude_min=True, exclude_max=True)] * len(TIMES))
)
def test_a_time_is_any_positive_number(
    check: Callable[[str], Result], numbers: tuple[float, ...]
) -> None:
    times = dict(zip(TIMES, numbers, strict=True))
    given = ", ".join(f"{name} = {number!r}" for name, number in times.items())
    result = check(f"server = {{ {given} }} {models()}")
    wrong = {f"server.{name}" for name, number in times.items() if not 0 < number < 2**53}
    assert {*places(result)} == wrong
    if not wrong:
        assert all(math.isclose(result.server[name], times[name]) for name in TIMES)
