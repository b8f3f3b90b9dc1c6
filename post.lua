-- Runs after the configuration: checks all of it, then sets one table for ConfigLoader,
--   gateway_config = { faults, binaries, server, models, groups, accounts, routes, defaults,
--     discover, model_dirs, peers }
-- with all but the first two only if there is no fault, and the last seven only if they are set. The
-- keys come from Python as data (utils/config/schema.py). The checks of single keys are in
-- utils/config/lua/checks.lua; this file has the checks of several keys together.
-- Works on Lua 5.1 to 5.5.

setmetatable(_G, nil) -- undefined variables are errors only in a configuration, not here

local folder = loader.postexec:match("^.*[/\\]") .. "utils/config/lua/"
local checks = dofile(folder .. "checks.lua")(folder)
local report, text, address = checks.report, checks.text_tools, checks.address

-- Report a table with a name like `wanted`. Return whether there is one.
local function report_misnamed(wanted)
  for _, name in ipairs(loader.new_globals()) do
    if type(_G[name]) == "table" and text.nearest(name, { wanted }, true) then
      report(name, ("unknown table; did you mean %s?"):format(wanted))
      return true
    end
  end
  return false
end

-- Report two keys of which only one may be set.
local function report_both(options, place, one, other, why)
  if options[one] ~= nil and options[other] ~= nil then
    report(text.place(place, one), ("with %s; give one of the two%s"):format(other, why or ""))
  end
end

local function check_server()
  if server == nil then
    report_misnamed("server")
    return {}
  end
  local clean = checks.record(server, "server", "server") or {}
  if clean.listen_v4 == "none" and (clean.listen_v6 or "none") == "none" then
    report("server.listen_v4", 'expected an address, as listen_v6 is "none" too')
  end
  report_both(clean, "server", "port_range_start", "port_range")
  return clean
end

-- Two variants of one context: there would be no reason to choose either. Names are keys.
local function check_variants(variants, place)
  local first, named = {}, {}
  for index, variant in checks.entries(variants) do
    local context, name = variant.context, variant.name or variant.context or ""
    local where = ("%s[%d]"):format(place, index)
    if context and first[context] then
      report(where .. ".context",
        ("%d is already the context of variants[%d]"):format(context, first[context]))
    elseif name == "" and named[name] then
      report(where .. ".name", "missing; of several variants without a context each needs a name")
    elseif named[tostring(name)] then
      report(where .. ".name",
        ('"%s" is already a name of variants[%d]'):format(
          text.printable(tostring(name), 60), named[tostring(name)]))
    end
    if context then
      first[context] = first[context] or index
    end
    named[tostring(name)] = named[tostring(name)] or index
  end
end

-- A command must say where its engine listens, or the model where it does.
local function check_commands(model, place)
  for index, variant in checks.entries(model.variants) do
    local said = model.connect ~= nil or next(variant.command or {}) == nil
    for _, word in checks.entries(variant.command) do
      said = said or word:find("${PORT}", 1, true) ~= nil
    end
    for _, entry in checks.entries(variant.env) do
      said = said or (entry.value or ""):find("${PORT}", 1, true) ~= nil
    end
    if not said then
      report(("%s.variants[%d].command"):format(place, index),
        "does not say on which port it listens: hand it ${PORT}, or set the model's connect")
    end
  end
end

-- One engine elsewhere needs no variant; it serves several requests at once.
local function check_remote(model, place)
  model.variants = model.variants or { {} }
  if #model.variants > 1 then
    report(place .. ".variants", "expected one variant at most, as the engine runs elsewhere")
  end
  for _, variant in checks.entries(model.variants) do
    variant.parallel = variant.parallel or 16
  end
end

-- The embedded engines of speech need nothing said; a server computes one sound or text at a time.
-- Types that need no variants: each has a usual one.
local speech = { whisper = true, piper = true, espeak = true }

local function check_speech(model)
  model.variants = model.variants or { { parallel = 1 } }
end

-- Return the port in a variant's arguments, or nil; the last one counts.
local function port_in(args)
  local port
  for index, argument in ipairs(args or {}) do
    port = argument == "--port" and args[index + 1] or port
  end
  return port
end

local function check_connect(model, place, own_port)
  local port = model.connect and model.connect:match("(%d+)$")
  if not port then
    return
  end
  local host = address.v4(model.connect:match("//(.*)")) or "::1"
  if port == own_port and (host == "::1" or host == "localhost" or host:find("^127%.")) then
    report(place .. ".connect", ("port %s is where the gateway itself listens"):format(port))
  end
  for index, variant in checks.entries(model.variants) do
    local other = port_in(variant.args)
    if other and other ~= port then
      report(("%s.variants[%d].args"):format(place, index),
        ("--port %s, but connect expects the engine on port %s"):format(other, port))
    end
  end
end

-- Return the name of a model that names only its file, or nil.
local function name_of(model)
  if type(model.hf) == "string" and type(model.file) == "string" then
    return model.hf:match("^[^:]*") .. "/" .. model.file
  elseif type(model.hf) == "string" then
    return model.hf
  elseif type(model.path) == "string" then
    local stem = model.path:match("([^/\\]+)$") or model.path
    stem = stem:gsub("%.[gG][gG][uU][fF]$", ""):gsub("%-%d%d%d%d%d%-of%-%d%d%d%d%d$", "")
    return stem
  end
end

-- Options that contradict each other, in `defaults` or in a model.
local function check_options(options, place)
  report_both(options, place, "context_size", "contexts")
  report_both(options, place, "binary", "command")
  if options.flash_attention == false and (options.cache_type or "f16"):find("^i?q") then
    report(place .. ".cache_type",
      ("%s needs flash_attention"):format(text.describe(options.cache_type)))
  end
  for _, word in checks.entries(options.command) do
    if (word == "-c" or word == "--ctx-size") and (options.context_size or options.contexts) then
      report(place .. ".command", ("it has %s; leave out contexts and context_size"):format(word))
    end
  end
end

-- What only a planned model has.
local launch_options = { "mmproj", "draft" }
for _, entry in ipairs(loader.data.tables.defaults) do
  if entry.name ~= "endpoints" and entry.name ~= "health_path" then
    launch_options[#launch_options + 1] = entry.name
  end
end

-- A model of llama-server has variants, or its file, from which they are planned.
local function check_planned(model, value, place)
  report_both(value, place, "path", "hf")
  report_both(value, place, "path", "variants",
    ": the gateway plans the variants of a file itself, and variants name their file in args")
  report_both(value, place, "hf", "variants",
    ": the gateway plans the variants of a file itself, and variants name their file in args")
  if value.path == nil and value.hf == nil then
    if value.variants == nil then
      report(place .. ".variants", "missing; expected variants, or the model's file as path or hf")
    end
    for _, key in ipairs(launch_options) do
      if value[key] ~= nil then
        report(text.place(place, key),
          "only for a model with path or hf; with variants it belongs to their args")
      end
    end
  end
  if value.hf == nil then
    for _, key in ipairs({ "file", "revision", "download" }) do
      if value[key] ~= nil then
        report(text.place(place, key), "only for a model with hf")
      end
    end
  end
  check_options(model, place)
end

-- Return a model's engine type: the first one if it names none, nil if the name is unknown.
local function engine_type(name)
  for _, known in ipairs(loader.data.engines) do
    if name == nil or name == known then
      return known
    end
  end
end

local function check_model(value, place)
  local given = type(value) == "table" and value or {}
  checks.model = type(given.name) == "string" and given.name or name_of(given)
  checks.engine = type(value) == "table" and engine_type(value.engine) or nil
  local model = checks.record(value, place, "model")
  if model then
    if checks.engine == loader.data.engines[1] then
      if value.name == nil and value.path == nil and value.hf == nil then
        report(place .. ".name", "missing")
      end
      model.name = model.name or value.name == nil and name_of(model) or nil
      check_planned(model, value, place)
    end
    check_variants(model.variants, place .. ".variants")
    if checks.engine == "generic" then
      check_commands(model, place)
    elseif checks.engine == "remote" then
      check_remote(model, place)
    elseif speech[checks.engine] then
      check_speech(model)
    end
    check_connect(model, place, loader.own_port)
  end
  checks.model = nil
  return model
end

-- Return every name and alias with its owner, and report names with two owners.
local function collect_names(models)
  local owner, all = {}, {}
  local function claim(name, place, model)
    if name and owner[name] then
      report(place, ('"%s" is already a name of %s'):format(text.printable(name, 60), owner[name]))
    elseif name then
      owner[name] = model
      all[#all + 1] = name
    end
  end
  for pass = 1, 2 do -- names come before aliases, which are easier to change
    for index, model in checks.entries(models) do
      local place = ("models[%d]"):format(index)
      if pass == 1 then
        claim(model.name, place .. ".name", place)
      end
      for position, alias in checks.entries(pass == 2 and model.aliases) do
        if type(alias) == "table" then
          claim(alias.name, text.place(place .. ".aliases", alias.name), place)
        else
          claim(alias, ("%s.aliases[%d]"):format(place, position), place)
        end
      end
    end
  end
  return owner, all
end

-- Without a list of models, those of the machine are served; an empty list is meant otherwise.
local function check_models()
  if models == nil then
    report_misnamed("models")
    return {}
  end
  local clean = checks.list(models, "models", "a list of models", check_model) or {}
  if type(models) == "table" and next(models) == nil and not (discover or model_dirs) then
    report("models", "expected at least one model, or discover or model_dirs")
  end
  return clean
end

local function check_defaults()
  if defaults == nil then
    return nil
  end
  local clean = checks.record(defaults, "defaults", "defaults") or {}
  check_options(clean, "defaults")
  checks.default_binary = clean.binary
  return next(clean) ~= nil and clean or nil
end

-- Return where models are looked for, with `on`, which keeps the table from being empty; nil for
-- nowhere. A file that names no models at all means everywhere.
local function check_discover()
  if discover == nil then
    return models == nil and model_dirs == nil and { on = true } or nil
  elseif type(discover) == "boolean" then
    return discover and { on = true } or nil
  elseif type(discover) ~= "table" then
    report("discover", "expected true, false or a table such as { ollama = true }")
    return nil
  end
  local clean = checks.record(discover, "discover", "discover") or {}
  clean.on = true
  return clean
end

local function check_model_dirs()
  return model_dirs ~= nil
    and checks.list(model_dirs, "model_dirs", 'a list such as { "~/models" }', function(value, place)
      if type(value) == "table" then
        return checks.record(value, place, "model_dirs")
      end
      return { path = checks.file(value, place) }
    end) or nil
end

-- Report groups without models; their names are probably misspelt.
local function check_groups(models)
  if groups == nil then
    return nil
  end
  local used, all = {}, {}
  for _, model in checks.entries(models) do
    if model.group and not used[model.group] then
      used[model.group] = true
      all[#all + 1] = model.group
    end
  end
  local clean = checks.groups(groups)
  for _, group in ipairs(clean or {}) do
    if not used[group.name] then
      report(text.place("groups", group.name),
        "no model is in this group" .. checks.suggestion(group.name, all))
    end
  end
  return clean
end

local function check_accounts()
  if accounts == nil then
    report_misnamed("accounts")
    return nil
  end
  return checks.record(accounts, "accounts", "accounts")
end

-- Report pinned and persistent models that leave no room for the other models.
local function check_kept(models, clean_groups, most)
  local persistent, kept, others = {}, 0, 0
  for _, group in ipairs(clean_groups or {}) do
    persistent[group.name] = group.persistent
  end
  for _, model in checks.entries(models) do
    if model.engine == "remote" then
      -- It takes no room here.
    elseif model.pinned or model.group and persistent[model.group] then
      kept = kept + 1
    else
      others = others + 1
    end
  end
  if others > 0 and kept >= most then
    report("server.max_loaded_models",
      ("%d leaves no room beside %d pinned or persistent model(s)"):format(most, kept))
  end
end

-- Report variants that need more than the resources, as they could never start.
local function check_needs(models, resources)
  local known = {}
  for name in checks.entries(resources) do
    known[#known + 1] = name
  end
  for index, model in checks.entries(models) do
    for position, variant in checks.entries(model.variants) do
      for name, amount in checks.entries(variant.needs) do
        local place = ("models[%d].variants[%d].needs.%s"):format(index, position, name)
        if not (resources and resources[name]) then
          report(place, "server.resources has no " .. name .. checks.suggestion(name, known))
        elseif amount > resources[name] then
          report(place, ("more than server.resources has (%d > %d)"):format(amount, resources[name]))
        end
      end
    end
  end
end

-- Return the routes, or nil. Python finds what leads nowhere, or in a circle.
local function check_routes()
  if routes == nil then
    report_misnamed("routes")
    return nil
  end
  return checks.routes(routes)
end

-- Return the peers, or nil.
local function check_peers()
  if peers == nil then
    report_misnamed("peers")
    return nil
  end
  return checks.peers(peers)
end

local function check_all()
  local clean_server = check_server()
  local listen = clean_server.listen_v4 or "127.0.0.1:7777"
  loader.own_port = (listen ~= "none" and listen or clean_server.listen_v6 or ""):match("(%d+)$")
  local clean_defaults = check_defaults()
  local clean_models = check_models()
  local clean_discover, clean_dirs = check_discover(), check_model_dirs()
  local clean_groups = check_groups(clean_models)
  check_needs(clean_models, clean_server.resources)
  local ports, engines = clean_server.port_range, clean_server.max_loaded_models or 1
  if ports and ports.first and ports.last and ports.first <= ports.last
    and ports.last - ports.first + 1 < engines then
    report("server.port_range", ("holds fewer ports than max_loaded_models (%d)"):format(engines))
  end
  check_kept(clean_models, clean_groups, clean_server.max_loaded_models or 1)
  local owner, all = collect_names(clean_models)
  local clean_routes = check_routes()
  for _, route in checks.entries(clean_routes) do
    owner[route.name] = owner[route.name] or "a route"
    all[#all + 1] = route.name
  end
  local default = clean_server.default_model
  -- The names of models that are found are not known here.
  if default and not owner[default] and not (clean_discover or clean_dirs) then
    report("server.default_model",
      ("no model or route has the name %s%s"):format(text.describe(default), checks.suggestion(default, all)))
  end
  return {
    server = clean_server,
    models = clean_models,
    groups = clean_groups,
    accounts = check_accounts(),
    routes = clean_routes,
    defaults = clean_defaults,
    discover = clean_discover,
    model_dirs = clean_dirs,
    peers = check_peers(),
  }
end

local clean = {}
if loader.config_fault then
  checks.faults[1] = text.printable(loader.config_fault)
else
  clean = check_all()
end
gateway_config = #checks.faults == 0 and clean or {}
gateway_config.faults = checks.faults
gateway_config.binaries = checks.binaries
