"""fastgw: a self-hosted API gateway.

The vocabulary, used with these meanings in code, configuration, logs and metrics:

listener    an address that clients connect to
connection  one transport, downstream (client side) or upstream (service side)
exchange    one request and its response
route       what a request matched, and what is to happen to it
policy      one decision that a route asks for before an exchange is forwarded
reply       an answer that the gateway makes itself
upstream    a named service
target      one address of an upstream
attempt     one try of an exchange against a target
snapshot    a compiled, immutable configuration
worker      one data-plane process
ledger      where an exchange is accounted, exactly once
"""

__version__ = "0.1.0"
