// The history: who published what and when, how two versions differ, and going back.

import { question } from "./dialogs.js";
import { byId, chip, fill, h, problemOf } from "./dom.js";
import { day, plural } from "./format.js";
import { Table } from "./table.js";

const WAIT = "10s"; // until every worker has followed; the answer says how many have
const LINES = 200; // of a difference

export class Versions {
  constructor({ api, say, refresh }) {
    Object.assign(this, { api, say, refresh });
    this.current = 0;
    this.opened = new Map(); // version -> what is shown below it
    this.table = new Table(byId("versions-list"), {
      caption: "Versions, newest first",
      key: (row) => row.version,
      empty: "No version is known yet: the first one comes with the start of the gateway.",
      below: (row) => this.opened.get(row.version)?.cloneNode(true),
      rowClass: (row) => (row.version === this.current ? "current" : ""),
      columns: [
        {
          id: "version",
          title: "Version",
          cell: (row) => [
            h("strong", {}, `v${row.version}`),
            " ",
            row.version === this.current ? chip("current", "good") : null,
          ],
        },
        { id: "at", title: "When", cell: (row) => day(row.at) },
        { id: "by", title: "Who", cell: (row) => row.by },
        { id: "note", title: "Note", cell: (row) => row.note || h("span", { class: "muted" }, "none") },
        { id: "changes", title: "Changed", wide: true, cell: (row) => changes(row.changes) },
        { id: "hash", title: "Hash", cell: (row) => h("code", {}, String(row.hash).slice(0, 12)) },
        { id: "actions", title: "Actions", wide: true, cell: (row) => this.actions(row) },
      ],
    });
    byId("reload").addEventListener("click", () => this.reload());
  }

  update({ versions, status }) {
    if (!versions) return;
    this.current = status ? status.version : this.current;
    this.table.update([...versions.versions].reverse());
  }

  actions(row) {
    if (row.version === this.current) return h("span", { class: "muted" }, "is served");
    return h(
      "div",
      { class: "actions" },
      h(
        "button",
        {
          type: "button",
          class: "small",
          "aria-expanded": String(this.opened.has(row.version)),
          onclick: () => this.toggle(row.version),
        },
        "Difference",
      ),
      h("button", { type: "button", class: "small", onclick: () => this.rollback(row) }, "Roll back…"),
    );
  }

  async toggle(version) {
    if (this.opened.delete(version)) {
      this.table.update(this.table.rows);
      return;
    }
    this.opened.set(version, h("p", { class: "muted" }, "Comparing…"));
    this.table.update(this.table.rows);
    let shown;
    try {
      shown = difference(
        await this.diff(version, this.current),
        `From v${version} to v${this.current}, which is served`,
      );
    } catch (error) {
      shown = problemOf(error);
    }
    if (this.opened.has(version)) {
      this.opened.set(version, shown);
      this.table.update(this.table.rows);
    }
  }

  async diff(from, to) {
    return (await this.api.call("POST", "/api/config/diff", { body: { from, to } })).body;
  }

  async rollback(row) {
    const from = this.current;
    const what = h("div", { "aria-live": "polite" }, h("p", { class: "muted" }, "Comparing…"));
    const note = h("input", { id: "note", maxlength: 200, value: `back to version ${row.version}` });
    this.diff(from, row.version).then(
      (found) => fill(what, difference(found, `What would change, from v${from}`)),
      (error) => fill(what, problemOf(error)),
    );
    const done = await question({
      title: `Roll back to v${row.version}?`,
      danger: true,
      label: () => `Publish v${row.version} again`,
      content: [
        h(
          "p",
          {},
          `The content of v${row.version} (${day(row.at)}, ${row.by}) becomes a new version. `,
          "Exchanges under way end as they began; unchanged routes and connections stay.",
        ),
        what,
        h("label", { for: "note" }, "Note"),
        note,
      ],
      act: () => this.publish(row.version, from, note.value),
    });
    if (done) this.told(done);
  }

  async publish(version, from, note) {
    try {
      const path = `/api/config/rollback?wait=${WAIT}`;
      return await this.api.call("POST", path, { body: { version, note }, match: from, patience: 30000 });
    } catch (error) {
      if (error.status === 412) {
        this.refresh();
        error.title = "Somebody was faster.";
        error.cure = "Nothing was changed. Close this, look at the new version, and decide again.";
      }
      throw error;
    }
  }

  told({ body }) {
    const { serving, of } = body.workers || {};
    const late =
      serving < of ? `; ${of - serving} of ${of} workers are still at it` : of ? ` in ${plural(of, "worker")}` : "";
    this.say(
      body.changed === false
        ? `Nothing to change: v${body.version} has that content already.`
        : `v${body.version} is served${late}.`,
    );
    if (body.needs_restart?.length) this.say(`Only a restart brings ${body.needs_restart.join(", ")}.`);
    this.refresh();
  }

  async reload() {
    const done = await question({
      title: "Reload the file?",
      label: () => "Reload",
      content: [
        h(
          "p",
          {},
          "The configuration file is read again and published, if it differs from what was last published from it. ",
          "A file with errors changes nothing.",
        ),
      ],
      act: () => this.api.call("POST", "/api/reload", { body: {}, patience: 30000 }),
    });
    if (done) this.told(done);
  }
}

function changes(found) {
  if (!found) return h("span", { class: "muted" }, "not known");
  const part = (names, sign, tone) => (names || []).slice(0, 3).map((name) => [chip(`${sign} ${name}`, tone), " "]);
  const shown = [
    ...part(found.added, "+", "good"),
    ...part(found.changed, "~", "warn"),
    ...part(found.removed, "−", "bad"),
  ];
  const left = (found.total || 0) - shown.length;
  return [shown, left > 0 ? h("span", { class: "muted" }, `and ${left} more`) : null];
}

function difference(found, title) {
  const rows = [
    ...(found.removed || []).map((each) => line("removed", "−", each, each.value, undefined)),
    ...(found.added || []).map((each) => line("added", "+", each, undefined, each.value)),
    ...(found.changed || []).map((each) => line("changed", "~", each, each.from, each.to)),
  ];
  return h(
    "div",
    { class: "difference" },
    h("p", { class: "label" }, title),
    rows.length ? h("ul", {}, rows.slice(0, LINES)) : h("p", { class: "muted" }, "They have the same content."),
    found.truncated
      ? h("p", { class: "muted" }, "There is more than can be shown: these are the first of each kind.")
      : null,
    rows.length > LINES ? h("p", { class: "muted" }, `and ${rows.length - LINES} more`) : null,
  );
}

function line(kind, sign, each, from, to) {
  return h(
    "li",
    { class: kind },
    h("span", { class: "sign", "aria-label": kind }, sign),
    h("code", {}, typeof each === "string" ? each : each.path),
    " ",
    from === undefined ? null : h("del", {}, brief(from)),
    from !== undefined && to !== undefined ? " → " : null,
    to === undefined ? null : h("ins", {}, brief(to)),
  );
}

function brief(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
