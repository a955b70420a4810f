// The first view: is all well, how much, how fast, and why not.

import { troubles } from "./attention.js";
import { Chart } from "./chart.js";
import { byId, chip, fill, h, link } from "./dom.js";
import { bytes, clock, count, millis, named, rate, routed, share, span } from "./format.js";
import { meaning, tone } from "./reasons.js";
import { Table } from "./table.js";

const LINES = 20; // of what needs attention

const MS = (name, title, hint) => ({ id: name, title, hint, number: true, value: (row) => row[name], cell: (row) => millis(row[name]) });
const RATE = (name, title, hint, warn) => ({
  id: name, title, hint, number: true, value: (row) => row[name],
  cell: (row) => (warn && row[name] > 0 ? h("span", { class: warn }, rate(row[name])) : rate(row[name])),
});

export class Overview {
  constructor({ go }) {
    this.go = go;
    this.opened = new Set(); // reasons whose meaning is shown
    this.traffic = new Chart(byId("traffic-chart"), {
      name: "Exchanges a second", shown: (value) => rate(value),
      series: [
        { label: "all", colour: "--blue", fill: "--blue-soft", value: (point) => point.requests_s },
        { label: "refused", colour: "--amber", value: (point) => point.refused_s },
        { label: "5xx", colour: "--red", value: (point) => point.errors_s },
      ],
    });
    this.latency = new Chart(byId("latency-chart"), {
      name: "Latency", shown: millis, log: true,
      series: [
        { label: "upstream p99", colour: "--violet", value: (point) => point.upstream_p99_ms },
        { label: "upstream p50", colour: "--violet", dash: [5, 4], value: (point) => point.upstream_p50_ms },
        { label: "ours p99", colour: "--green", value: (point) => point.own_p99_ms },
        { label: "ours p50", colour: "--green", dash: [5, 4], value: (point) => point.own_p50_ms },
      ],
    });
    this.tables(go);
    byId("routes-filter").addEventListener("input", () => this.drawRoutes());
  }

  tables(go) {
    this.reasons = new Table(byId("reasons"), {
      caption: "Refused and failed, by reason", key: (row) => `${row.reason} ${row.route}`, sort: ["per_s", true],
      empty: "Nothing was refused and nothing failed.",
      columns: [
        { id: "reason", title: "Reason", value: (row) => row.reason, wide: true, cell: (row) => this.reason(row) },
        { id: "route", title: "Route", value: (row) => row.route, cell: (row) => named(row.route) },
        RATE("per_s", "Per second"),
        { id: "total", title: "In all", number: true, value: (row) => row.total, cell: (row) => count(row.total) },
      ],
    });
    this.limits = new Table(byId("limits"), {
      caption: "Limits", key: (row) => `${row.route} ${row.limit}`, sort: ["refused_s", true],
      empty: ["No limit has decided anything yet. Limits are set with ", h("code", {}, "limits:"), " on a route, or for all of them."],
      columns: [
        { id: "limit", title: "Limit", value: (row) => row.limit, cell: (row) => [row.limit, routed(row.route) ? h("span", { class: "muted" }, ` on ${row.route}`) : null] },
        RATE("admitted_s", "Let through/s"),
        RATE("refused_s", "Refused/s", "", "is-warn"),
        RATE("shadow_s", "Shadow/s", "What a limit with mode: shadow would have refused"),
        { id: "mode", title: "Counted in", hint: "By whom the decisions of the last ten seconds were made", cell: (row) => modes(row.mode, this.shared) },
      ],
    });
    this.routes = new Table(byId("routes"), {
      caption: "Routes", key: (row) => row.route, sort: ["requests_s", true],
      empty: "No exchange in the last ten seconds. Send one, or look whether clients reach this gateway at all.",
      columns: [
        { id: "route", title: "Route", value: (row) => row.route, wide: true, cell: (row) => link(named(row.route), () => go("live", routed(row.route) ? { route: row.route } : { reason: "no_route" }), "Watch live") },
        RATE("requests_s", "Requests/s"), RATE("refused_s", "Refused/s", "", "is-warn"), RATE("errors_s", "5xx/s", "", "is-bad"),
        MS("p50_ms", "p50", "Half of the exchanges took at most this long"), MS("p99_ms", "p99"),
        MS("own_p99_ms", "Ours p99", "What the gateway itself added"),
      ],
    });
    this.workers = new Table(byId("workers"), {
      caption: "Workers", key: (row) => row.index, empty: "No worker is known: the gateway is starting.",
      columns: [
        { id: "index", title: "Worker", value: (row) => row.index, cell: (row) => [String(row.index), h("span", { class: "muted" }, ` pid ${row.pid}`)] },
        { id: "state", title: "State", value: (row) => row.state, cell: (row) => chip(row.state, row.state === "serving" ? "good" : "bad") },
        { id: "version", title: "Version", hint: "And for how long it serves it", number: true, value: (row) => row.version, cell: (row) => this.version(row) },
        { id: "in_flight", title: "In flight", number: true, value: (row) => row.in_flight, cell: (row) => count(row.in_flight) },
        { id: "connections", title: "Connections", number: true, value: (row) => row.connections, cell: (row) => count(row.connections) },
        { id: "lag", title: "Loop lag", hint: "How late its event loop is; above 50 ms it has too much to do", number: true, value: (row) => row.loop_lag_ms, cell: (row) => millis(row.loop_lag_ms) },
        { id: "rss", title: "Memory", number: true, value: (row) => row.rss_bytes, cell: (row) => bytes(row.rss_bytes) },
        { id: "uptime", title: "Lives for", number: true, value: (row) => row.uptime_s, cell: (row) => [span(row.uptime_s), row.respawns ? h("span", { class: "is-warn" }, ` · ${row.respawns} replaced`) : null] },
      ],
    });
    this.fleet = new Table(byId("fleet"), {
      caption: "Fleet", key: (row) => row.id || row.instance, empty: "Only this gateway is known.",
      columns: [
        { id: "instance", title: "Gateway", value: (row) => row.instance, cell: (row) => [row.instance, row.me ? h("span", { class: "muted" }, " (this one)") : null] },
        { id: "version", title: "Version", number: true, value: (row) => row.version, cell: (row) => `v${row.version}` },
        { id: "hash", title: "Hash", cell: (row) => h("code", {}, String(row.hash || "").slice(0, 12)) },
        { id: "workers", title: "Workers", number: true, cell: (row) => `${row.workers.serving} of ${row.workers.of}` },
        { id: "at", title: "Seen", cell: (row) => clock(row.at) },
        { id: "error", title: "Trouble", wide: true, cell: (row) => (row.error ? h("span", { class: "is-bad" }, row.error) : "none") },
      ],
    });
  }

  update(state) {
    this.state = state;
    this.attention(state);
    if (state.overview) this.drawTraffic(state);
    if (state.status) {
      this.workers.update(state.status.workers || []);
      this.processes(state.status);
    }
    const instances = state.fleet?.instances || [];
    byId("fleet-panel").hidden = instances.length < 2;
    this.fleet.update(instances);
  }

  drawTraffic({ overview, versions }) {
    const points = overview.points || [];
    // The first version is where it all began, not a change.
    const marks = (versions?.versions || []).slice(1).map((each) => ({ at: each.at, label: `v${each.version}` }));
    this.traffic.update(points, marks);
    this.latency.update(points, marks);
    this.tiles(points[points.length - 1] || {});
    this.reasons.update((overview.reasons || []).filter((row) => row.reason !== "ok"));
    this.shared = Boolean(this.state.status?.redis);
    this.limits.update(overview.limits || []);
    this.drawRoutes();
  }

  drawRoutes() {
    const wanted = byId("routes-filter").value.trim().toLowerCase();
    const routes = this.state?.overview?.routes || [];
    this.routes.update(routes.filter((row) => named(row.route).toLowerCase().includes(wanted)));
  }

  /** Nothing is called well that was not asked, or asked too long ago. */
  attention(state) {
    const known = state.ready && state.status && state.overview;
    const found = troubles(state);
    const lines = found.slice(0, LINES).map(({ tone: how, text, more, go }) => h("li", { class: how },
      h("strong", {}, text), " ", more, go ? [" ", link("Look", () => this.go(...go))] : null));
    const more = found.length - lines.length;
    byId("attention-panel").className = `panel attention ${found.length ? found[0].tone : known && !state.lost ? "good" : ""}`;
    fill(byId("attention"), found.length ? [h("ul", {}, lines), more > 0 ? h("p", { class: "muted" }, `and ${more} more`) : null]
      : state.lost ? h("p", {}, "Not known: nobody answers.")
        : known ? h("p", {}, "All is well: every worker serves the current version, and no upstream is in trouble.") : h("p", { class: "muted" }, "Asking the gateway…"));
  }

  tiles(point) {
    const tile = (label, value, note, how) => h("div", { class: `tile ${how || ""}` }, h("p", { class: "label" }, label), h("p", { class: "value" }, value), h("p", { class: "note" }, note));
    const all = point.requests_s;
    fill(byId("tiles"),
      tile("Requests", rate(all), "a second"),
      tile("Refused", share(point.refused_s, all), `${rate(point.refused_s)} a second`, point.refused_s > 0.1 * all ? "warn" : ""),
      tile("Failed (5xx)", share(point.errors_s, all), `${rate(point.errors_s)} a second`, point.errors_s > 0.01 * all ? "bad" : point.errors_s > 0 ? "warn" : ""),
      tile("Total p99", millis(point.p99_ms), `p50 ${millis(point.p50_ms)}`),
      tile("Ours p99", millis(point.own_p99_ms), `p50 ${millis(point.own_p50_ms)}`),
      tile("In flight", count(point.in_flight), `${count(point.connections)} connections`));
  }

  reason(row) {
    const open = this.opened.has(row.reason);
    return [
      h("button", { type: "button", class: "link", "aria-expanded": String(open), onclick: () => this.toggle(row.reason) }, chip(row.reason, tone(row.reason))),
      open ? h("div", { class: "meaning" }, meaning(row.reason), " ", link("Watch live", () => this.go("live", routed(row.route) ? { reason: row.reason, route: row.route } : { reason: row.reason }))) : null,
    ];
  }

  toggle(reason) {
    if (!this.opened.delete(reason)) this.opened.add(reason);
    this.reasons.update(this.reasons.rows);
  }

  version(row) {
    const stale = this.state?.status && row.version !== this.state.status.version;
    return [chip(`v${row.version}`, stale ? "warn" : "", stale ? "Not the current version" : ""), h("span", { class: "muted" }, ` ${span(row.age_s)}`)];
  }

  processes({ control, logger, supervisor, redis }) {
    const parts = [
      supervisor ? `Supervisor pid ${supervisor.pid}` : null,
      control ? `control pid ${control.pid}, ${bytes(control.rss_bytes)}, for ${span(control.age_s)}` : null,
      logger ? `logger pid ${logger.pid}` : null,
      redis ? `limits in ${redis.url} (${redis.state})` : "limits are local to each worker",
    ];
    fill(byId("processes"), parts.filter(Boolean).join(" · "));
  }

  recolour() {
    this.traffic.redraw();
    this.latency.redraw();
  }
}

// Who decided, and whether that is as it should be.
const MODES = {
  redis: ["good", "The store was asked: one bucket for all workers and gateways"],
  lease: ["good", "From tokens that a worker took ahead: the same bucket, fewer questions"],
  local: ["", "Each worker counted its share by itself"],
  allow: ["warn", "Let through uncounted, for the store was away (on_error: allow)"],
  deny: ["bad", "Refused uncounted, for the store was away (on_error: deny)"],
};

/** Counting locally is no trouble where there is no store. */
function modes(decisions, shared) {
  const found = Object.entries(decisions || {}).filter(([, number]) => number > 0);
  if (!found.length) return h("span", { class: "muted" }, "nothing now");
  const all = found.reduce((sum, [, number]) => sum + number, 0);
  return found.map(([mode, number]) => {
    const [usual, what] = MODES[mode] || ["", ""];
    return [chip(found.length > 1 ? `${mode} ${share(number, all)}` : mode, mode === "local" && shared ? "warn" : usual, what), " "];
  });
}
