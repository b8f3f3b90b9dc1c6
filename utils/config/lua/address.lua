-- Network addresses as people write them, taken apart; nil where they are none.

local address = {}

local function port_of(digits)
  local port = #digits <= 5 and tonumber(digits) or 0
  return port >= 1 and port <= 65535 and port or nil
end

-- A name, or four numbers up to 255.
local function is_host(host)
  if not host:find("[^%d%.]") then
    local parts = { host:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
    for index = 1, 4 do
      if not parts[index] or #parts[index] > 3 or tonumber(parts[index]) > 255 then
        return false
      end
    end
    return true
  end
  return host:find("^%w[%w%.%-]*$") ~= nil
end

-- Up to eight groups of four hexadecimal digits, of which "::" may stand for some.
local function is_ipv6(host)
  host = host:gsub("%%%w+$", "") -- the interface, as in fe80::1%eth0
  local head, tail = host:match("^(.-)::(.*)$")
  local groups = 0
  for _, side in ipairs({ head or host, tail or "" }) do
    if side ~= "" then
      for group in (side .. ":"):gmatch("([^:]*):") do
        groups = groups + 1
        if not group:find("^%x%x?%x?%x?$") then
          return false
        end
      end
    end
  end
  if head then
    return groups < 8
  end
  return groups == 8
end

-- host, port of "127.0.0.1:7777" or "localhost:7777"; no port where it is out of range.
function address.v4(value)
  local host, port = value:match("^([^:]+):(%d+)$")
  if host and is_host(host) then
    return host, port_of(port)
  end
end

-- host, port of "[::1]:7777".
function address.v6(value)
  local host, port = value:match("^%[([%x:%.]+%%?%w*)%]:(%d+)$")
  if host and is_ipv6(host) then
    return host, port_of(port)
  end
end

return address
