-- Parse network addresses as people write them; nil if the text is not an address.

local address = {}

local function port_of(digits)
  local port = #digits <= 5 and tonumber(digits) or 0
  return port >= 1 and port <= 65535 and port or nil
end

-- Return whether the text is a host name or an IPv4 address.
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

-- Return whether the text is an IPv6 address: eight groups of hexadecimal digits, where "::" stands
-- for one or more groups of zeros.
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

-- Return host and port of "127.0.0.1:7777" or "localhost:7777"; no port if it is out of range.
function address.v4(value)
  local host, port = value:match("^([^:]+):(%d+)$")
  if host and is_host(host) then
    return host, port_of(port)
  end
end

-- Return host and port of "[::1]:7777".
function address.v6(value)
  local host, port = value:match("^%[([%x:%.]+%%?%w*)%]:(%d+)$")
  if host and is_ipv6(host) then
    return host, port_of(port)
  end
end

return address
