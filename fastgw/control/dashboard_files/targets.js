// What is known of a target, in words: whether it is well, and what each worker's breaker thinks of it.

import { chip, h } from "./dom.js";
import { clock, plural, span } from "./format.js";

const TONES = { closed: "good", open: "bad", half_open: "warn" };

/** What the workers think, together where they agree. */
export function circuit(heard, forced) {
  const groups = new Map();
  for (const each of heard) {
    const key = `${each.state} ${each.cause}`;
    if (!groups.has(key)) groups.set(key, { ...each, workers: [] });
    groups.get(key).workers.push(each);
  }
  const parts = [...groups.values()].map((group) => {
    const probe = Math.min(...group.workers.map((each) => each.probe_at || Infinity));
    const words = [
      group.workers.length < heard.length ? `in ${plural(group.workers.length, "worker")} of ${heard.length}` : "",
      group.cause,
      Number.isFinite(probe) ? `next probe ${clock(probe)}` : "",
    ]
      .filter(Boolean)
      .join(", ");
    return h(
      "span",
      { class: "group" },
      chip(group.state.replace("_", " "), TONES[group.state] || "warn"),
      words ? h("span", { class: "muted" }, ` ${words}`) : null,
      " ",
    );
  });
  return [
    parts.length ? parts : h("span", { class: "muted" }, "no worker has spoken "),
    forced ? chip(`forced ${forced.state} until ${clock(forced.until)}`, "forced") : null,
  ];
}

export function health(row) {
  if (!row.target) return h("span", { class: "is-bad" }, row.cause || "the name has no address");
  if (row.healthy === null)
    return h("span", { class: "muted", title: "Add health: to the upstream to have it checked" }, "not checked");
  return [
    chip(row.healthy ? "healthy" : "unhealthy", row.healthy ? "good" : "bad"),
    " ",
    h(
      "span",
      { class: "muted" },
      [row.cause, row.changed_at ? `for ${span(Date.now() / 1000 - row.changed_at)}` : ""].filter(Boolean).join(", "),
    ),
  ];
}
