"""Faults name the line of the Lua file where the key is set."""

from __future__ import annotations

import pytest

from utils.config.lines import with_lines

FILE = """-- models = { { name = "no" } }
local here = { path = "a" }
--[[ defaults = { threads = 1 }
]]
server = { listen_v4 = "x}", state_dir = [[
two lines]] }
models = {
  { name = "a", path = "a.gguf",
    contexts = { 8192,
      "many" } },
  {
    ["name"] = 'b -- {',
    set_params = { stop = { "}" } }, aliases = concat_arrays({ "x" },
      { 7 }),
    path = (function() if true then return { 1, 2 } end end)(); gpu_layers = -2,
  },
  here,
}
defaults = { threads = 2 }
if os.getenv("MORE") then
  discover = { hf = 3 }
end
defaults = merge_tables(defaults, { threads = 0 })
server.max_queue = -1
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("server.listen_v4", 5),
        ("server.state_dir", 5),
        ("models", 7),
        ("models[1].name", 8),
        ("models[1].contexts[2]", 10),
        ("models[1].threads", 8),
        ("models[2].name", 12),
        ("models[2].set_params.stop[1]", 13),
        ("models[2].aliases[2]", 13),
        ("models[2].path", 15),
        ("models[2].gpu_layers", 15),
        ("models[3].path", 17),
        ("models[4].path", 7),
        # It is set twice, or not always: the line would be a guess.
        ("defaults.threads", None),
        ("discover.hf", None),
        ("groups[1]", None),
    ],
)
def test_the_line_of_a_place(place: str, line: int | None) -> None:
    fault = f"{place}: expected another value"
    more = "" if line is None else f" (line {line})"
    assert with_lines(FILE, [fault]) == [f"{fault}{more}"]


@pytest.mark.parametrize("source", ["", "models = {", "models = { { name =", '"', "models =", "}"])
def test_what_is_no_whole_file_has_no_lines_or_few(source: str) -> None:
    faults = ["models[1].name: missing", "os.exit ended it early", ""]
    assert with_lines(source, faults)[1:] == faults[1:]
