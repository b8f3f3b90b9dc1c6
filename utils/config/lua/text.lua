-- Text for faults: how a value looks to the person who wrote it, and what the person probably
-- meant.

local text = {}

-- Return the length in bytes of the UTF-8 character at `at`, or nil if none begins there.
local function character(value, at)
  local lead, second = value:byte(at, at + 1)
  local length = lead < 0x80 and 1 or lead < 0xC2 and 0 or lead < 0xE0 and 2
    or lead < 0xF0 and 3 or lead < 0xF5 and 4 or 0
  if length < 2 then
    return length == 1 and 1 or nil
  end
  -- The second byte shows overlong forms, surrogates, and values above U+10FFFF.
  local low = lead == 0xE0 and 0xA0 or lead == 0xF0 and 0x90 or 0x80
  local high = lead == 0xED and 0x9F or lead == 0xF4 and 0x8F or 0xBF
  if not second or second < low or second > high then
    return nil
  end
  local tail = value:sub(at + 2, at + length - 1)
  return #tail == length - 2 and not tail:find("[^\128-\191]") and length or nil
end

function text.is_utf8(value)
  local at = 1
  while at <= #value do
    local length = character(value, at)
    if not length then
      return false
    end
    at = at + length
  end
  return true
end

-- Return the text on one line, at most `limit` bytes, with unprintable characters as \xNN.
function text.printable(value, limit)
  local shown, at = {}, 1
  while at <= #value do
    if limit and at > limit then
      shown[#shown + 1] = "..."
      break
    end
    local length = character(value, at)
    local piece = value:sub(at, at + (length or 1) - 1)
    if not length or piece:find("%c") then
      piece = ("\\x%02x"):format(piece:byte())
    end
    shown[#shown + 1] = piece
    at = at + (length or 1)
  end
  return table.concat(shown)
end

function text.describe(value)
  local kind = type(value)
  if kind == "string" then
    return '"' .. text.printable(value, 60) .. '"'
  elseif kind == "nil" then
    return "nothing"
  elseif value ~= value then
    return "nan" -- the result of tostring differs between systems
  elseif kind == "number" or kind == "boolean" then
    return tostring(value)
  end
  return "a " .. kind
end

-- Return a place inside a place: a.b, a[1], or a["b c"] if the key is not a plain name.
function text.place(outer, key)
  if type(key) ~= "string" then
    return ("%s[%s]"):format(outer, text.describe(key))
  end
  if not key:find("^[%a_][%w_]*$") then
    return ('%s["%s"]'):format(outer, text.printable(key, 60))
  end
  return outer == "" and key or outer .. "." .. key
end

-- Return how many letters must be added, removed or changed to turn one word into the other.
local function distance(one, other)
  local row = {}
  for column = 0, #other do
    row[column] = column
  end
  for line = 1, #one do
    local diagonal
    diagonal, row[0] = row[0], line
    for column = 1, #other do
      local same = one:byte(line) == other:byte(column)
      local best = math.min(row[column] + 1, row[column - 1] + 1, diagonal + (same and 0 or 1))
      diagonal, row[column] = row[column], best
    end
  end
  return row[#other]
end

-- Return the known word that `word` probably means, and how far it is from it, or nil. Unless
-- `whole` is true, a part of a known word counts as a small spelling mistake.
function text.nearest(word, known, whole)
  local best, least = nil, math.huge
  word = word:sub(1, 100):lower()
  for _, candidate in ipairs(known) do
    local other = candidate:lower()
    local far = distance(word, other)
    local limit = #other < 4 and 1 or math.max(2, math.floor(#other / 3))
    local part = not whole and #word >= 4 and (other:find(word, 1, true) or word:find(other, 1, true))
    if part then
      -- A part is more likely than a spelling mistake; of several words, the shortest is best.
      far = math.min(far, 1 + math.abs(#other - #word) / 100)
    end
    if far < least and (part or far <= limit and far < #other) then
      best, least = candidate, far
    end
  end
  return best, least
end

-- Return the known words that differ from `word` in their last part only, as a_b_c from a_b_x.
function text.family(word, known)
  local found, head = {}, word:match("^.+_")
  for _, candidate in ipairs(known) do
    if head and candidate:sub(1, #head) == head then
      found[#found + 1] = candidate
    end
  end
  return found
end

return text
