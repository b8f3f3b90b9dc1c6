-- Write a Lua value as JSON text, for parameters whose names and types the gateway does not know.
-- If JSON has no such value, return nil, the place in the value, and the reason.
-- A table with elements without names is an array; an empty table is an object.

return function(text)
  local escapes = { ['"'] = '\\"', ["\\"] = "\\\\" }
  local encode

  local function quoted(value)
    local inner = value:gsub('[%c"\\]', function(character)
      return escapes[character] or ("\\u%04x"):format(character:byte())
    end)
    return '"' .. inner .. '"'
  end

  local function number(value, place)
    if value ~= value or value == math.huge or value == -math.huge then
      return nil, place, "expected a number that JSON can hold"
    end
    local whole = value == math.floor(value) and math.abs(value) < 2 ^ 53
    return whole and ("%d"):format(value) or ("%.17g"):format(value)
  end

  local function array(value, place, depth)
    local parts, count = {}, 0
    for _ in pairs(value) do
      count = count + 1
    end
    for index = 1, count do
      if value[index] == nil then
        return nil, place, "expected either a list without gaps or names, not both"
      end
      local part, where, reason = encode(value[index], text.place(place, index), depth)
      if not part then
        return nil, where, reason
      end
      parts[index] = part
    end
    return "[" .. table.concat(parts, ",") .. "]"
  end

  local function object(value, place, depth)
    local names, parts = {}, {}
    for name in pairs(value) do
      if type(name) ~= "string" or not text.is_utf8(name) then
        return nil, place, "expected either a list without gaps or names, not both"
      end
      names[#names + 1] = name
    end
    table.sort(names)
    for index, name in ipairs(names) do
      local part, where, reason = encode(value[name], text.place(place, name), depth)
      if not part then
        return nil, where, reason
      end
      parts[index] = quoted(name) .. ":" .. part
    end
    return "{" .. table.concat(parts, ",") .. "}"
  end

  function encode(value, place, depth)
    local kind = type(value)
    if kind == "boolean" then
      return tostring(value)
    elseif kind == "number" then
      return number(value, place)
    elseif kind == "string" then
      if not text.is_utf8(value) then
        return nil, place, "expected UTF-8 text"
      end
      return quoted(value)
    elseif kind ~= "table" then
      return nil, place, "expected a text, a number, true, false or a table of such, got "
        .. text.describe(value)
    elseif depth == 0 then
      return nil, place, "nested too deep"
    end
    return (value[1] ~= nil and array or object)(value, place, depth - 1)
  end

  return function(value, place)
    return encode(value, place, 16)
  end
end
