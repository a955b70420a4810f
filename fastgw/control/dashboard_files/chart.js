// Lines over time (uPlot), in the colours of the page, with their latest values in words beside them.

import { fill, h } from "./dom.js";
import { clock } from "./format.js";

const SYNC = "time"; // both charts show the same moment under the pointer

export class Chart {
  /** series: [{label, colour (a CSS variable), dash, fill, value(point), hidden}]; shown(v): as text. */
  constructor(place, { series, shown, log, name }) {
    this.place = place;
    this.series = series;
    this.shown = shown;
    this.log = Boolean(log);
    this.name = name;
    this.marks = [];
    this.points = [];
    this.at = null;
    this.off = new Set();
    this.canvas = h("div", { class: "plot", role: "img" });
    this.legend = h("ul", { class: "legend" });
    this.when = h("span", { class: "muted when" });
    this.nothing = h("p", { class: "empty" }, "Nothing was measured yet. The first points come within seconds.");
    place.replaceChildren(this.canvas, this.nothing, this.legend);
    this.plot = null;
    new ResizeObserver(() => this.fit()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  update(points, marks) {
    const same =
      this.plot &&
      points.length === this.points.length &&
      marks.length === this.marks.length &&
      points[points.length - 1]?.at === this.points[this.points.length - 1]?.at;
    if (same) return; // the page reads more often than the gateway samples
    this.points = points;
    this.marks = marks;
    this.nothing.hidden = points.length > 0;
    this.canvas.hidden = points.length === 0;
    if (points.length && this.place.clientWidth) {
      if (!this.plot) this.plot = this.draw();
      else this.plot.setData(this.data());
    }
    this.words();
  }

  /** After a change of colours. */
  redraw() {
    if (!this.plot) return;
    this.plot.destroy();
    this.plot = this.draw();
  }

  fit() {
    if (!this.plot) this.update(this.points, this.marks);
    else if (this.place.clientWidth) this.plot.setSize({ width: this.place.clientWidth, height: this.height() });
  }

  height() {
    return this.place.clientWidth < 480 ? 180 : 220;
  }

  data() {
    const least = this.log ? 0.001 : 0;
    const values = this.series.map((one) =>
      this.points.map((point) => {
        const value = one.value(point);
        return typeof value === "number" ? Math.max(value, least) : null;
      }),
    );
    return [this.points.map((point) => point.at), ...values];
  }

  draw() {
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = {
      stroke: colour("--muted"),
      font: "11px Inter, system-ui, sans-serif",
      grid: { stroke: colour("--grid"), width: 1 },
      ticks: { show: false },
    };
    return new uPlot(
      {
        width: this.place.clientWidth,
        height: this.height(),
        padding: [12, 22, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { setScale: false }, points: { size: 6 }, sync: { key: SYNC } },
        scales: {
          x: { time: true, range: window_ },
          y: this.log ? { distr: 3, range: decades } : { range: fromZero },
        },
        axes: [
          { ...axis, size: 30, values: (plot, times) => moments(plot, times), space: 80 },
          { ...axis, size: 62, values: (_, values) => values.map((value) => this.tick(value)) },
        ],
        series: [
          {},
          ...this.series.map((one, index) => ({
            label: one.label,
            stroke: colour(one.colour),
            width: 1.6,
            dash: one.dash,
            show: !this.off.has(index),
            fill: one.fill ? colour(one.fill) : undefined,
            points: { show: false },
            spanGaps: false,
          })),
        ],
        hooks: { draw: [(plot) => this.mark(plot, colour)], setCursor: [(plot) => this.look(plot.cursor.idx)] },
      },
      this.data(),
      this.canvas,
    );
  }

  tick(value) {
    if (value === null) return "";
    if (this.log && Math.abs(Math.log10(value) - Math.round(Math.log10(value))) > 0.01) return "";
    return this.shown(value);
  }

  /** A dotted line where a version began. */
  mark(plot, colour) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--accent");
    ctx.setLineDash([2, 4]);
    ctx.lineWidth = devicePixelRatio;
    ctx.font = `${10 * devicePixelRatio}px Inter, system-ui, sans-serif`;
    let labelled = -Infinity; // where the last label is: they must not lie on each other
    for (const { at, label } of this.marks) {
      if (at < plot.scales.x.min || at > plot.scales.x.max) continue;
      const x = Math.round(plot.valToPos(at, "x", true));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      if (x - labelled < 36 * devicePixelRatio) continue;
      labelled = x;
      const right = x + 40 * devicePixelRatio > bbox.left + bbox.width;
      ctx.textAlign = right ? "right" : "left";
      ctx.fillText(label, x + (right ? -4 : 4) * devicePixelRatio, bbox.top + 9 * devicePixelRatio);
    }
    ctx.restore();
  }

  look(index) {
    this.at = index ?? null;
    this.words();
  }

  toggle(index) {
    if (this.off.has(index)) this.off.delete(index);
    else this.off.add(index);
    if (this.plot) this.plot.setSeries(index + 1, { show: !this.off.has(index) });
    this.words();
  }

  /** The legend: the values under the pointer, or the latest; the same as the picture's description. */
  words() {
    const point = this.points[this.at ?? this.points.length - 1];
    const rows = this.series.map((one, index) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            "aria-pressed": String(!this.off.has(index)),
            title: "Show or hide this line",
            onclick: () => this.toggle(index),
          },
          h("i", { class: `swatch ${one.dash ? "dashed" : ""} ${one.colour.slice(2)}` }),
          one.label,
          " ",
          h("b", {}, point ? this.shown(one.value(point)) : "–"),
        ),
      ),
    );
    fill(
      this.legend,
      rows,
      h("li", { class: "muted when" }, this.at !== null && point ? `at ${clock(point.at)}` : ""),
    );
    if (point) {
      const said = this.series.map((one) => `${one.label} ${this.shown(one.value(point))}`).join(", ");
      this.canvas.setAttribute("aria-label", `${this.name}, ${clock(point.at)}: ${said}`);
    }
  }
}

/** With seconds while the picture is of a few minutes only. */
function moments(plot, times) {
  const close = plot.scales.x.max - plot.scales.x.min < 300;
  return times.map((at) => clock(at).slice(0, close ? 8 : 5));
}

/** At least a minute, so that the first points are not one vertical line. */
function window_(_, min, max) {
  return [Math.min(min, max - 60), max];
}

function fromZero(_, __, max) {
  return [0, max > 0 ? max * 1.12 : 1];
}

/** Whole decades, from 0.01 ms to a minute. */
function decades(_, min, max) {
  if (min === null || max === null || !(max > 0)) return [0.1, 1000];
  const low = 10 ** Math.floor(Math.log10(Math.max(min, 0.01)));
  const high = 10 ** Math.ceil(Math.log10(Math.min(max, 60000)));
  return [low, Math.max(high, low * 10)];
}
