"""Write the types of a configuration for editors: ``---@class`` for each table of keys.

``python -m utils.config.reference --write`` saves them, with the reference, beside the Lua files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from utils.config.schema import KINDS, keys_of
from utils.config.servers import SERVERS
from utils.config.tables import TABLES

if TYPE_CHECKING:
    from utils.config.schema import Key

FILE = Path(__file__).resolve().parent / "lua" / "types.lua"
_HEAD = """---@meta
-- The keys of a configuration, for editors that know the Lua language server. Made from the schema:
--     venv/bin/python -m utils.config.reference --write

"""
_TAIL = """---@type GatewayServer
server = {}
---@type GatewayModel[]
models = {}
---@type table<string, GatewayGroup>
groups = {}
---@type table<string, GatewayRoute>
routes = {}
---@type GatewayAccounts
accounts = {}
---@type GatewayDefaults
defaults = {}
---@type boolean|GatewayDiscover
discover = true
---@type (string|GatewayModelDirs)[]
model_dirs = {}
---@type table<string, GatewayPeer>
peers = {}
"""
# What a configuration may use, as pre.lua defines it.
_GIVEN = """---@type GatewayPresets
presets = {}
---@type { workdir: string }
loader = {}
---@param path string A path that may begin with "~", or is relative to the configuration's folder.
---@return string
function config_path(path) end
---@param ... any[]
---@return any[]
function concat_arrays(...) end
---@param ... table
---@return table
function merge_tables(...) end
---@param options table
---@return (string|number)[]
function get_llama_moe_args(options) end
"""
_OTHER_SERVER = """---@class GatewayOtherServer : GatewayModel
---@field model? string Its model, as the server names it.
---@field command? string[] The words before the flags, in place of its own.
---@field args? (string|number)[] Further arguments.
---@field env? table<string, string|number> Environment variables.
---@field context? integer The tokens of one request at most.
---@field parallel? integer How many requests it serves at once.
---@field needs? table<string, integer|string> What it takes of `server.resources`.

"""
# The type of a value by how the reference writes its kind; a text is a string.
_TYPES = {
    "amount of money": "number|string",
    "boolean": "boolean",
    "integer > 0": "integer",
    "integer ≥ 0": "integer",
    "list": "(string|number)[]",
    "list of names": "string[]",
    "list of origins": "string[]",
    "list of paths": "string[]",
    "port": "integer",
    "seconds > 0": "number",
    "seconds ≥ 0": "number",
    'seconds > 0, or `"never"`': 'number|"never"',
    "size": "integer|string",
    "status": "integer",
    "table": "table",
    "two hours": "integer[]",
}
_PER_KIND = {
    "aliases": "table<integer|string, string|table>",
    "contexts": 'integer[]|"auto"',
    "counts": "table<string, integer>",
    "download": '"never"|"start"|"request"',
    "env": "table<string, string|number>",
    "labels": "table<string, string|string[]>",
    "layers": 'integer|"auto"',
    "picker": '"first"|"warm"|"cheapest_to_load"|"spillover"|"weighted"',
    "projector": "string|false",
    "resources": "table<string, integer|string>",
    "targets": "string|string[]",
}


def stubs() -> str:
    """Return the text of the file."""
    classes = "".join(_class(title) for title in TABLES)
    return _HEAD + classes + _OTHER_SERVER + _presets() + _TAIL + _GIVEN


def _presets() -> str:
    """Return the type of ``presets``."""
    named = {
        name: None
        for title in ("model", "variant")
        for known in keys_of(TABLES[title])
        for name in (*known.engines, *known.required_by)
    }
    engines = ", ".join(f"{name}: string" for name in sorted(named))
    servers = ", ".join(
        f"{name}: fun(options: GatewayOtherServer): GatewayModel" for name in SERVERS
    )
    return (
        "---@class GatewayPresets\n"
        f"---@field engines {{ {engines} }} The types of engines.\n"
        f"---@field servers {{ {servers} }} Models for other servers.\n"
        "---@field bundled { server: string, model: string } What comes with the gateway.\n\n"
    )


def _class(title: str) -> str:
    fields = "".join(_field(known) for known in keys_of(TABLES[title]))
    # A model by its file may have all that the defaults have.
    base = f" : {_name('defaults')}" if title == "model" else ""
    return f"---@class {_name(title)}{base}\n{fields}\n"


def _field(known: Key) -> str:
    optional = "" if known.required and not known.engines else "?"
    meaning = " ".join(known.meaning.split())
    return f"---@field {known.name}{optional} {_type(known)} {meaning}\n"


def _type(known: Key) -> str:
    if known.each is not None:
        title = next((t for t, table in TABLES.items() if table is known.each), None)
        if title is not None:
            return _name(title) + ("[]" if KINDS[known.kind].written == "list" else "")
    written = KINDS[known.kind].written
    plain = "string[]" if written.startswith("list ") else "string"
    return _PER_KIND.get(known.kind) or _TYPES.get(written, plain)


def _name(title: str) -> str:
    return "Gateway" + "".join(part.capitalize() for part in title.split("_"))
