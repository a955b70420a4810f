// The processes of this gateway, and the other gateways of its fleet.

import { byId, chip, fill, h } from "./dom.js";
import { bytes, clock, count, millis, span } from "./format.js";
import { Table } from "./table.js";

export class Processes {
  constructor() {
    this.current = 0; // the version that all should serve
    this.workers = new Table(byId("workers"), {
      caption: "Workers",
      key: (row) => row.index,
      empty: "No worker is known: the gateway is starting.",
      columns: [
        {
          id: "index",
          title: "Worker",
          value: (row) => row.index,
          cell: (row) => [String(row.index), h("span", { class: "muted" }, ` pid ${row.pid}`)],
        },
        {
          id: "state",
          title: "State",
          value: (row) => row.state,
          cell: (row) => chip(row.state, row.state === "serving" ? "good" : "bad"),
        },
        {
          id: "version",
          title: "Version",
          hint: "And for how long it serves it",
          number: true,
          value: (row) => row.version,
          cell: (row) => this.version(row),
        },
        {
          id: "in_flight",
          title: "In flight",
          number: true,
          value: (row) => row.in_flight,
          cell: (row) => count(row.in_flight),
        },
        {
          id: "connections",
          title: "Connections",
          number: true,
          value: (row) => row.connections,
          cell: (row) => count(row.connections),
        },
        {
          id: "lag",
          title: "Loop lag",
          hint: "How late its event loop is; above 50 ms it has too much to do",
          number: true,
          value: (row) => row.loop_lag_ms,
          cell: (row) => millis(row.loop_lag_ms),
        },
        {
          id: "rss",
          title: "Memory",
          number: true,
          value: (row) => row.rss_bytes,
          cell: (row) => bytes(row.rss_bytes),
        },
        {
          id: "uptime",
          title: "Lives for",
          number: true,
          value: (row) => row.uptime_s,
          cell: (row) => [
            span(row.uptime_s),
            row.respawns ? h("span", { class: "is-warn" }, ` · ${row.respawns} replaced`) : null,
          ],
        },
      ],
    });
    this.fleet = new Table(byId("fleet"), {
      caption: "Fleet",
      key: (row) => row.id || row.instance,
      empty: "Only this gateway is known.",
      columns: [
        {
          id: "instance",
          title: "Gateway",
          value: (row) => row.instance,
          cell: (row) => [row.instance, row.me ? h("span", { class: "muted" }, " (this one)") : null],
        },
        {
          id: "version",
          title: "Version",
          number: true,
          value: (row) => row.version,
          cell: (row) => `v${row.version}`,
        },
        { id: "hash", title: "Hash", cell: (row) => h("code", {}, String(row.hash || "").slice(0, 12)) },
        {
          id: "workers",
          title: "Workers",
          number: true,
          cell: (row) => `${row.workers.serving} of ${row.workers.of}`,
        },
        { id: "at", title: "Seen", cell: (row) => clock(row.at) },
        {
          id: "error",
          title: "Trouble",
          wide: true,
          cell: (row) => (row.error ? h("span", { class: "is-bad" }, row.error) : "none"),
        },
      ],
    });
  }

  update({ status, fleet }) {
    if (status) {
      this.current = status.version;
      this.workers.update(status.workers);
      this.others(status);
    }
    const instances = fleet?.instances || [];
    byId("fleet-panel").hidden = instances.length < 2;
    this.fleet.update(instances);
  }

  version(row) {
    const stale = row.version !== this.current;
    return [
      chip(`v${row.version}`, stale ? "warn" : "", stale ? "Not the current version" : ""),
      h("span", { class: "muted" }, ` ${span(row.age_s)}`),
    ];
  }

  others({ control, logger, supervisor, redis }) {
    const parts = [
      supervisor ? `Supervisor pid ${supervisor.pid}` : null,
      control ? `control pid ${control.pid}, ${bytes(control.rss_bytes)}, for ${span(control.age_s)}` : null,
      logger ? `logger pid ${logger.pid}` : null,
      redis ? `limits in ${redis.url} (${redis.state})` : "limits are local to each worker",
    ];
    fill(byId("processes"), parts.filter(Boolean).join(" · "));
  }
}
