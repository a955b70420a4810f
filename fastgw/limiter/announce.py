"""How many gateways share the store: each says now and then that it lives. For control, over redis-py.

Workers never import this: redis-py alone takes half a second. What may not live here: anything on a request's path.
"""

from __future__ import annotations

from typing import Final

from redis import RedisError
from redis.asyncio import Redis

LIFE: Final = 10  # seconds that an announcement counts
TIMEOUT: Final = 1.0  # for connecting, and for the answer
MOST: Final = 10_000  # so that a defect elsewhere cannot make the set grow without end

# KEYS[1]: a sorted set of instances by the time of their last word, in seconds of the store's clock.
_SCRIPT: Final = """\
local now = tonumber(redis.call('TIME')[1])
local life, most = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - life)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. (now + life), '+inf')
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -most - 1)
redis.call('EXPIRE', KEYS[1], 2 * life)
return redis.call('ZCARD', KEYS[1])
"""


class AnnounceError(OSError):
    """The store could not be told; in words for the operator."""


async def announce(url: str, prefix: bytes, instance: str) -> int:
    """This instance lives; returns how many do. A connection for each time: it is asked every few seconds."""
    try:
        client: Redis = Redis.from_url(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, single_connection_client=True
        )
        async with client:
            answer = await client.eval(_SCRIPT, 1, prefix + b"instances", instance, LIFE, MOST)
    except (RedisError, OSError, ValueError) as error:
        raise AnnounceError(f"{type(error).__name__}: {str(error)[:200]}") from None
    if type(answer) is not int:
        raise AnnounceError("the store's answer is not a number")
    return max(1, answer)
