// Explain: a request in, and what would become of it, step by step.

import { byId, chip, fill, h, problemOf } from "./dom.js";
import { count, named } from "./format.js";
import { meaning, tone } from "./reasons.js";
import { circuit, health } from "./targets.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const VERDICTS = { pass: ["good", "✓"], refuse: ["bad", "✕"], shadow: ["warn", "◐"], skipped: ["", "–"] };

export class Explain {
  constructor({ api, go }) {
    this.api = api;
    this.go = go;
    const form = byId("explain-form");
    this.method = h(
      "select",
      { id: "explain-method" },
      METHODS.map((each) => h("option", {}, each)),
    );
    this.url = h("input", {
      id: "explain-url",
      type: "text",
      required: true,
      placeholder: "https://api.example.com/orders/7",
      maxlength: 8000,
      spellcheck: "false",
      inputmode: "url",
    });
    this.client = h("input", {
      id: "explain-client",
      placeholder: "203.0.113.9",
      maxlength: 60,
      spellcheck: "false",
    });
    this.fields = h("textarea", {
      id: "explain-headers",
      rows: 3,
      placeholder: "X-API-Key: …\nX-Api-Version: 2",
      spellcheck: "false",
    });
    this.button = h("button", { type: "submit", class: "primary" }, "Explain");
    const field = (label, input, wide) =>
      h("div", { class: wide ? "field broad" : "field" }, h("label", { for: input.id }, label), input);
    form.append(
      field("Method", this.method),
      field("URL", this.url, true),
      field("Client address", this.client),
      field("Headers, one a line", this.fields, true),
      h("div", { class: "actions" }, this.button),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    this.start();
  }

  start() {
    fill(
      byId("explain-rest"),
      h(
        "p",
        { class: "panel empty" },
        "Type a URL as a client would ask for it, or choose a line of the live view and “Explain this request”.",
      ),
    );
  }

  shown({ method, url, client }) {
    if (!url) return;
    this.method.value = METHODS.includes(method) ? method : "GET";
    this.url.value = url;
    this.client.value = client || "";
    this.ask();
  }

  async ask() {
    const [verdict, rest] = [byId("explain-verdict"), byId("explain-rest")];
    this.button.disabled = true;
    try {
      const wish = {
        request: `${this.method.value} ${this.url.value.trim()}`,
        headers: headersOf(this.fields.value),
      };
      if (this.client.value.trim()) wish.client = this.client.value.trim();
      const { body } = await this.api.call("POST", "/api/explain", { body: wish });
      fill(verdict, this.verdict(body));
      fill(rest, this.rest(body));
    } catch (error) {
      fill(verdict, h("div", { class: "panel", role: "alert" }, problemOf(error)));
      fill(rest);
    } finally {
      this.button.disabled = false;
    }
  }

  /** The only part that is read aloud by itself. */
  verdict(found) {
    const passed = found.reason === "ok";
    return h(
      "div",
      { class: `panel verdict ${tone(found.reason)}` },
      h(
        "h3",
        {},
        passed ? "It would be let through" : `It would be answered ${found.status ?? ""}`,
        " ",
        chip(found.reason, tone(found.reason)),
      ),
      h("p", {}, passed ? forwarded(found) : meaning(found.reason)),
      found.detail ? h("p", { class: "muted" }, found.detail) : null,
      h(
        "dl",
        { class: "pairs" },
        pairs({
          route: named(found.route),
          "decided by": found.rule,
          "answered by": found.source,
          consumer: found.consumer,
          "seen from": found.client,
          cache: found.cache,
          version: found.version,
        }),
      ),
    );
  }

  rest(found) {
    return h(
      "div",
      { class: "columns loose" },
      h(
        "div",
        {},
        section(
          "Steps",
          "In the order in which they happen; a refusal ends them.",
          found.chain.length
            ? h("ol", { class: "steps" }, found.chain.map(step))
            : h("p", {}, "It did not come as far as a policy."),
        ),
        routes(found),
      ),
      h(
        "div",
        {},
        found.limits.length
          ? section(
              "Limits",
              "The buckets it would be counted in. Nothing was taken out of them.",
              h("ul", { class: "plain" }, found.limits.map(limit)),
            )
          : null,
        upstreams(found),
        Object.keys(found.headers).length
          ? section(
              "Forwarded headers",
              "As the upstream would see them; secrets are masked.",
              h("dl", { class: "pairs" }, pairs(found.headers)),
            )
          : null,
      ),
    );
  }
}

function forwarded({ upstream, path, query, status }) {
  if (!upstream) return `The route answers ${status} by itself.`;
  return [
    "To the upstream ",
    h("strong", {}, upstream),
    path ? [" as ", h("code", {}, query ? `${path}?${query}` : path)] : "",
    ".",
  ];
}

function step(each) {
  const [how, sign] = VERDICTS[each.verdict] || ["", "·"];
  return h(
    "li",
    { class: how },
    h("span", { class: "sign", "aria-hidden": "true" }, sign),
    h("strong", {}, each.policy),
    " ",
    h("span", { class: "muted" }, each.verdict),
    each.detail ? h("div", {}, each.detail) : null,
  );
}

function routes({ route, match, others }) {
  if (!match && !others.length) return null;
  return section(match ? "Why this route" : "The nearest routes", match ? "" : "None of them took it, and why.", [
    match
      ? h(
          "p",
          {},
          h("strong", {}, route),
          " takes ",
          h("code", {}, match.path),
          match.methods.length ? `, ${match.methods.join(", ")}` : "",
          match.hosts.length ? `, for ${match.hosts.join(", ")}` : "",
          match.headers.length ? `, with ${match.headers.join(", ")}` : "",
          ".",
        )
      : null,
    others.length
      ? h(
          "ul",
          { class: "plain" },
          others.map((each) =>
            h(
              "li",
              {},
              match ? "Not " : "",
              h("strong", {}, each.route),
              ": ",
              h("span", { class: "muted" }, each.misses.join("; ")),
            ),
          ),
        )
      : null,
  ]);
}

function limit(each) {
  return h(
    "li",
    {},
    h("strong", {}, each.name),
    " ",
    chip(each.key),
    " ",
    h("code", {}, each.value),
    " ",
    h(
      "span",
      { class: "muted" },
      [each.rate, each.burst && `burst ${each.burst}`, each.phase, each.shadow && "shadow: counts, and never refuses"]
        .filter(Boolean)
        .join(" · "),
    ),
  );
}

function upstreams({ candidates, targets, upstream }) {
  if (candidates.length < 2 && !targets.length) return null;
  const all = candidates.reduce((sum, each) => sum + each.weight, 0);
  return section("Where it would go", "", [
    candidates.length > 1
      ? h(
          "ul",
          { class: "plain" },
          candidates.map((each) =>
            h("li", {}, h("strong", {}, each.upstream), ` ${count((100 * each.weight) / all)} % of such requests`),
          ),
        )
      : null,
    targets.length ? h("p", { class: "label" }, `Targets of ${upstream} now`) : null,
    h(
      "ul",
      { class: "plain" },
      targets.map((each) =>
        h(
          "li",
          {},
          h("code", {}, each.target || each.url),
          " ",
          health(each),
          " ",
          each.breaker ? circuit(each.breaker, each.forced) : null,
        ),
      ),
    ),
  ]);
}

function section(title, about, ...content) {
  return h("div", { class: "panel" }, h("h3", {}, title), about ? h("p", { class: "about" }, about) : null, content);
}

function pairs(values) {
  return Object.entries(values)
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [
      h("dt", {}, name),
      h("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value)),
    ]);
}

function headersOf(lines) {
  const found = {};
  for (const line of lines.split("\n")) {
    const [, name, value] = /^\s*([^:]+?)\s*:\s*(.*?)\s*$/.exec(line) || [];
    if (name) found[name] = value;
    else if (line.trim())
      throw Object.assign(new Error(`“${line.trim()}” is no header: write Name: value.`), { title: "Headers." });
  }
  return found;
}
