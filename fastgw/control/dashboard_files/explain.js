// Explain: a request in, and what would become of it, step by step.

import { byId, chip, fill, h, problemOf } from "./dom.js";
import { count } from "./format.js";
import { meaning, tone } from "./reasons.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const VERDICTS = { pass: ["good", "✓"], refuse: ["bad", "✕"], shadow: ["warn", "◐"], skipped: ["", "–"] };
// Shown in a place of their own; whatever else an answer has is shown as it is.
const PLACED = new Set(["route", "status", "reason", "source", "rule", "detail", "upstream", "candidates", "path", "headers",
  "chain", "limits", "cache", "version", "targets"]);

export class Explain {
  constructor({ api, go }) {
    this.api = api;
    this.go = go;
    const form = byId("explain-form");
    this.method = h("select", { id: "explain-method" }, METHODS.map((each) => h("option", {}, each)));
    this.url = h("input", { id: "explain-url", type: "text", required: true, placeholder: "https://api.example.com/orders/7", maxlength: 8000, spellcheck: "false", inputmode: "url" });
    this.client = h("input", { id: "explain-client", placeholder: "203.0.113.9", maxlength: 60, spellcheck: "false" });
    this.fields = h("textarea", { id: "explain-headers", rows: 3, placeholder: "X-API-Key: …\nX-Api-Version: 2", spellcheck: "false" });
    this.button = h("button", { type: "submit", class: "primary" }, "Explain");
    const field = (label, input, wide) => h("div", { class: wide ? "field broad" : "field" }, h("label", { for: input.id }, label), input);
    form.append(field("Method", this.method), field("URL", this.url, true), field("Client address", this.client),
      field("Headers, one a line", this.fields, true), h("div", { class: "actions" }, this.button));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    this.start();
  }

  start() {
    fill(byId("explain-answer"), h("p", { class: "panel empty" },
      "Type a URL as a client would ask for it, or choose a line of the live view and “Explain this request”."));
  }

  shown({ method, url, client }) {
    if (!url) return;
    this.method.value = METHODS.includes(method) ? method : "GET";
    this.url.value = url;
    this.client.value = client || "";
    this.ask();
  }

  async ask() {
    const answer = byId("explain-answer");
    this.button.disabled = true;
    try {
      const wish = { request: `${this.method.value} ${this.url.value.trim()}`, headers: headersOf(this.fields.value) };
      if (this.client.value.trim()) wish.client = this.client.value.trim();
      const { body } = await this.api.call("POST", "/api/explain", { body: wish });
      fill(answer, this.answer(body));
    } catch (error) {
      fill(answer, h("div", { class: "panel", role: "alert" }, problemOf(error)));
    } finally {
      this.button.disabled = false;
    }
  }

  answer(found) {
    const passed = found.reason === "ok";
    const rest = Object.fromEntries(Object.entries(found).filter(([name]) => !PLACED.has(name)));
    return [
      h("div", { class: `panel verdict ${tone(found.reason)}` },
        h("h3", {}, passed ? "It would be let through" : `It would be answered ${found.status ?? ""}`, " ", chip(found.reason, tone(found.reason))),
        h("p", {}, passed ? forwarded(found) : meaning(found.reason)),
        found.detail ? h("p", {}, found.detail) : null,
        h("dl", { class: "pairs" }, pairs({
          route: found.route || "none", "decided by": found.rule, "answered by": found.source,
          upstream: found.upstream, path: found.path, cache: found.cache, version: found.version,
        }))),
      h("div", { class: "columns loose" },
        h("div", {}, section("Steps", "In the order in which they happen; a refusal ends them.", list(found.chain).length ? h("ol", { class: "steps" }, list(found.chain).map(step)) : "No policy was reached.")),
        h("div", {}, list(found.limits).length ? section("Limits", "Which buckets it would be counted in. A rehearsal takes nothing out of them.", h("ul", { class: "plain" }, list(found.limits).map(limit))) : null,
          upstreams(found),
          found.headers && entries(found.headers).length ? section("Forwarded headers", "As the upstream would see them; secrets are masked.",
        h("dl", { class: "pairs" }, entries(found.headers).map(([name, value]) => [h("dt", {}, name), h("dd", {}, text(value))]))) : null,
          Object.keys(rest).length ? section("More", "", h("dl", { class: "pairs" }, pairs(rest))) : null)),
    ];
  }
}

function forwarded({ upstream, path, status, source }) {
  if (!upstream) return source === "gateway" ? `The route answers ${status} by itself.` : "";
  return ["To the upstream ", h("strong", {}, upstream), path ? [" as ", h("code", {}, path)] : "", "."];
}

function step(each) {
  const [how, sign] = VERDICTS[each.verdict] || ["", "·"];
  return h("li", { class: how }, h("span", { class: "sign", "aria-hidden": "true" }, sign), h("strong", {}, each.policy), " ",
    h("span", { class: "muted" }, each.verdict), each.detail ? h("div", {}, each.detail) : null);
}

function limit(each) {
  const known = new Set(["name", "key", "kind", "value", "rate", "phase"]);
  const rest = Object.entries(each).filter(([name]) => !known.has(name)).map(([name, value]) => `${name} ${text(value)}`).join(", ");
  return h("li", {}, h("strong", {}, each.name), " ", chip(each.kind || each.key || ""), " ", h("code", {}, text(each.value ?? "")), " ",
    h("span", { class: "muted" }, [each.rate, each.phase, rest].filter(Boolean).join(" · ")));
}

function upstreams(found) {
  const weights = entries(found.candidates);
  const targets = list(found.targets);
  if (weights.length < 2 && !targets.length) return null;
  const all = weights.reduce((sum, [, weight]) => sum + Number(weight), 0);
  return section("Where it would go", "", [
    weights.length > 1 ? h("ul", { class: "plain" }, weights.map(([name, weight]) => h("li", {}, h("strong", {}, name), ` ${count((100 * weight) / all)} %`))) : null,
    targets.length ? h("ul", { class: "plain" }, targets.map((each) => h("li", {}, typeof each === "object" ? pairsInline(each) : String(each)))) : null,
  ]);
}

function pairsInline(each) {
  return [h("code", {}, each.target || each.url || each.name || ""), " ",
    h("span", { class: "muted" }, Object.entries(each).filter(([name, value]) => !["target", "url", "name"].includes(name) && value !== null)
      .map(([name, value]) => `${name} ${text(value)}`).join(", "))];
}

function section(title, about, ...content) {
  return h("div", { class: "panel" }, h("h3", {}, title), about ? h("p", { class: "about" }, about) : null, content);
}

function pairs(values) {
  return Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [h("dt", {}, name), h("dd", {}, text(value))]);
}

function text(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function list(value) {
  return Array.isArray(value) ? value : [];
}

/** Of {name: value}, of [[name, value]] and of [{name, value}] alike. */
function entries(value) {
  if (!value) return [];
  if (!Array.isArray(value)) return Object.entries(value);
  return value.map((each) => (Array.isArray(each) ? each : [each.name ?? each.upstream, each.value ?? each.weight]));
}

function headersOf(lines) {
  const found = {};
  for (const line of lines.split("\n")) {
    const [, name, value] = /^\s*([^:]+?)\s*:\s*(.*?)\s*$/.exec(line) || [];
    if (name) found[name] = value;
    else if (line.trim()) throw Object.assign(new Error(`“${line.trim()}” is no header: write Name: value.`), { title: "Headers." });
  }
  return found;
}
