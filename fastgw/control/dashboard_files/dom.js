// Elements from text. Nothing here, or anywhere on this page, turns text into markup: paths, hosts and names come
// from strangers.

// What an element of this page may have: no address of a script, no style, no handler in text.
const SAFE = new Set(
  [
    "autocomplete autofocus checked class colspan disabled for hidden href id inputmode list maxlength",
    "method min name open pattern placeholder rel required role rows scope selected spellcheck tabindex",
    "target title type value",
  ].flatMap((line) => line.split(" ")),
);
const PREFIX = /^(aria|data)-[a-z]+$/;

/** h("td", {class: "num", onclick: f}, "text", node, null) */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (SAFE.has(name) || PREFIX.test(name)) element.setAttribute(name, value === true ? "" : String(value));
    else throw new TypeError(`no attribute of this page: ${name}`);
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children
    .flat(Infinity)
    .filter((each) => each !== null && each !== undefined && each !== false)
    .map((each) => (each instanceof Node ? each : String(each)));
}

/** The children of `node`, replaced only where they differ: focus, selection and screen readers stay undisturbed. */
export function fill(node, ...children) {
  const made = document.createElement("template").content;
  made.append(...flat(children));
  made.normalize();
  const same =
    made.childNodes.length === node.childNodes.length &&
    [...made.childNodes].every((each, index) => each.isEqualNode(node.childNodes[index]));
  if (!same) node.replaceChildren(...made.childNodes);
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

/** A word with a colour that says the same as the word. */
export function chip(text, tone, title) {
  return h("span", { class: `chip ${tone || ""}`.trim(), title }, text);
}

/** A part of a sentence that does something. */
export function link(text, action, title) {
  return h("button", { type: "button", class: "link", title, onclick: action }, text);
}

/** What went wrong, and what to do: the answer of the gateway in words. */
export function problemOf(error) {
  const errors = error.errors || [];
  return h(
    "div",
    { class: "problem" },
    h("p", {}, h("strong", {}, error.title || "That did not work."), " ", error.message),
    errors.length
      ? h(
          "ul",
          {},
          errors
            .slice(0, 20)
            .map((each) =>
              h(
                "li",
                {},
                each.path ? h("code", {}, each.line ? `${each.path} (line ${each.line})` : each.path) : null,
                each.path ? " " : null,
                each.message,
              ),
            ),
        )
      : null,
    errors.length > 20 ? h("p", {}, `and ${errors.length - 20} more`) : null,
    error.cure ? h("p", {}, error.cure) : null,
  );
}
