-- The checks of the values in routes, as those in checks.lua. What is a table by names in Lua
-- becomes a list for Python, as names may have dots.

return function(checks, tools)
  local text, expected, sorted_keys, some = tools.text, tools.expected, tools.sorted_keys, tools.some

  local pickers = { "first", "warm", "cheapest_to_load", "spillover", "weighted" }
  checks.picker = tools.choice(pickers, '"' .. table.concat(pickers, '", "') .. '"')

  checks.expression = checks.text
  checks.prose = checks.text

  local part = tools.choice({ "image", "audio" }, '"image" or "audio"')

  function checks.parts(value, place)
    return checks.list(value, place, 'a list such as { "image" }', part)
  end

  -- As JSON text, as parameters are.
  function checks.metadata(value, place)
    if type(value) ~= "table" then
      return expected(place, 'a table such as { family = "qwen" }', value)
    end
    local encoded, where, reason = tools.json(value, place)
    if not encoded then
      return checks.report(where, reason)
    elseif encoded:sub(1, 1) ~= "{" then
      return expected(place, 'names, as in { family = "qwen" }', value)
    end
    return encoded
  end

  function checks.words(value, place)
    return checks.list(value, place, "a list of names", checks.name)
  end

  -- One name may stand without its list.
  function checks.targets(value, place)
    if type(value) == "string" then
      local name = checks.name(value, place)
      return name and { name }
    end
    local clean = checks.list(value, place, 'a list of models or routes such as { "small" }',
      checks.name)
    if type(value) == "table" and next(value) == nil then
      checks.report(place, "expected at least one model or route")
    end
    return clean
  end

  function checks.hours(value, place)
    local first, last = type(value) == "table" and value[1], type(value) == "table" and value[2]
    local function hour(given)
      return type(given) == "number" and given == math.floor(given) and given >= 0 and given <= 24
    end
    if not (hour(first) and hour(last) and #value == 2 and first ~= last) then
      return expected(place, "two hours from 0 to 24 such as { 22, 6 }", value)
    end
    return { tonumber(("%d"):format(first)), tonumber(("%d"):format(last)) }
  end

  local function named(value, place, what, check)
    return checks.by_name(value, place, what, function(entry, where, name)
      local found = check(entry, where)
      return found and { name = name, value = found }
    end)
  end

  function checks.counts(value, place)
    return named(value, place, "a table such as { small = 4 }", checks.amount)
  end

  function checks.labels(value, place)
    local clean = named(value, place, 'a table such as { code = { "coder" } }', checks.targets)
    if type(value) == "table" and next(value) == nil then
      checks.report(place, "expected at least one label")
    end
    return clean
  end

  function checks.classify(value, place)
    return checks.record(value, place, "classify")
  end

  function checks.rules(value, place)
    return checks.list(value, place, "a list of rules", function(rule, where)
      return checks.record(rule, where, "rule")
    end)
  end

  -- A global table by names, each entry with its name.
  local function global_check(global, title, example)
    return function(value)
      return checks.records(value, global, "a table such as " .. example, title)
    end
  end

  checks.routes = global_check("routes", "route", '{ fast = { to = { "small" } } }')
  local check_peers = global_check(
    "peers", "peer", '{ box = { url = "http://192.168.1.7:7777" } }')

  function checks.peers(value)
    local clean = check_peers(value)
    for _, peer in ipairs(clean or {}) do
      if peer.name:find("/", 1, true) then
        checks.report(text.place("peers", peer.name), "expected a name without a slash")
      end
    end
    return clean
  end
end
