// A table that keeps its rows by key, sorts by a click, and becomes a list of cards on a phone.

import { fill, h } from "./dom.js";

export class Table {
  /**
   * columns: [{id, title, hint, number, value(row), cell(row), wide}]: `value` sorts, `cell` is what is shown.
   * key(row): its identity. below(row): nodes in the full width under a row, or null. sort: [id, descending].
   * empty: what to say, and to do, when there is nothing.
   */
  constructor(place, { caption, columns, key, sort, empty, rowClass, below }) {
    this.columns = columns;
    this.key = key;
    this.sort = sort || null;
    this.rowClass = rowClass;
    this.below = below;
    this.rows = [];
    this.made = new Map();
    this.body = h("tbody", { role: "rowgroup" });
    this.heads = new Map(columns.map((column) => [column.id, this.head(column)]));
    this.table = h(
      "table",
      { role: "table", "aria-label": caption },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, [...this.heads.values()])),
      this.body,
    );
    this.nothing = h("p", { class: "empty" }, empty);
    this.nothing.hidden = true;
    this.table.hidden = true; // until something is known
    place.replaceChildren(this.table, this.nothing);
  }

  head(column) {
    const sortable = Boolean(column.value);
    const label = sortable
      ? h("button", { type: "button", title: column.hint, onclick: () => this.sortBy(column.id) }, column.title)
      : h("span", { title: column.hint }, column.title);
    return h("th", { role: "columnheader", scope: "col", class: column.number ? "number" : null }, label);
  }

  sortBy(id) {
    const column = this.columns.find((each) => each.id === id);
    const again = this.sort && this.sort[0] === id;
    this.sort = [id, again ? !this.sort[1] : Boolean(column.number)];
    this.update(this.rows);
  }

  update(rows) {
    this.rows = rows;
    this.table.hidden = rows.length === 0;
    this.nothing.hidden = rows.length > 0;
    for (const [id, head] of this.heads) {
      if (this.sort && this.sort[0] === id) head.setAttribute("aria-sort", this.sort[1] ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    const wanted = this.ordered(rows)
      .flatMap((row) => [this.row(row), this.under(row)])
      .filter(Boolean);
    const keep = new Set(wanted);
    for (const [key, tr] of this.made) {
      if (!keep.has(tr)) {
        tr.remove();
        this.made.delete(key);
      }
    }
    wanted.forEach((tr, index) => {
      const there = this.body.children[index];
      if (there !== tr) this.body.insertBefore(tr, there || null);
    });
  }

  ordered(rows) {
    if (!this.sort) return rows;
    const [id, descending] = this.sort;
    const value = this.columns.find((each) => each.id === id).value;
    const sign = descending ? -1 : 1;
    return [...rows].sort((a, b) => sign * compare(value(a), value(b)));
  }

  /** Made anew when its content differs, so that it opens and closes with its row. */
  under(row) {
    const content = this.below && this.below(row);
    if (!content) return null;
    const key = `below ${this.key(row)}`;
    let tr = this.made.get(key);
    if (!tr)
      this.made.set(
        key,
        (tr = h("tr", { role: "row", class: "below" }, h("td", { role: "cell", colspan: this.columns.length }))),
      );
    fill(tr.firstChild, content);
    return tr;
  }

  row(row) {
    const key = String(this.key(row));
    let tr = this.made.get(key);
    if (!tr) {
      tr = h(
        "tr",
        { role: "row" },
        this.columns.map((column) =>
          h("td", {
            role: "cell",
            "data-label": column.title,
            class: [column.number ? "number" : "", column.wide ? "wide" : ""].join(" ").trim() || null,
          }),
        ),
      );
      this.made.set(key, tr);
    }
    tr.className = (this.rowClass && this.rowClass(row)) || "";
    this.columns.forEach((column, index) => fill(tr.children[index], column.cell(row)));
    return tr;
  }
}

function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en");
}
