"""The token buckets themselves: one Lua script that decides a whole turn of the event loop.

What a key holds, and what goes in and comes out, is written at the script; command.py speaks it. No state, no I/O.
"""

from __future__ import annotations

import struct
from hashlib import sha1
from typing import Final

# A bucket is 16 bytes: tokens, and when that was in microseconds, two doubles. Tokens and not the one number of GCRA:
# tiers ask the same bucket at different rates, and a debt kept in time would change its worth between them.
#
# KEYS[i]         bucket i (1 to 254)
# ARGV[i]         its rate in tokens a second, and its burst, two doubles
# ARGV[n + 1]     the decisions, a byte string: for each the numbers of its buckets, then 0. A bucket after 255 is a
#                 shadow: it never refuses, and is charged only where the request is admitted and it has a token.
# ARGV[n + 2...]  leases: pairs of a bucket's number and how many tokens are wanted; as many whole ones as there are
#                 are granted, after all decisions.
#
# Answers {outcomes, millionths of a token left in bucket 1 ... n, granted by lease 1 ... m}; `outcomes` has "1" or "0"
# for each bucket in each decision: it has a token, or not. A decision is admitted if its buckets without 255 all say
# "1"; otherwise nothing of it is charged. Nothing is written where nothing was charged, except after the clock went
# back.
_TEXT: Final = """\
local now = @NOW@
local n = #KEYS
local byte, floor, pack, unpack_double = string.byte, math.floor, struct.pack, struct.unpack
local stored = redis.call('MGET', unpack(KEYS))
local tokens, rates, bursts, changed = {}, {}, {}, {}
for i = 1, n do
  local rate, burst = unpack_double('<dd', ARGV[i])
  local have, value = burst, stored[i]
  if value and #value == 16 then
    local left, stamp = unpack_double('<dd', value)
    if stamp > now then
      changed[i] = true  -- without this write nobody would gain a token until the old time comes again
    else
      left = left + (now - stamp) * rate / 1000000
    end
    if left < burst then have = left end
    if have < 0 then have = 0 end
  end
  tokens[i], rates[i], bursts[i] = have, rate, burst
end
local ops, outcomes = {byte(ARGV[n + 1], 1, -1)}, {}
local at, size, made = 1, #ops, 0
while at <= size do
  local admitted, first, op = true, at, ops[at]
  while op ~= 0 do
    if op == 255 then
      at = at + 1
    elseif tokens[op] < 1 then
      admitted = false
    end
    at = at + 1
    op = ops[at]
  end
  for i = first, at - 1 do
    op = ops[i]
    if op ~= 255 then
      made = made + 1
      local have = tokens[op]
      if have < 1 then
        outcomes[made] = '0'
      else
        outcomes[made] = '1'
        if admitted then
          tokens[op] = have - 1
          changed[op] = true
        end
      end
    end
  end
  at = at + 1
end
local answer, granted = {table.concat(outcomes)}, n + 1
for i = n + 2, #ARGV, 2 do
  local op, wanted = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local take = floor(tokens[op])
  if take > wanted then take = wanted end
  if take > 0 then
    tokens[op] = tokens[op] - take
    changed[op] = true
  end
  granted = granted + 1
  answer[granted] = take
end
for i = 1, n do
  local left = tokens[i]
  if changed[i] then
    local life = floor((bursts[i] - left) / rates[i] * 1000) + 1000
    redis.call('PSETEX', KEYS[i], life, pack('<dd', left, now))
  end
  answer[i + 1] = floor(left * 1000000)
end
return answer
"""

_SERVER_TIME: Final = "(function(t) return t[1] * 1000000 + t[2] end)(redis.call('TIME'))"


def source(now: str = _SERVER_TIME) -> bytes:
    """The script with another Lua expression for the time in microseconds (for its property test)."""
    return _TEXT.replace("@NOW@", now).encode()


TEXT: Final = source()
SHA: Final = sha1(TEXT, usedforsecurity=False).hexdigest().encode()

MAX_BUCKETS: Final = 254  # a bucket's number is a byte; 0 and 255 mean something else
SHADOW: Final = 255
MICRO: Final = 1_000_000


def spec(rate: float, burst: float) -> bytes:
    return struct.pack("<dd", rate, burst)
