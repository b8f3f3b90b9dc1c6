-- Runs before the configuration: defines what a configuration may use beside plain Lua.
-- Works on Lua 5.1 to 5.5. Reference: docs/configuration.md

-- Data from ConfigLoader, see utils/config/lua_data.py: the names of the engine types, the bundled
-- launcher, the bundled model's file ("" if it is not installed), the home folder, what is known of
-- other servers, and the keys of every table.
loader.data = dofile(loader.extra[1])
local home = loader.data.home

-- Return `entries` as a table in which an unknown name is an error at the line that uses it, not a
-- silent nil. `absent` has the error messages for known names without a value on this machine.
local function closed(title, entries, absent)
  return setmetatable(entries, {
    __index = function(_, key)
      error((absent or {})[key] or ("%s has no '%s'"):format(title, tostring(key)), 2)
    end,
  })
end

local engines = {}
for _, name in ipairs(loader.data.engines) do
  engines[name] = name
end

local folder = loader.preexec:match("^.*[/\\]") .. "utils/config/lua/"

presets = closed("presets", {
  engines = closed("presets.engines", engines),
  servers = dofile(folder .. "servers.lua")(closed, rawget(engines, "generic"), loader.data.servers),
  bundled = closed("presets.bundled", {
    server = loader.data.server,
    model = loader.data.model ~= "" and loader.data.model or nil,
  }, {
    model = "presets.bundled.model is not installed: name a model file of your own,"
      .. " or see deploy/README.md",
  }),
})

-- Return a file's path as the engine needs it: "~" is the home folder, and a relative path starts
-- at the configuration's folder.
function config_path(path)
  if type(path) ~= "string" or path == "" then
    error("config_path: expected a path", 2)
  end
  if path == "~" or path:find("^~[/\\]") then
    return home .. path:sub(2)
  end
  if path:find("^[/\\]") or path:find("^%a:[/\\]") then
    return path
  end
  return loader.workdir .. path
end

-- Return a new array with all elements of the given arrays, in order.
function concat_arrays(...)
  local joined = {}
  for position = 1, select("#", ...) do
    local array = select(position, ...)
    if type(array) ~= "table" then
      error(("concat_arrays: argument %d is %s, not an array"):format(position, type(array)), 2)
    end
    for _, element in ipairs(array) do
      joined[#joined + 1] = element
    end
  end
  return joined
end

local function is_record(value)
  return type(value) == "table" and #value == 0
end

local function merge_into(target, source)
  for key, value in pairs(source) do
    if is_record(value) then
      -- Merge into a new record, so that the arguments do not change.
      local inner = merge_into({}, is_record(target[key]) and target[key] or {})
      target[key] = merge_into(inner, value)
    else
      target[key] = type(value) == "table" and concat_arrays(value) or value
    end
  end
  return target
end

-- Return a new table with the keys of all given tables. Later values override earlier ones. If
-- both values are tables of keys, they are merged too; an array is replaced.
function merge_tables(...)
  local merged = {}
  for position = 1, select("#", ...) do
    local source = select(position, ...)
    if type(source) ~= "table" then
      error(("merge_tables: argument %d is %s, not a table"):format(position, type(source)), 2)
    end
    merge_into(merged, source)
  end
  return merged
end

local moe_options = {
  model = "string", context = "number", gpu_layers = "number", cpu_moe = "boolean",
  cpu_moe_layers = "number", flash_attn = "boolean", cache_type = "string", batch = "number",
  ubatch = "number", threads = "number", threads_batch = "number", parallel = "number",
  mlock = "boolean", jinja = "boolean", extra = "table",
}

-- Return a fault in the options, or nil.
local function moe_fault(options)
  if type(options) ~= "table" then
    return "expected a table of options"
  end
  local names = {}
  for name in pairs(options) do
    names[#names + 1] = tostring(name)
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local expected, value = moe_options[name], options[name]
    if not expected then
      return ("unknown option '%s'"):format(name)
    elseif type(value) ~= expected then
      return ("%s must be a %s, not a %s"):format(name, expected, type(value))
    elseif expected == "number" and (value < 0 or value ~= math.floor(value)) then
      return ("%s must be a whole number, not %s"):format(name, tostring(value))
    end
  end
  if not options.model or not options.context then
    return "model and context are required"
  elseif options.cpu_moe and options.cpu_moe_layers then
    return "give cpu_moe or cpu_moe_layers, not both"
  elseif options.flash_attn == false and (options.cache_type or "f16"):find("^q") then
    return "a quantized cache_type needs flash_attn"
  end
end

-- Return llama-server's arguments for a mixture-of-experts model on one GPU. All is on the GPU
-- except the weights of the experts: they are large and seldom used, and stay in main memory.
function get_llama_moe_args(options)
  local fault = moe_fault(options)
  if fault then
    error("get_llama_moe_args: " .. fault, 2)
  end
  local args = {}
  local function add(flag, value)
    args[#args + 1] = flag
    if type(value) == "number" then
      value = ("%d"):format(value)
    end
    args[#args + 1] = value
  end
  local function add_given(flag, value)
    if value ~= nil then
      add(flag, value)
    end
  end

  add("-m", config_path(options.model))
  add("-c", options.context)
  add("-ngl", options.gpu_layers or 999)
  if options.cpu_moe_layers then
    add("--n-cpu-moe", options.cpu_moe_layers)
  elseif options.cpu_moe ~= false then
    add("--cpu-moe")
  end
  add("-np", options.parallel or 1)
  add("-fa", options.flash_attn == false and "off" or "on")
  add_given("-ctk", options.cache_type)
  add_given("-ctv", options.cache_type)
  add_given("-b", options.batch)
  add_given("-ub", options.ubatch)
  add_given("-t", options.threads)
  add_given("-tb", options.threads_batch)
  if options.mlock then
    add("--mlock")
  end
  if options.jinja ~= false then
    add("--jinja")
  end
  return concat_arrays(args, options.extra or {})
end

-- The loader runs the configuration with the next dofile. This replaces dofile once, so that
-- post.lua gets an error as a value with file and line, instead of a printed traceback.
local plain_dofile = dofile
function dofile(file)
  dofile = plain_dofile
  local source = assert(io.open(file, "rb"))
  local text = source:read("*a")
  source:close()
  text = text:gsub("^\239\187\191", "") -- a byte order mark
  text = text:gsub("^#[^\n]*", "") -- a first line for the shell
  local chunk, fault = (loadstring or load)(text, "@" .. file:match("[^/\\]+$"))
  local done = false
  if chunk then
    done, fault = pcall(chunk)
  end
  if not done then
    loader.config_fault = type(fault) == "string" and fault
      or ("error with a %s instead of a message"):format(type(fault))
  end
end

-- The names of the globals that the configuration defined, sorted.
local before = {}
for name in pairs(_G) do
  before[name] = true
end
function loader.new_globals()
  local names = {}
  for name in pairs(_G) do
    if type(name) == "string" and not before[name] then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

-- An undefined variable is nil in Lua, and silently ends a list. Here it is an error, except for
-- names that only some versions of Lua have: `unpack or table.unpack` is common.
local optional = {
  bit32 = true, getfenv = true, jit = true, loadstring = true, module = true, rawlen = true,
  setfenv = true, unpack = true, utf8 = true, warn = true,
}
setmetatable(_G, {
  __index = function(_, name)
    if not optional[name] then
      error(("variable '%s' is not defined"):format(tostring(name)), 2)
    end
  end,
})
