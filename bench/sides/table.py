"""The sides by name.

Nginx is the base of every ratio, fastgw the side under test, the others are for orientation.
"""

from __future__ import annotations

from bench.sides import envoy, fastgw, haproxy, nginx
from bench.sides.side import Writer

BASE = "nginx"
OURS = "fastgw"
WRITERS: dict[str, Writer] = {
    "nginx": nginx.write,
    "fastgw": fastgw.write,
    "haproxy": haproxy.write,
    "envoy": envoy.write,
}
PEERS = ("nginx", "haproxy", "envoy")
