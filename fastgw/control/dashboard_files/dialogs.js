// Questions: one at a time, by keyboard as by mouse, and what went wrong is said where it was asked.

import { fill, h, problemOf } from "./dom.js";

/**
 * Asks before something is done. `content`: nodes; `act()` does it; while it fails, the dialog stays and says why.
 * `label()`: what the button says now. Resolves to what `act` returned, or null where somebody thought better of it.
 */
export function question({ title, content, label, danger, act }) {
  return new Promise((resolve) => {
    let result = null;
    const trouble = h("div", { role: "alert" });
    const yes = h("button", { type: "submit", class: danger ? "danger" : "primary" });
    const no = h("button", { type: "button", class: "ghost", onclick: () => dialog.close() }, "Cancel");
    const form = h(
      "form",
      { class: "sheet" },
      h("h2", { id: "asked" }, title),
      content,
      trouble,
      h("div", { class: "actions" }, no, yes),
    );
    const dialog = h("dialog", { "aria-labelledby": "asked" }, form);
    const name = () => fill(yes, label());
    form.addEventListener("input", name);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      yes.disabled = true;
      fill(trouble);
      try {
        result = await act();
        dialog.close();
      } catch (error) {
        fill(trouble, problemOf(error));
      } finally {
        yes.disabled = false;
        name();
      }
    });
    name();
    open(dialog, () => resolve(result));
  });
}

/** The token, when the gateway wants one. There is no way around it: without one the page has nothing to show. */
export function askToken(wrong) {
  return new Promise((resolve) => {
    const field = h("input", {
      type: "password",
      id: "token",
      required: true,
      autocomplete: "off",
      spellcheck: "false",
      autofocus: true,
    });
    const form = h(
      "form",
      { class: "sheet" },
      h("h2", { id: "asked" }, "This gateway wants its token"),
      h(
        "p",
        {},
        "It is ",
        h("code", {}, "admin.token"),
        " of the configuration. It is kept in this tab only, and forgotten when the tab is closed.",
      ),
      wrong ? h("p", { class: "problem", role: "alert" }, "The token that was given is not the right one.") : null,
      h("label", { for: "token" }, "Token"),
      field,
      h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Sign in")),
    );
    const dialog = h("dialog", { "aria-labelledby": "asked" }, form);
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      // A header takes visible ASCII only; anything else cannot be the token.
      const token = field.value.trim();
      if (!/^[!-~]+$/.test(token)) return;
      dialog.close();
      resolve(token);
    });
    open(dialog, () => {});
  });
}

export function shortcuts(keys) {
  const form = h(
    "form",
    { class: "sheet" },
    h("h2", { id: "asked" }, "Shortcuts"),
    h(
      "dl",
      { class: "keys" },
      keys.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]),
    ),
    h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Close")),
  );
  const dialog = h("dialog", { "aria-labelledby": "asked" }, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close();
  });
  open(dialog, () => {});
}

export function asking() {
  return document.querySelector("dialog[open]") !== null;
}

function open(dialog, closed) {
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  document.body.append(dialog);
  dialog.showModal();
}
