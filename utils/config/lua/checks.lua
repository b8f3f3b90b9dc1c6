-- One check for each kind of value in utils/config/schema.py. A check takes a value and its place. It
-- returns the value for Python, or reports a fault and returns nil.
-- For an empty table it returns nil, because Python could not tell a list from a record.

return function(folder)
  local data = loader.data
  local text = dofile(folder .. "text.lua")
  local address = dofile(folder .. "address.lua")
  local json = dofile(folder .. "json.lua")(text)

  -- faults: one line each. binaries: every executable that is named, with its place; Python checks
  -- whether it can be run. model: the name of the model under check, for the messages.
  -- engine: its engine type, nil if it names an unknown one. default_binary: that of variants.
  local checks = { faults = {}, binaries = {}, model = nil, engine = nil, default_binary = nil }
  local capabilities =
    { "text", "vision", "audio", "embeddings", "rerank", "tools", "speech", "image" }
  local countings = { "vllm", "tabbyapi", "koboldcpp" }
  local signals = { "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL" }
  local slot_types = {
    "text", "vision", "omni", "embedding", "vision-embedding", "audio", "speech",
  }
  local cache_types = { "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl" }
  local levels = { "debug", "info", "warning", "error" }
  local slip = 2 -- with so many wrong letters, a word is still taken for a spelling mistake
  local largest = 2 ^ 53 -- from here on, Lua does not keep every integer exactly

  local function owner()
    return checks.model and (' (model "%s")'):format(text.printable(checks.model, 60)) or ""
  end

  function checks.report(place, message)
    checks.faults[#checks.faults + 1] = ("%s: %s%s"):format(place, message, owner())
  end

  local function expected(place, what, value)
    checks.report(place, ("expected %s, got %s"):format(what, text.describe(value)))
  end

  local function suggestion(word, known)
    local meant = text.nearest(word, known)
    return meant and ("; did you mean %s?"):format(meant) or ""
  end

  -- Numbers ---------------------------------------------------------------------------

  local function number_check(what, whole, minimum, above)
    return function(value, place)
      local fine = type(value) == "number" and value < largest
        and (above and value > minimum or not above and value >= minimum)
        and (not whole or value == math.floor(value))
      if not fine then
        return expected(place, what, value)
      end
      -- For Lua 4096.0 is an integer, but for Python "4096.0" is not.
      return whole and tonumber(("%d"):format(value)) or value
    end
  end

  checks.seconds = number_check("a positive number of seconds", false, 0, true)
  checks.delay = number_check("a number of seconds, 0 or more", false, 0, false)
  checks.positive = number_check("a positive integer", true, 0, true)
  checks.amount = number_check("an integer of 0 or more", true, 0, false)

  -- An amount of money: a number, or decimal text, which is never rounded.
  function checks.money(value, place)
    if type(value) == "string" and value:find("^%d+%.?%d*$") and #value <= 30 then
      return value
    elseif type(value) == "number" and value >= 0 and value < largest then
      return value
    end
    expected(place, 'an amount of money such as 0.0001 or "0.0001"', value)
  end

  -- A number of layers; -1 means all of them.
  function checks.layers(value, place)
    if value == "auto" then
      return value
    elseif type(value) ~= "number" or value < -1 or value ~= math.floor(value) or value > 9999 then
      return expected(place, 'a number of layers, -1 for all, or "auto"', value)
    end
    return tonumber(("%d"):format(value))
  end

  -- How long an engine may be idle.
  function checks.idle(value, place)
    if value == "never" then
      return value
    elseif type(value) ~= "number" then
      return expected(place, 'a positive number of seconds, or "never"', value)
    end
    return checks.seconds(value, place)
  end

  function checks.port(value, place)
    if type(value) == "number" and value > 65535 then
      return expected(place, "a port from 1 to 65535", value)
    end
    return checks.positive(value, place)
  end

  function checks.flag(value, place)
    if type(value) ~= "boolean" then
      return expected(place, "true or false", value)
    end
    return value
  end

  -- Text ------------------------------------------------------------------------------

  -- A text must be valid as an argument of a program: no byte 0, and UTF-8 for Python.
  local function plain(value, place)
    if not text.is_utf8(value) then
      return expected(place, "UTF-8 text", value)
    elseif value:find("\0", 1, true) then
      return expected(place, "text without a zero byte", value)
    end
    return value
  end

  function checks.text(value, place)
    if type(value) ~= "string" or not value:find("%S") then
      return expected(place, "a non-empty string", value)
    end
    return plain(value, place)
  end

  -- A file or a folder; Python finds it, relative to the configuration's folder.
  checks.file = checks.text

  -- A projector's file, or false for none.
  function checks.projector(value, place)
    if value == false then
      return value
    elseif type(value) ~= "string" then
      return expected(place, "a path, or false", value)
    end
    return checks.text(value, place)
  end

  -- A repository of a hub, with or without a quantisation.
  function checks.repository(value, place)
    local repo, rest = tostring(value):match("^([%w_.-]+/[%w_.-]+)(.*)$")
    local plain_one = type(value) == "string" and repo and not repo:find("..", 1, true)
      and not repo:find("--", 1, true)
    if not plain_one or rest ~= "" and not rest:find("^:[%w_.+-]+$") then
      return expected(place, 'a repository such as "org/repo" or "org/repo:Q4_K_M"', value)
    end
    return value
  end

  -- The name of a file in a repository, or of a version of it.
  function checks.path_inside(value, place)
    local name = checks.text(value, place)
    if name and (name:find("..", 1, true) or name:find("^/") or name:find("[\\:%c]")) then
      return expected(place, "a name inside the repository", value)
    end
    return name
  end

  -- A text for a header. The fault does not show it, because messages may end in a log.
  function checks.secret(value, place)
    if type(value) ~= "string" or not value:find("^[!-~]+$") then
      return checks.report(place, "expected ASCII text without spaces")
    end
    return value
  end

  -- Names appear in response headers and in the log.
  function checks.name(value, place)
    if type(value) == "string" and value:find("%c") then
      return expected(place, "a name without control characters", value)
    end
    return checks.text(value, place)
  end

  function checks.binary(value, place)
    local binary = checks.text(value, place)
    if binary then
      checks.binaries[#checks.binaries + 1] = { place = place, value = binary, owner = owner() }
    end
    return binary
  end

  local function choice_check(known, what)
    return function(value, place)
      for _, word in ipairs(known) do
        if value == word then
          return word
        end
      end
      local hint = type(value) == "string" and suggestion(value, known) or ""
      checks.report(place, ("expected %s, got %s%s"):format(what, text.describe(value), hint))
    end
  end

  checks.engine_type = choice_check(
    data.engines, "presets.engines." .. table.concat(data.engines, " or presets.engines."))
  checks.priority = choice_check({ "low", "normal", "high" }, '"low", "normal" or "high"')
  checks.slot_type = choice_check(slot_types, '"' .. table.concat(slot_types, '", "') .. '"')
  checks.counting = choice_check(countings, '"' .. table.concat(countings, '", "') .. '"')
  checks.download = choice_check({ "never", "start", "request" }, '"never", "start" or "request"')
  checks.log_level = choice_check(levels, '"' .. table.concat(levels, '", "') .. '"')

  checks.cache_type = choice_check(cache_types, '"' .. table.concat(cache_types, '", "') .. '"')

  local capability = choice_check(capabilities, '"' .. table.concat(capabilities, '", "') .. '"')

  local function listen_check(parse, example)
    return function(value, place)
      if value == "none" or type(value) == "string" and select(2, parse(value)) then
        return value
      end
      expected(place, ('an address such as "%s", or "none"'):format(example), value)
    end
  end

  checks.listen_v4 = listen_check(address.v4, "127.0.0.1:7777")
  checks.listen_v6 = listen_check(address.v6, "[::1]:7777")

  function checks.connect(value, place)
    local rest = type(value) == "string" and value:match("^http://([^/]+)/?$")
    if rest and (select(2, address.v4(rest)) or select(2, address.v6(rest))) then
      return "http://" .. rest
    end
    local scheme, host, tail = tostring(value):match("^(%a[%w+.-]*)://([^/]*)(.*)$")
    local why = ""
    if scheme and scheme ~= "http" then
      why = ("; the gateway asks its engines by http, and what answers by %s is an engine"
        .. " of type presets.engines.remote with a url"):format(scheme)
    elseif scheme and tail ~= "" and tail ~= "/" then
      why = "; it ends with the port, and paths are added to it"
    elseif scheme and not host:find(":%d+$") then
      why = "; it must name the port"
    end
    checks.report(place, ('expected a URL such as "http://127.0.0.1:8080", got %s%s'):format(
      text.describe(value), why))
  end

  -- The "/" at its end is removed, because paths are added to it.
  function checks.url(value, place)
    if type(value) ~= "string" or not value:find("^https?://[^%s%c/?#]+[^%s%c?#]*$") then
      return expected(place, 'a URL such as "https://api.example.com"', value)
    end
    return plain(value:gsub("/+$", ""), place)
  end

  function checks.path(value, place)
    if type(value) ~= "string" or not value:find("^/[^%s%c#]*$") then
      return expected(place, 'a path such as "/health"', value)
    end
    return plain(value, place)
  end

  checks.signal = choice_check(signals, '"' .. table.concat(signals, '", "') .. '"')

  function checks.status(value, place)
    if type(value) ~= "number" or value < 100 or value > 599 or value ~= math.floor(value) then
      return expected(place, "a status such as 200", value)
    end
    return tonumber(("%d"):format(value))
  end

  -- Labels are model@name.
  function checks.variant_name(value, place)
    if type(value) == "string" and value:find("@", 1, true) then
      return expected(place, "a name without @", value)
    end
    return checks.name(value, place)
  end

  local function origin(value, place)
    if value == "*" or type(value) == "string" and value:find("^%a[%w+.-]*://[^/%s%c]+$") then
      return plain(value, place)
    end
    expected(place, 'an origin such as "https://chat.example.com", or "*"', value)
  end

  -- Tables ----------------------------------------------------------------------------

  -- Return the keys of a table in a fixed order: numbers, then names.
  local function sorted_keys(value)
    local keys = {}
    for key in pairs(value) do
      keys[#keys + 1] = key
    end
    table.sort(keys, function(one, other)
      if type(one) == type(other) and type(one) == "number" then
        return one < other
      end
      return type(one) .. tostring(one) < type(other) .. tostring(other)
    end)
    return keys
  end

  -- Iterate over keys and values in that order. A list has holes at the places of faults.
  function checks.entries(value)
    local keys, at = sorted_keys(value or {}), 0
    return function()
      at = at + 1
      if keys[at] ~= nil then
        return keys[at], value[keys[at]]
      end
    end
  end

  local function some(value)
    return next(value) ~= nil and value or nil
  end

  -- Check a list and each of its elements. A list with a hole is a fault: Lua would end it there.
  function checks.list(value, place, what, check)
    if type(value) ~= "table" then
      return expected(place, what, value)
    end
    local last, clean = 0, {}
    for _, key in ipairs(sorted_keys(value)) do
      if type(key) ~= "number" or key < 1 or key ~= math.floor(key) then
        checks.report(text.place(place, key), ("a list has no names; expected %s"):format(what))
      else
        for missing = last + 1, math.min(key - 1, last + 3) do
          checks.report(text.place(place, missing), "nothing here (an undefined value?)")
        end
        last = key
        clean[key] = check(value[key], text.place(place, key))
      end
    end
    return some(clean)
  end

  function checks.patterns(value, place)
    return checks.list(value, place, 'a list such as { "*embed*" }', checks.name)
  end

  -- The contexts of planned variants.
  function checks.contexts(value, place)
    local what = 'a list such as { 8192, 32768 }, or "auto"'
    if value == "auto" then
      return value
    elseif type(value) == "table" and next(value) == nil then
      return expected(place, what, value)
    end
    local seen = {}
    return checks.list(value, place, what, function(context, where)
      context = checks.positive(context, where)
      if context and seen[context] then
        return checks.report(where, ("%d is already in the list"):format(context))
      end
      seen[context or 0] = true
      return context
    end)
  end

  function checks.origins(value, place)
    return checks.list(value, place, "a list of origins", origin)
  end

  -- Without a port, because clients may use another one, for example of a proxy.
  local function host(value, place)
    if value == "*" or type(value) == "string"
      and (value:find("^[%w._-]+$") or value:find("^[%x.]*:[%x.]*:[%x:.]*$")) then
      return value
    end
    expected(place, 'a name such as "llm.example.com", without port, or "*"', value)
  end

  function checks.hosts(value, place)
    return checks.list(value, place, "a list of names", host)
  end

  -- Python refuses what is no address or network all the same; this finds most slips.
  local function network(value, place)
    if type(value) == "string" and value:find("^[%x:.]+$") or
      type(value) == "string" and value:find("^[%x:.]+/%d+$") then
      return value
    end
    expected(place, 'an address or a network such as "10.0.0.0/8"', value)
  end

  function checks.networks(value, place)
    return checks.list(value, place, "a list of addresses", network)
  end

  function checks.capabilities(value, place)
    return checks.list(value, place, 'a list such as { "text", "tools" }', capability)
  end

  -- These two decide where a request goes and how it is answered, so they are not parameters.
  local function reserved(name, place)
    if name == "model" or name == "stream" then
      checks.report(place, "the gateway itself needs this one as the client sent it")
      return true
    end
  end

  -- As JSON text: python-lua-helper keeps neither names with dots nor every type.
  function checks.params(value, place)
    if type(value) ~= "table" then
      return expected(place, "a table such as { temperature = 0.7 }", value)
    end
    local encoded, where, reason = json(value, place)
    if not encoded then
      return checks.report(where, reason)
    elseif encoded:sub(1, 1) ~= "{" then
      return expected(place, "names, as in { temperature = 0.7 }", value)
    end
    for _, name in ipairs(sorted_keys(value)) do
      if reserved(name, text.place(place, name)) then
        return nil
      end
    end
    return encoded
  end

  function checks.param_names(value, place)
    return checks.list(value, place, "a list of names", function(name, where)
      return not reserved(name, where) and checks.name(name, where) or nil
    end)
  end

  -- { "a", ["b"] = { temperature = 0 } }: names with parameters become records, at the end.
  function checks.aliases(value, place)
    local plain_ones, clean = value, {}
    if type(value) == "table" then
      plain_ones = {}
      for key, item in pairs(value) do
        if type(key) ~= "string" or type(item) ~= "table" then
          plain_ones[key] = item
        end
      end
    end
    clean = checks.list(plain_ones, place, "a list of names", checks.name) or {}
    for _, key in ipairs(sorted_keys(type(value) == "table" and value or {})) do
      if type(key) == "string" and type(value[key]) == "table" then
        local where = text.place(place, key)
        local name, params = checks.name(key, where), checks.params(value[key], where)
        clean[#clean + 1] = name and params and { name = name, params = params }
      end
    end
    return some(clean)
  end

  -- Numbers are accepted too, because people write { "-c", 4096 }.
  local function argument(value, place)
    if type(value) == "number" and value == value and math.abs(value) < largest then
      return value == math.floor(value) and ("%d"):format(value) or ("%.14g"):format(value)
    elseif type(value) ~= "string" then
      return expected(place, "a string or a number", value)
    end
    return plain(value, place)
  end

  function checks.arguments(value, place)
    return checks.list(value, place, 'a list such as { "-c", "4096" }', argument)
  end

  function checks.paths(value, place)
    return checks.list(value, place, 'a list such as { "/v1/embeddings" }', checks.path)
  end

  function checks.command(value, place)
    local what = 'a list such as { "/opt/server", "--port", "${PORT}" }'
    local clean = checks.list(value, place, what, argument)
    if type(value) == "table" and next(value) == nil then
      expected(place, what, value)
    elseif clean and clean[1] then
      checks.binary(clean[1], text.place(place, 1))
    end
    return clean
  end

  -- Python gets a list: a variable's name may have a dot, which python-lua-helper would take for a
  -- path.
  function checks.env(value, place)
    if type(value) ~= "table" then
      return expected(place, 'a table such as { NAME = "value" }', value)
    end
    local clean = {}
    for _, name in ipairs(sorted_keys(value)) do
      local where = text.place(place, name)
      if type(name) ~= "string" or name == "" or name:find("[=%c]") or not text.is_utf8(name) then
        checks.report(where, 'not a variable\'s name; expected { NAME = "value" }')
      else
        clean[#clean + 1] = { name = name, value = argument(value[name], where) }
      end
    end
    return some(clean)
  end

  -- Return whether a table of the model under check may have this key.
  local function is_allowed(entry)
    return not entry.engines or not checks.engine or entry.engines[checks.engine]
  end

  -- Return whether a variant of the model under check may have this key.
  local function is_for_variants(key)
    for _, entry in ipairs(data.tables.variant) do
      if entry.name == key then
        return is_allowed(entry)
      end
    end
    return false
  end

  -- Check a record by the keys that utils/config/tables.py has under `title`.
  function checks.record(value, place, title)
    if type(value) ~= "table" then
      return expected(place, "a table", value)
    end
    local known, is_known, clean = {}, {}, {}
    for _, entry in ipairs(data.tables[title]) do
      local key = entry.name
      is_known[key] = true
      if not is_allowed(entry) then
        if value[key] ~= nil then
          local what = title == "model" and is_for_variants(key)
            and "belongs to the variants of an engine of type %s"
            or "no key of an engine of type %s"
          checks.report(text.place(place, key), what:format(checks.engine))
        end
      else
        known[#known + 1] = key
        if value[key] ~= nil then
          clean[key] = checks[entry.check](value[key], text.place(place, key))
        elseif entry.required and (checks.engine or not entry.engines)
          or entry.required_by and entry.required_by[checks.engine] then
          checks.report(text.place(place, key), "missing")
        end
      end
    end
    for _, key in ipairs(sorted_keys(value)) do
      if not is_known[key] then
        checks.unknown(key, place, known)
      end
    end
    return clean
  end

  -- Return a text that suggests known keys. A key of another table is no spelling mistake, but it
  -- may be a part of a known key.
  local function key_suggestion(key, known, is_elsewhere)
    local meant, far = text.nearest(key, known)
    local family = text.family(key, known)
    if far > slip and #family > 1 and #family <= 4 then
      local last = table.remove(family)
      return ("; did you mean %s or %s?"):format(table.concat(family, ", "), last)
    elseif meant and (far < slip or not is_elsewhere) then
      return ("; did you mean %s?"):format(meant)
    end
    return ""
  end

  function checks.unknown(key, place, known)
    local elsewhere = ""
    for _, title in ipairs({
      "tokenization", "discover", "variant", "model", "server", "rule", "route",
    }) do
      for _, entry in ipairs(data.tables[title]) do
        if entry.name == key then
          elsewhere = (" (known in a %s table)"):format(title)
        end
      end
    end
    local hint = type(key) == "string" and key_suggestion(key, known, elsewhere ~= "") or ""
    checks.report(text.place(place, key), "unknown key" .. elsewhere .. hint)
  end

  -- Python gets a list, as for env.
  function checks.groups(value)
    if type(value) ~= "table" then
      return expected("groups", "a table such as { name = { persistent = true } }", value)
    end
    local clean = {}
    for _, name in ipairs(sorted_keys(value)) do
      local where = text.place("groups", name)
      if type(name) ~= "string" or not checks.name(name, where) then
        checks.report(where, "not a group's name; expected { name = { persistent = true } }")
      else
        local group = checks.record(value[name], where, "group") or {}
        group.name = name
        clean[#clean + 1] = group
      end
    end
    return some(clean)
  end

  -- A table by names. Python gets a list of what `check` makes of each entry, as for env: a name may
  -- have a dot.
  function checks.by_name(value, place, what, check)
    if type(value) ~= "table" then
      return expected(place, what, value)
    end
    local clean = {}
    for _, name in ipairs(sorted_keys(value)) do
      local where = text.place(place, name)
      if type(name) ~= "string" or not checks.name(name, where) then
        checks.report(where, "not a name; expected " .. what)
      else
        clean[#clean + 1] = check(value[name], where, name)
      end
    end
    return some(clean)
  end

  -- A table of records by name.
  function checks.records(value, place, what, title)
    return checks.by_name(value, place, what, function(entry, where, name)
      local one = checks.record(entry, where, title) or {}
      one.name = name
      return one
    end)
  end

  local function named_check(title, what)
    return function(value, place)
      return checks.records(value, place, what, title)
    end
  end

  checks.prices = named_check("price", 'a table such as { ["qwen3-*"] = { output_per_1k = "0.0006" } }')
  checks.tiers = named_check("tier", "a table such as { gold = { rpm = 500 } }")

  local function record_check(title)
    return function(value, place)
      local clean = checks.record(value, place, title)
      return clean and some(clean)
    end
  end

  checks.price = record_check("price")
  checks.rate_limits = record_check("rate_limits")
  checks.oidc = record_check("oidc")

  function checks.tokenization(value, place)
    local clean = checks.record(value, place, "tokenization")
    return clean and some(clean)
  end

  local units = { [""] = 1, B = 1 }
  for power, prefix in ipairs({ "K", "M", "G", "T" }) do
    units[prefix .. "B"], units[prefix .. "iB"] = 1000 ^ power, 1024 ^ power
  end

  -- A number of bytes, or of a unit that the user chooses.
  local function size(value, place)
    local number, unit = value, ""
    if type(value) == "string" then
      number, unit = value:match("^%s*(%d+%.?%d*)%s*(%a*)%s*$")
      number = tonumber(number)
    end
    local bytes = type(number) == "number" and units[unit] and number * units[unit]
    if not bytes or not (bytes >= 0 and bytes < largest) then
      return expected(place, 'a size such as "24GiB"', value)
    end
    return tonumber(("%d"):format(math.floor(bytes)))
  end

  checks.bytes = size

  function checks.resources(value, place)
    if type(value) ~= "table" then
      return expected(place, 'a table such as { gpu0 = "24GiB" }', value)
    end
    local clean = {}
    for _, name in ipairs(sorted_keys(value)) do
      local where = text.place(place, name)
      if type(name) ~= "string" or not name:find("^%a[%w_-]*$") then
        checks.report(where, "not a resource's name; expected letters, digits, _ or -")
      else
        clean[name] = size(value[name], where)
      end
    end
    return some(clean)
  end

  function checks.port_range(value, place)
    local clean = checks.record(value, place, "port_range")
    if clean and clean.first and clean.last and clean.last < clean.first then
      checks.report(place, ("last (%d) comes before first (%d)"):format(clean.last, clean.first))
    end
    return clean
  end

  function checks.slots(value, place)
    local clean = checks.list(value, place, "a list of slots", function(slot, where)
      return checks.record(slot, where, "slot")
    end)
    local seen = {}
    for index, slot in checks.entries(clean) do
      if slot.port and seen[slot.port] then
        checks.report(("%s[%d].port"):format(place, index),
          ("%d is already the port of slots[%d]"):format(slot.port, seen[slot.port]))
      end
      seen[slot.port or 0] = seen[slot.port or 0] or index
    end
    return clean
  end

  function checks.tls(value, place)
    return checks.record(value, place, "tls")
  end

  local function variant(value, place)
    local clean = checks.record(value, place, "variant")
    if clean and value.binary == nil and (checks.engine == data.engines[1] or not checks.engine) then
      clean.binary = checks.default_binary or checks.binary(data.server, place .. ".binary")
    end
    return clean
  end

  function checks.variants(value, place)
    local clean = checks.list(value, place, "a list of variants", variant)
    if type(value) == "table" and next(value) == nil then
      checks.report(place, "expected at least one variant")
    end
    return clean
  end

  dofile(folder .. "routes.lua")(checks, {
    text = text, expected = expected, sorted_keys = sorted_keys, some = some, choice = choice_check,
    json = json,
  })

  checks.suggestion = suggestion
  checks.address = address
  checks.text_tools = text
  return checks
end
