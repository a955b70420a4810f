// The first view: is all well, how much, how fast, and why not.

import { troubles } from "./attention.js";
import { Chart } from "./chart.js";
import { byId, fill, h, link } from "./dom.js";
import { Figures } from "./figures.js";
import { count, millis, rate, share } from "./format.js";
import { Processes } from "./processes.js";

const LINES = 20; // of what needs attention

export class Overview {
  constructor({ go }) {
    this.go = go;
    this.traffic = new Chart(byId("traffic-chart"), {
      name: "Exchanges a second",
      shown: (value) => rate(value),
      series: [
        { label: "all", colour: "--blue", fill: "--blue-soft", value: (point) => point.requests_s },
        { label: "refused", colour: "--amber", value: (point) => point.refused_s },
        { label: "5xx", colour: "--red", value: (point) => point.errors_s },
      ],
    });
    this.latency = new Chart(byId("latency-chart"), {
      name: "Latency",
      shown: millis,
      log: true,
      series: [
        { label: "upstream p99", colour: "--violet", value: (point) => point.upstream_p99_ms },
        { label: "upstream p50", colour: "--violet", dash: [5, 4], value: (point) => point.upstream_p50_ms },
        { label: "ours p99", colour: "--green", value: (point) => point.own_p99_ms },
        { label: "ours p50", colour: "--green", dash: [5, 4], value: (point) => point.own_p50_ms },
      ],
    });
    this.figures = new Figures(go);
    this.processes = new Processes();
  }

  update(state) {
    this.attention(state);
    this.processes.update(state);
    if (!state.overview) return;
    const points = state.overview.points;
    // The first version is where it all began, not a change.
    const marks = (state.versions?.versions || []).slice(1).map((each) => ({ at: each.at, label: `v${each.version}` }));
    this.traffic.update(points, marks);
    this.latency.update(points, marks);
    this.tiles(points[points.length - 1] || {});
    this.figures.update(state);
  }

  /** Nothing is called well that was not asked, or asked too long ago. */
  attention(state) {
    const known = state.ready && state.status && state.overview;
    const found = troubles(state);
    const lines = found
      .slice(0, LINES)
      .map(({ tone: how, text, more, go }) =>
        h(
          "li",
          { class: how },
          h("strong", {}, text),
          " ",
          more,
          go ? [" ", link("Look", () => this.go(...go))] : null,
        ),
      );
    const more = found.length - lines.length;
    byId("attention-panel").className =
      `panel attention ${found.length ? found[0].tone : known && !state.lost ? "good" : ""}`;
    fill(
      byId("attention"),
      found.length
        ? [h("ul", {}, lines), more > 0 ? h("p", { class: "muted" }, `and ${more} more`) : null]
        : state.lost
          ? h("p", {}, "Not known: nobody answers.")
          : known
            ? h("p", {}, "All is well: every worker serves the current version, and no upstream is in trouble.")
            : h("p", { class: "muted" }, "Asking the gateway…"),
    );
  }

  tiles(point) {
    const tile = (label, value, note, how) =>
      h(
        "div",
        { class: `tile ${how || ""}` },
        h("p", { class: "label" }, label),
        h("p", { class: "value" }, value),
        h("p", { class: "note" }, note),
      );
    const all = point.requests_s;
    fill(
      byId("tiles"),
      tile("Requests", rate(all), "a second"),
      tile(
        "Refused",
        share(point.refused_s, all),
        `${rate(point.refused_s)} a second`,
        point.refused_s > 0.1 * all ? "warn" : "",
      ),
      tile(
        "Failed (5xx)",
        share(point.errors_s, all),
        `${rate(point.errors_s)} a second`,
        point.errors_s > 0.01 * all ? "bad" : point.errors_s > 0 ? "warn" : "",
      ),
      tile("Total p99", millis(point.p99_ms), `p50 ${millis(point.p50_ms)}`),
      tile("Ours p99", millis(point.own_p99_ms), `p50 ${millis(point.own_p50_ms)}`),
      tile("In flight", count(point.in_flight), `${count(point.connections)} connections`),
    );
  }

  recolour() {
    this.traffic.redraw();
    this.latency.redraw();
  }
}
