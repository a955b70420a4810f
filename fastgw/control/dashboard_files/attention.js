// What an operator should look at, worst first, each with what it means and where to go on.

import { plural, share } from "./format.js";

const STALE = 5; // seconds a worker may serve an older version; readiness fails after the same time
const SHARE_OF_FAILURES = 0.05;
const RECENT = 600; // seconds after which a replaced worker is history

/** [{tone, text, more, go}]; `go` is a view and its parameters. */
export function troubles({ ready, status, overview, fleet }) {
  const found = [];
  const bad = (text, more, go) => found.push({ tone: "bad", text, more, go });
  const warn = (text, more, go) => found.push({ tone: "warn", text, more, go });
  if (ready && !ready.ok) bad("Not ready", `${ready.detail}. Load balancers should send nothing here.`);
  if (status) {
    workers(status, bad, warn);
    for (const line of status.upstreams || []) warn("Upstream", line, ["upstreams"]);
    store(status.redis, warn);
    reloaded(status.last_reload, bad, warn);
    const lost = status.logger?.lines_dropped || 0;
    if (lost)
      warn(
        "Log",
        `${plural(lost, "line")} could not be written and was dropped: is the disk full, or the terminal blocked?`,
      );
    if (status.control?.restarts)
      warn(
        "Control",
        `the control process was restarted ${plural(status.control.restarts, "time")}. Its log says why.`,
      );
  }
  if (overview) traffic(overview, bad);
  if (fleet) gateways(fleet, warn);
  return found.sort((a, b) => (a.tone === b.tone ? 0 : a.tone === "bad" ? -1 : 1));
}

function workers(status, bad, warn) {
  for (const each of status.workers || []) {
    const who = `Worker ${each.index}`;
    if (each.state !== "serving") bad(who, `is ${each.state}, not serving.`);
    else if (each.version !== status.version && each.age_s > STALE) {
      bad(
        who,
        `still serves version ${each.version}; the current one is ${status.version}. The log says why it cannot follow.`,
      );
    }
    if (each.respawns && each.uptime_s < RECENT)
      warn(who, `died and was replaced ${plural(each.respawns, "time")}, last ${Math.round(each.uptime_s)} s ago.`);
    if (each.loop_lag_ms > 50)
      warn(who, `is late by ${Math.round(each.loop_lag_ms)} ms: it has more to do than one core can.`);
  }
}

function store(redis, warn) {
  if (!redis) return;
  const local = (redis.modes || []).filter((mode) => mode === "local").length;
  if (redis.state === "down")
    warn(
      "Limit store",
      `${redis.url} does not answer${redis.error ? ` (${redis.error})` : ""}. ` +
        "Each limit does what its on_error says; local buckets are the default.",
    );
  else if (local)
    warn(
      "Limit store",
      `${plural(local, "worker")} counts locally for now and looks every second whether the store is back.`,
    );
}

function reloaded(last, bad, warn) {
  if (!last) return;
  if (!last.ok)
    bad("Last reload", `was refused, and version ${last.version} stays: ${(last.errors || []).join("; ")}`, [
      "versions",
    ]);
  else if (last.needs_restart?.length)
    warn("Restart needed", `for ${last.needs_restart.join(", ")}: the file says something else than what runs.`, [
      "versions",
    ]);
}

function traffic(overview, bad) {
  const last = (overview.points || []).slice(-5);
  const sum = (name) => last.reduce((total, point) => total + (point[name] || 0), 0);
  const all = sum("requests_s");
  if (all > 0 && sum("errors_s") / all > SHARE_OF_FAILURES) {
    bad("Failing", `${share(sum("errors_s"), all)} of the exchanges end with a 5xx.`, ["live", { status: "5xx" }]);
  }
}

function gateways(fleet, warn) {
  const mine = (fleet.instances || []).find((each) => each.me);
  for (const each of fleet.instances || []) {
    if (each.error) warn(`Gateway ${each.instance}`, `cannot follow: ${each.error}`, ["overview"]);
    else if (mine && each.hash !== mine.hash)
      warn(`Gateway ${each.instance}`, `serves version ${each.version}, this one ${mine.version}.`, ["overview"]);
  }
  if (fleet.store && fleet.store.up === false)
    warn(
      "Version store",
      `is away${fleet.store.error ? ` (${fleet.store.error})` : ""}: traffic goes on, publishing waits.`,
      ["versions"],
    );
}
