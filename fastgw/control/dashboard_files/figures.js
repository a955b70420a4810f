// The tables of the last ten seconds: outcomes by reason, limits, routes.

import { byId, chip, h, link } from "./dom.js";
import { count, millis, named, rate, routed, share } from "./format.js";
import { meaning, tone } from "./reasons.js";
import { Table } from "./table.js";

const MS = (name, title, hint) => ({
  id: name,
  title,
  hint,
  number: true,
  value: (row) => row[name],
  cell: (row) => millis(row[name]),
});
const RATE = (name, title, hint, warn) => ({
  id: name,
  title,
  hint,
  number: true,
  value: (row) => row[name],
  cell: (row) => (warn && row[name] > 0 ? h("span", { class: warn }, rate(row[name])) : rate(row[name])),
});

export class Figures {
  constructor(go) {
    this.go = go;
    this.known = []; // routes
    this.opened = new Set(); // reasons whose meaning is shown
    this.reasons = new Table(byId("reasons"), {
      caption: "Refused and failed, by reason",
      key: (row) => `${row.reason} ${row.route}`,
      sort: ["per_s", true],
      empty: "Nothing was refused and nothing failed.",
      columns: [
        { id: "reason", title: "Reason", value: (row) => row.reason, wide: true, cell: (row) => this.reason(row) },
        { id: "route", title: "Route", value: (row) => row.route, cell: (row) => named(row.route) },
        RATE("per_s", "Per second"),
        { id: "total", title: "In all", number: true, value: (row) => row.total, cell: (row) => count(row.total) },
      ],
    });
    this.limits = new Table(byId("limits"), {
      caption: "Limits",
      key: (row) => `${row.route} ${row.limit}`,
      sort: ["refused_s", true],
      empty: [
        "No limit has decided anything yet. Limits are set with ",
        h("code", {}, "limits:"),
        " on a route, or for all of them.",
      ],
      columns: [
        {
          id: "limit",
          title: "Limit",
          value: (row) => row.limit,
          cell: (row) => [row.limit, routed(row.route) ? h("span", { class: "muted" }, ` on ${row.route}`) : null],
        },
        RATE("admitted_s", "Let through/s"),
        RATE("refused_s", "Refused/s", "", "is-warn"),
        RATE("shadow_s", "Shadow/s", "What a limit with mode: shadow would have refused"),
        {
          id: "mode",
          title: "Counted in",
          hint: "By whom the decisions of the last ten seconds were made",
          cell: (row) => modes(row.mode, this.shared),
        },
      ],
    });
    this.routes = new Table(byId("routes"), {
      caption: "Routes",
      key: (row) => row.route,
      sort: ["requests_s", true],
      empty: "No exchange in the last ten seconds. Send one, or look whether clients reach this gateway at all.",
      columns: [
        {
          id: "route",
          title: "Route",
          value: (row) => row.route,
          wide: true,
          cell: (row) =>
            link(
              named(row.route),
              () => go("live", routed(row.route) ? { route: row.route } : { reason: "no_route" }),
              "Watch live",
            ),
        },
        RATE("requests_s", "Requests/s"),
        RATE("refused_s", "Refused/s", "", "is-warn"),
        RATE("errors_s", "5xx/s", "", "is-bad"),
        MS("p50_ms", "p50", "Half of the exchanges took at most this long"),
        MS("p99_ms", "p99"),
        MS("own_p99_ms", "Ours p99", "What the gateway itself added"),
      ],
    });
    byId("routes-filter").addEventListener("input", () => this.drawRoutes());
  }

  update({ overview, status }) {
    this.shared = Boolean(status?.redis);
    this.known = overview.routes;
    this.reasons.update(overview.reasons.filter((row) => row.reason !== "ok"));
    this.limits.update(overview.limits);
    this.drawRoutes();
  }

  drawRoutes() {
    const wanted = byId("routes-filter").value.trim().toLowerCase();
    this.routes.update(this.known.filter((row) => named(row.route).toLowerCase().includes(wanted)));
  }

  reason(row) {
    const open = this.opened.has(row.reason);
    return [
      h(
        "button",
        { type: "button", class: "link", "aria-expanded": String(open), onclick: () => this.toggle(row.reason) },
        chip(row.reason, tone(row.reason)),
      ),
      open
        ? h(
            "div",
            { class: "meaning" },
            meaning(row.reason),
            " ",
            link("Watch live", () =>
              this.go("live", routed(row.route) ? { reason: row.reason, route: row.route } : { reason: row.reason }),
            ),
          )
        : null,
    ];
  }

  toggle(reason) {
    if (!this.opened.delete(reason)) this.opened.add(reason);
    this.reasons.update(this.reasons.rows);
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
    return [
      chip(
        found.length > 1 ? `${mode} ${share(number, all)}` : mode,
        mode === "local" && shared ? "warn" : usual,
        what,
      ),
      " ",
    ];
  });
}
