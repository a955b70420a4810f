// What each reason means, and what an operator may do about it. One sentence each; the tokens are those of the log.

export const REASONS = {
  ok: "The upstream answered, whatever its status.",
  bad_framing: "The length of a message or its line endings could not be trusted; the connection was closed.",
  bad_request: "The request broke a rule of HTTP. The rule is named in the answer.",
  header_timeout:
    "A client did not finish its head in time (server.header_timeout). Slow networks, or somebody holding connections.",
  body_timeout: "A client stopped sending its body, or was slower than server.min_body_rate.",
  uri_too_long: "The target was longer than 8 KiB.",
  body_too_large: "The body was larger than max_body of the route.",
  header_too_large: "The head was larger than server.max_header_size, or had more than 100 fields.",
  no_route: "No route has this host and path. Explain shows the nearest ones.",
  method_not_allowed: "A route has this path, but not this method.",
  missing_credentials: "No token and no key was sent on a route that wants one.",
  invalid_credentials: "A token or key was wrong. Many from one address: somebody guesses.",
  expired_credentials: "A token was good once. Many at once: look at the clocks, or at the clients' refresh.",
  insufficient_scope: "The caller is known but lacks a scope that the route wants.",
  ip_denied: "The address is not allowed on this route (ip_access).",
  rate_limited: "A limit was used up. The rule names it; a tier gives a consumer more.",
  limit_store_down: "The store of the limits was away, and this limit says deny then (on_error).",
  auth_unavailable: "No keys of the issuer could be fetched yet, so no token can be verified. Look at its jwks_url.",
  overloaded: "More was in flight than allowed (max_in_flight, connections.max, queue). The rule says which bound.",
  draining: "The gateway is shutting down and asks clients to come back.",
  breaker_open: "The circuit is open after failures: see Upstreams for the cause and the next probe.",
  no_healthy_target: "No target of the upstream has an address, or all are out.",
  connect_timeout: "A target did not take the connection in time (timeouts.connect).",
  response_timeout: "A target did not begin its answer in time (timeouts.response).",
  idle_timeout: "A target paused too long within its answer (timeouts.idle).",
  total_timeout: "The whole exchange took longer than timeouts.total.",
  connect_refused: "Nobody listens on the target's port.",
  dns_error: "The target's name has no address.",
  tls_error: "TLS with the target failed. Its certificate, its name or the private authority.",
  upstream_reset: "The target closed the connection before its answer.",
  upstream_protocol_error: "The target's answer was not proper HTTP and was not passed on.",
  response_truncated: "The target's answer broke off after it had begun.",
  client_closed: "The client went away before its answer was complete (logged as 499).",
  send_timeout: "The client did not read its answer (server.send_timeout).",
  internal_error: "A defect of the gateway. Its log has the details: please report it.",
};

export function meaning(reason) {
  return REASONS[reason] || "";
}

/** Refusals are a decision, failures are trouble: those of the server's side are 5xx. */
const FAILURES = new Set([
  "limit_store_down",
  "auth_unavailable",
  "overloaded",
  "breaker_open",
  "no_healthy_target",
  "connect_timeout",
  "response_timeout",
  "idle_timeout",
  "total_timeout",
  "connect_refused",
  "dns_error",
  "tls_error",
  "upstream_reset",
  "upstream_protocol_error",
  "response_truncated",
  "internal_error",
]);

export function tone(reason) {
  if (reason === "ok") return "good";
  return FAILURES.has(reason) ? "bad" : "warn";
}
