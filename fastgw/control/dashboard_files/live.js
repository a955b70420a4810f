// The live tail: filters, lines as they come, and what becomes of a line that is chosen.

import { byId, chip, fill, h, link, problemOf } from "./dom.js";
import { clock, millis, named, plural } from "./format.js";
import { REASONS, meaning, tone } from "./reasons.js";

const KEPT = 300; // lines on the page
const WAITING = 2000; // lines kept while it is paused
const AGAIN = 2000; // ms until a broken stream is opened again
const FORGOTTEN = 60000; // ms in a hidden tab after which nobody is taken to look

const FILTERS = [
  { id: "route", title: "Route", hint: "orders" },
  { id: "reason", title: "Reason", hint: "rate_limited", list: Object.keys(REASONS) },
  { id: "status", title: "Status", hint: "503 or 5xx", list: ["4xx", "5xx", "2xx"] },
  { id: "method", title: "Method", hint: "GET", list: ["GET", "POST", "PUT", "PATCH", "DELETE"] },
  { id: "upstream", title: "Upstream", hint: "orders" },
  { id: "consumer", title: "Consumer", hint: "mobile-app" },
  { id: "slower", title: "Slower than", hint: "100ms" },
];
const PRESETS = [
  ["Everything", {}],
  ["Refused and failed", { status: "4xx, 5xx" }],
  ["Failed", { status: "5xx" }],
  ["Slow", { slower: "500ms" }],
];

export class Live {
  constructor({ api, go, say, explain }) {
    Object.assign(this, { api, go, say, explainIt: explain });
    this.controller = null;
    this.paused = false;
    this.waiting = [];
    this.missed = 0;
    this.seen = 0;
    this.trouble = null;
    this.frame = 0;
    this.form();
    byId("live-pause").addEventListener("click", () => this.pause());
    byId("live-clear").addEventListener("click", () => this.clear());
    byId("live-lines").addEventListener("keydown", (event) => this.move(event));
  }

  form() {
    const form = byId("live-form");
    this.inputs = new Map(
      FILTERS.map(({ id, hint }) => [
        id,
        h("input", {
          id: `live-${id}`,
          placeholder: hint,
          maxlength: 200,
          spellcheck: "false",
          list: `live-${id}-list`,
        }),
      ]),
    );
    form.append(
      ...FILTERS.map(({ id, title, list }) =>
        h(
          "div",
          { class: "field" },
          h("label", { for: `live-${id}` }, title),
          this.inputs.get(id),
          h(
            "datalist",
            { id: `live-${id}-list` },
            (list || []).map((each) => h("option", { value: each })),
          ),
        ),
      ),
      h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Filter")),
    );
    byId("live-presets").append(
      ...PRESETS.map(([name, filters]) =>
        h("button", { type: "button", class: "ghost", onclick: () => this.go("live", filters) }, name),
      ),
    );
    byId("live-filters").open = innerWidth > 640; // on a phone they would fill the window
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.go("live", this.filters());
    });
  }

  filters() {
    return Object.fromEntries(
      [...this.inputs].map(([id, input]) => [id, input.value.trim()]).filter(([, text]) => text),
    );
  }

  names({ overview }) {
    for (const [id, rows] of [
      ["route", overview?.routes],
      ["upstream", overview?.upstreams],
    ]) {
      fill(
        byId(`live-${id}-list`),
        (rows || []).map((row) => h("option", { value: row[id] })),
      );
    }
  }

  shown(filters) {
    for (const [id, input] of this.inputs) input.value = filters[id] || "";
    if (Object.keys(filters).length) byId("live-filters").open = true;
    for (const [index, [, preset]] of PRESETS.entries()) {
      byId("live-presets").children[index].setAttribute("aria-pressed", String(same(preset, filters)));
    }
    const query = new URLSearchParams();
    for (const [id, text] of Object.entries(filters)) {
      for (const each of text.split(",")) if (each.trim()) query.append(id, each.trim());
    }
    const again = this.query === String(query);
    if (!again) {
      this.query = String(query);
      this.clear();
      this.resume();
    }
    if (!this.controller || !again) this.follow();
  }

  hidden() {
    this.controller?.abort();
    this.controller = null;
  }

  /** A tab that is forgotten over the weekend costs the gateway nothing. */
  looked(now) {
    clearTimeout(this.forgotten);
    if (!now) this.forgotten = setTimeout(() => this.hidden(), FORGOTTEN);
    else if (!this.controller && !this.refused) this.follow();
  }

  /** Reads until the view is left; a stream that breaks is opened again, one that is refused is not. */
  async follow() {
    this.hidden();
    const view = (this.controller = new AbortController());
    this.refused = false;
    while (this.controller === view) {
      const one = new AbortController();
      const stop = () => one.abort();
      view.signal.addEventListener("abort", stop);
      try {
        for await (const event of this.api.events(`/api/tail${this.query && `?${this.query}`}`, one, () =>
          this.opened(),
        ))
          this.take(event);
        this.trouble = "The stream ended: the control process was restarted. Opening it again.";
      } catch (error) {
        if (this.controller !== view) return;
        this.trouble = problemOf(error);
        // The query is wrong: asking again would not make it right.
        this.refused = error.status >= 400 && error.status < 500;
        if (this.refused) this.controller = null;
      } finally {
        view.signal.removeEventListener("abort", stop);
      }
      if (this.controller === view || !this.controller) this.state();
      if (this.controller === view) await new Promise((later) => setTimeout(later, AGAIN));
    }
  }

  opened() {
    this.trouble = null;
    this.state();
  }

  take({ event, data }) {
    let found;
    try {
      found = JSON.parse(data);
    } catch {
      return; // not ours
    }
    if (event === "missed") this.missed += found.lines || 0;
    else if (event === "exchange" || event === "notice") {
      this.seen += event === "exchange" ? 1 : 0;
      this.waiting.push({ event, found, at: Date.now() });
      if (this.waiting.length > WAITING) this.missed += this.waiting.splice(0, this.waiting.length - WAITING).length;
    }
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    if (!this.paused) {
      const list = byId("live-lines");
      const lines = this.waiting
        .splice(0)
        .slice(-KEPT)
        .reverse()
        .map((each) => (each.event === "notice" ? notice(each) : this.line(each.found)));
      list.prepend(...lines);
      while (list.children.length > KEPT) list.lastChild.remove();
    }
    this.state();
  }

  state() {
    const words = [
      this.paused
        ? `Paused; ${plural(this.waiting.length, "line")} waiting.`
        : `Watching; ${plural(this.seen, "line")} so far.`,
      this.missed ? `${plural(this.missed, "line")} not shown: more came than a page can show. Filter for less.` : "",
    ];
    const quiet = !this.seen && !this.trouble ? " Nothing has matched yet: exchanges show here as they close." : "";
    fill(byId("live-state"), this.trouble || words.filter(Boolean).join(" ") + quiet);
  }

  pause() {
    this.paused = !this.paused;
    this.buttons();
    this.draw();
  }

  resume() {
    this.paused = false;
    this.buttons();
  }

  buttons() {
    fill(byId("live-pause"), this.paused ? "Go on" : "Pause");
  }

  clear() {
    this.waiting = [];
    this.missed = this.seen = 0;
    byId("live-lines").replaceChildren();
    this.state();
  }

  line(found) {
    const button = h(
      "button",
      { type: "button", class: "line", "aria-expanded": "false", onclick: () => this.open(item, button, found) },
      h("span", { class: "at" }, clock(found.ts)),
      h("span", { class: `status ${statusTone(found)}` }, found.status),
      h("span", { class: "method" }, found.method),
      h("span", { class: "path" }, h("span", { class: "muted" }, found.host), found.path),
      h("span", { class: "route" }, named(found.route)),
      found.reason === "ok"
        ? h("span", { class: "muted reason" }, "ok")
        : h("span", { class: "reason" }, chip(found.reason, tone(found.reason))),
      h(
        "span",
        { class: "took", title: "In all; of which ours" },
        millis(found.duration_ms),
        h("span", { class: "muted" }, ` · ${millis(found.gateway_ms)}`),
      ),
      h("span", { class: "target muted" }, found.target || found.source),
    );
    const item = h("li", { class: found.reason === "ok" ? "" : tone(found.reason) }, button);
    return item;
  }

  /** A line that is read must not run away. */
  open(item, button, found) {
    const open = item.querySelector(".details");
    button.setAttribute("aria-expanded", String(!open));
    if (open) {
      open.remove();
      return;
    }
    if (!this.paused) {
      this.paused = true;
      this.buttons();
      this.state();
    }
    const fields = Object.entries(found).filter(([, value]) => value !== null && value !== "");
    item.append(
      h(
        "div",
        { class: "details" },
        meaning(found.reason) && found.reason !== "ok" ? h("p", {}, meaning(found.reason)) : null,
        h(
          "dl",
          { class: "pairs" },
          fields.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]),
        ),
        h(
          "div",
          { class: "actions" },
          h(
            "button",
            { type: "button", class: "small", onclick: () => this.explainIt(found) },
            "Explain this request",
          ),
          link("Only this reason", () => this.go("live", { ...this.filters(), reason: found.reason })),
          found.route
            ? link("Only this route", () => this.go("live", { ...this.filters(), route: found.route }))
            : null,
          found.consumer
            ? link("Only this consumer", () => this.go("live", { ...this.filters(), consumer: found.consumer }))
            : null,
        ),
      ),
    );
  }

  /** Arrow keys go from line to line. */
  move(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const line = event.target.closest?.(".line");
    if (!step || !line) return;
    event.preventDefault();
    let item = line.parentElement[step];
    while (item && !item.querySelector(".line")) item = item[step];
    item?.querySelector(".line").focus();
  }
}

function same(one, other) {
  return JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort());
}

function notice({ found, at }) {
  return h(
    "li",
    { class: "notice" },
    h("span", { class: "at" }, clock(at / 1000)),
    " ",
    chip(`worker ${found.worker}`),
    " ",
    found.text,
  );
}

function statusTone({ status }) {
  if (status >= 500) return "is-bad";
  return status >= 400 ? "is-warn" : "is-good";
}
