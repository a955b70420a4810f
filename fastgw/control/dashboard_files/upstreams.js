// The services: how they do, what each worker's breaker thinks, and overruling it for a time.

import { question } from "./dialogs.js";
import { byId, fill, h, link } from "./dom.js";
import { clock, count, millis, plural, rate } from "./format.js";
import { Table } from "./table.js";
import { circuit, health } from "./targets.js";

const SHOWN = 50; // cards at a time: those in trouble come first, the rest is found by name
// What each state means: for an upstream, and for one target among others.
const STATES = {
  open: [
    "Nothing is sent to it; every request for it is answered 503 breaker_open at once.",
    "Nothing is sent to it; the other targets take its share.",
  ],
  closed: [
    "Requests are sent to it, whatever becomes of them.",
    "It gets its share, whatever becomes of the requests.",
  ],
  auto: ["Back to its own judgement.", "Back to its own judgement."],
};
const SPANS = ["30s", "5m", "1h"];

export class Upstreams {
  constructor({ api, go, say, refresh }) {
    Object.assign(this, { api, go, say, refresh });
    this.cards = new Map();
    byId("upstreams-filter").addEventListener("input", () => this.update(this.state));
  }

  update(state) {
    this.state = state;
    if (!state?.upstreams) return;
    const wanted = byId("upstreams-filter").value.trim().toLowerCase();
    const all = (state.upstreams.upstreams || []).filter((each) => each.name.toLowerCase().includes(wanted));
    const rates = new Map((state.overview?.upstreams || []).map((each) => [each.upstream, each]));
    all.sort(
      (a, b) =>
        trouble(b) - trouble(a) ||
        (rates.get(b.name)?.requests_s || 0) - (rates.get(a.name)?.requests_s || 0) ||
        a.name.localeCompare(b.name),
    );
    const shown = all.slice(0, SHOWN);
    const more = byId("upstreams-more");
    more.hidden = all.length > 0 && all.length <= SHOWN;
    fill(
      more,
      all.length
        ? `The first ${SHOWN} of ${plural(all.length, "upstream")}, those in trouble first. Find another one by its name.`
        : wanted
          ? "No upstream has this in its name."
          : "The configuration has no upstreams: each route answers by itself (reply).",
    );
    const names = new Set(shown.map((each) => each.name));
    for (const [name, card] of this.cards) {
      if (!names.has(name)) {
        card.node.remove();
        this.cards.delete(name);
      }
    }
    const list = byId("upstreams-list");
    shown.forEach((upstream, index) => {
      let card = this.cards.get(upstream.name);
      if (!card) this.cards.set(upstream.name, (card = new Card(this)));
      card.update(upstream, rates.get(upstream.name));
      if (list.children[index] !== card.node) list.insertBefore(card.node, list.children[index] || null);
    });
  }

  async force(upstream, figures, target, state) {
    const form = new Force(upstream, figures, target, state);
    const done = await question({
      title: `The circuit of ${upstream.name}`,
      content: form.content,
      danger: true,
      label: () => form.label(),
      act: async () =>
        (
          await this.api.call("POST", `/api/upstreams/${encodeURIComponent(upstream.name)}/breaker`, {
            body: form.wish(),
          })
        ).body,
    });
    if (done) {
      const what = done.target ? `${done.target} of ${done.upstream}` : done.upstream;
      this.say(
        done.state === "auto"
          ? `The circuit of ${what} judges for itself again, in ${plural(done.workers, "worker")}.`
          : `The circuit of ${what} is forced ${done.state} in ${plural(done.workers, "worker")}` +
              ` until ${clock(done.until)}.`,
      );
      this.refresh();
    }
  }
}

class Card {
  constructor(page) {
    this.page = page;
    this.head = h("div", { class: "heading" });
    this.figures = h("p", { class: "figures" });
    this.circuit = h("div", { class: "circuit" });
    this.place = h("div", {});
    this.node = h("article", { class: "panel upstream" }, this.head, this.figures, this.circuit, this.place);
    this.targets = new Table(this.place, {
      caption: "Targets",
      key: (row) => `${row.url} ${row.target}`,
      empty: "It has no targets.",
      columns: [
        {
          id: "target",
          title: "Target",
          cell: (row) => [
            h("span", { class: "mono" }, row.target || row.url),
            row.target ? null : h("span", { class: "is-bad" }, " no address"),
          ],
        },
        { id: "weight", title: "Weight", number: true, cell: (row) => count(row.weight) },
        { id: "health", title: "Health", wide: true, cell: (row) => health(row) },
        { id: "circuit", title: "Circuit", wide: true, cell: (row) => this.targetCircuit(row) },
        {
          id: "force",
          title: "Force",
          cell: (row) =>
            this.single || !row.target || !row.breaker
              ? ""
              : buttons(row.forced, (state) => this.force(row.target, state)),
        },
      ],
    });
  }

  update(upstream, figures) {
    this.upstream = upstream;
    this.figuresNow = figures;
    this.single = (upstream.targets || []).length === 1;
    this.node.setAttribute("aria-label", `Upstream ${upstream.name}`);
    fill(this.head, h("h3", {}, upstream.name), h("span", { class: "muted" }, upstream.balance));
    fill(
      this.figures,
      figures
        ? `${rate(figures.requests_s)} requests/s · p50 ${millis(figures.p50_ms)} · p99 ${millis(figures.p99_ms)}` +
            ` · ${rate(figures.retries_s)} retries/s · ${count(figures.in_flight)} in flight`
        : "No traffic in the last ten seconds.",
      " ",
      link("Watch live", () => this.page.go("live", { upstream: upstream.name })),
    );
    fill(
      this.circuit,
      upstream.breaker
        ? [
            h("span", { class: "label" }, "Circuit "),
            circuit(upstream.breaker, upstream.forced),
            buttons(upstream.forced, (state) => this.force("", state)),
          ]
        : h(
            "span",
            { class: "muted" },
            "It has no breaker: add ",
            h("code", {}, "breaker:"),
            " to stop asking a service that fails.",
          ),
    );
    this.targets.update(upstream.targets || []);
  }

  targetCircuit(row) {
    if (this.single && row.breaker) return h("span", { class: "muted" }, "as above");
    return row.breaker ? circuit(row.breaker, row.forced) : h("span", { class: "muted" }, "none");
  }

  force(target, state) {
    this.page.force(this.upstream, this.figuresNow, target, state);
  }
}

/** The questions of the dialog. */
class Force {
  constructor(upstream, figures, target, state) {
    this.target = target;
    this.name = target || upstream.name;
    this.states = Object.keys(STATES).map((each) =>
      h("input", { type: "radio", name: "state", value: each, id: `state-${each}`, checked: each === state }),
    );
    this.duration = h("input", {
      id: "for",
      value: SPANS[0],
      required: true,
      pattern: "[0-9]+(\\.[0-9]+)?(ms|s|m|h)",
      maxlength: 16,
      spellcheck: "false",
    });
    const spans = SPANS.map((each) =>
      h("button", { type: "button", class: "ghost small", onclick: () => this.set(each) }, each),
    );
    this.time = h(
      "div",
      { class: "row" },
      h("label", { for: "for" }, "For"),
      this.duration,
      spans,
      h("span", { class: "muted" }, "1s to 24h"),
    );
    const now = figures?.requests_s;
    this.content = [
      h(
        "p",
        {},
        target ? ["Target ", h("code", {}, target), "."] : "The upstream as a whole, with all its targets.",
        now ? ` The upstream gets ${rate(now)} requests a second right now.` : "",
      ),
      h(
        "fieldset",
        {},
        h("legend", {}, "State"),
        this.states.map((input) =>
          h(
            "label",
            { class: "choice", for: input.id },
            input,
            h("span", {}, h("strong", {}, input.value), " ", STATES[input.value][target ? 1 : 0]),
          ),
        ),
      ),
      this.time,
    ];
    for (const input of this.states) input.addEventListener("change", () => this.shape());
    this.shape();
  }

  get state() {
    return this.states.find((each) => each.checked)?.value || "open";
  }

  set(duration) {
    this.duration.value = duration;
    this.duration.dispatchEvent(new Event("input", { bubbles: true }));
  }

  shape() {
    this.time.hidden = this.duration.disabled = this.state === "auto";
  }

  label() {
    if (this.state === "auto") return `Leave ${this.name} to itself`;
    return `Force ${this.name} ${this.state} for ${this.duration.value.trim() || "?"}`;
  }

  wish() {
    const wish = this.state === "auto" ? { state: "auto" } : { state: this.state, for: this.duration.value.trim() };
    return this.target ? { ...wish, target: this.target } : wish;
  }
}

function buttons(forced, act) {
  return h(
    "span",
    { class: "actions" },
    h("button", { type: "button", class: "small", onclick: () => act("open") }, "Force…"),
    forced ? h("button", { type: "button", class: "small", onclick: () => act("auto") }, "Release…") : null,
  );
}

function trouble(upstream) {
  const circuits = [upstream, ...(upstream.targets || [])];
  const cut = circuits.some((each) => each.forced || (each.breaker || []).some((one) => one.state !== "closed"));
  const sick = (upstream.targets || []).some((each) => each.healthy === false || !each.target);
  return Number(cut) + Number(sick);
}
