// The page: which view is open, what it needs from the API every two seconds, and keys.

import { Api, Unreachable } from "./api.js";
import { asking, askToken, shortcuts } from "./dialogs.js";
import { byId, fill, h, problemOf } from "./dom.js";
import { Explain } from "./explain.js";
import { clock, moment, span } from "./format.js";
import { Live } from "./live.js";
import { Overview } from "./overview.js";
import { Upstreams } from "./upstreams.js";
import { Versions } from "./versions.js";

const VIEWS = ["overview", "upstreams", "live", "explain", "versions"];
const EVERY = 2000; // ms: the gateway samples as often
const RARELY = 3; // rounds between two looks at what rarely changes, or is long
const MANY = 200; // upstreams: 5,000 are two megabytes

const KEYS = [
  ["1 to 5", "Overview, Upstreams, Live, Explain, Versions"],
  ["← →", "The view beside it, while a tab has the focus"],
  ["/", "To the first field of the view"],
  ["p", "Pause the live view, or go on"],
  ["↑ ↓", "From line to line of the live view"],
  ["t", "Dark, light, or as the system has it"],
  ["?", "This list"],
  ["Esc", "Close what is open"],
];

class Page {
  constructor() {
    this.state = {};
    this.round = 0;
    this.state.lost = 0; // since when nobody answers
    this.wake = () => {};
    this.api = new Api((wrong) => askToken(wrong));
    const parts = {
      api: this.api,
      go: (view, query) => this.go(view, query),
      say: (text) => this.say(text),
      refresh: () => this.refresh(),
      explain: (found) =>
        this.go("explain", { method: found.method, url: `http://${found.host}${found.path}`, client: found.client }),
    };
    this.views = {
      overview: new Overview(parts),
      upstreams: new Upstreams(parts),
      live: new Live(parts),
      explain: new Explain(parts),
      versions: new Versions(parts),
    };
    this.controls();
    this.route();
    this.run();
  }

  controls() {
    for (const view of VIEWS) byId(`tab-${view}`).addEventListener("click", () => this.open(view));
    document.querySelector("[role=tablist]").addEventListener("keydown", (event) => this.arrows(event));
    byId("theme").addEventListener("click", () => this.theme());
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault(); // what stands behind # is the view
      byId("main").focus();
    });
    byId("help").addEventListener("click", () => shortcuts(KEYS));
    byId("forget").addEventListener("click", () => {
      this.api.forget();
      location.reload();
    });
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("visibilitychange", () => {
      this.refresh();
      if (this.view === "live") this.views.live.looked(!document.hidden);
    });
    addEventListener("hashchange", () => this.route());
    this.themeName();
  }

  // Views

  /** As it was left. */
  open(view) {
    this.go(view, view === "live" ? this.views.live.filters() : {});
  }

  go(view, query) {
    const hash = `#${view}${query && Object.keys(query).length ? `?${new URLSearchParams(query)}` : ""}`;
    if (location.hash === hash) this.route();
    else location.hash = hash;
  }

  route() {
    const [name, query] = location.hash.slice(1).split("?");
    const view = VIEWS.includes(name) ? name : "overview";
    const before = this.view;
    this.view = view;
    for (const each of VIEWS) {
      byId(`view-${each}`).hidden = each !== view;
      byId(`tab-${each}`).setAttribute("aria-selected", String(each === view));
      byId(`tab-${each}`).tabIndex = each === view ? 0 : -1;
    }
    document.title = `${view[0].toUpperCase()}${view.slice(1)} · fastgw`;
    if (before && before !== view) {
      this.views[before].hidden?.();
      scrollTo(0, 0);
    }
    this.views[view].shown?.(Object.fromEntries(new URLSearchParams(query || "")));
    this.draw();
    this.refresh();
  }

  arrows(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const view = VIEWS[(VIEWS.indexOf(this.view) + step + VIEWS.length) % VIEWS.length];
    this.open(view);
    byId(`tab-${view}`).focus();
    event.preventDefault();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || asking()) return;
    if (event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const view = VIEWS[Number(event.key) - 1];
    if (view) {
      this.open(view);
      byId(`tab-${view}`).focus();
    } else if (event.key === "?") shortcuts(KEYS);
    else if (event.key === "t") this.theme();
    else if (event.key === "p" && this.view === "live") this.views.live.pause();
    else if (event.key === "/") byId(`view-${this.view}`).querySelector("input, select")?.focus();
    else return;
    event.preventDefault();
  }

  theme() {
    this.say(`Theme: ${window.fastgwTheme.next()}`);
    this.themeName();
    this.views.overview.recolour();
  }

  themeName() {
    fill(
      byId("theme"),
      { system: "Theme: system", dark: "Theme: dark", light: "Theme: light" }[window.fastgwTheme.get()],
    );
  }

  // What the gateway says

  async run() {
    for (;;) {
      if (!document.hidden) {
        this.again = false;
        await this.read();
        this.draw();
      }
      if (!this.again) {
        await new Promise((wake) => {
          this.wake = wake;
          setTimeout(wake, EVERY);
        });
      }
    }
  }

  refresh() {
    this.round = 0;
    this.again = !document.hidden; // perhaps it is reading right now
    this.wake();
  }

  wanted() {
    const paths = { status: "/api/status", overview: "/api/overview" };
    const published = this.state.status?.version !== this.known;
    const rarely = this.round++ % RARELY === 0 || published;
    const many = (this.state.upstreams?.upstreams.length || 0) > MANY;
    if (this.view === "upstreams" && (rarely || !many)) paths.upstreams = "/api/upstreams";
    if (rarely) Object.assign(paths, { versions: "/api/config/versions?limit=100", fleet: "/api/fleet" });
    return paths;
  }

  async read() {
    const paths = this.wanted();
    const jobs = [this.ready(), ...Object.entries(paths).map(([name, path]) => this.take(name, path))];
    const names = ["ready", ...Object.keys(paths)];
    const failures = (await Promise.allSettled(jobs))
      .map((each, index) => [names[index], each.reason])
      .filter(([, reason]) => reason);
    const away = failures.find(([, error]) => error instanceof Unreachable);
    if (away) this.state.lost ||= Date.now();
    else {
      if (this.state.lost) this.say("The gateway answers again.");
      this.state.lost = 0;
      this.at = Date.now();
      if (paths.versions) this.known = this.state.status?.version;
    }
    this.failure = away ? away[1] : failures[0]?.[1];
  }

  async take(name, path) {
    try {
      this.state[name] = await this.api.get(path);
    } catch (error) {
      if (name !== "fleet" || error.status !== 404) throw error; // a gateway of another version may not have it
    }
  }

  /** 503 is an answer here, not a failure. */
  async ready() {
    try {
      await this.api.call("GET", "/readyz");
      this.state.ready = { ok: true, detail: "" };
    } catch (error) {
      if (error.status !== 503) throw error;
      this.state.ready = { ok: false, detail: error.message };
    }
  }

  draw() {
    this.banner();
    this.vitals();
    this.views[this.view].update?.(this.state);
    this.views.live.names(this.state);
  }

  banner() {
    const banner = byId("banner");
    banner.hidden = !this.failure;
    document.body.classList.toggle("lost", Boolean(this.state.lost));
    if (this.state.lost)
      fill(
        banner,
        h("strong", {}, `Connection lost at ${clock(this.state.lost / 1000)}. `),
        this.failure.message,
        " ",
        this.failure.cure || "",
        " What you see is what was known then; trying again every two seconds.",
      );
    else if (this.failure) fill(banner, problemOf(this.failure));
  }

  vitals() {
    const { ready, status } = this.state;
    byId("forget").hidden = !this.api.signedIn;
    byId("api").hidden = this.api.signedIn; // a link carries no token
    const word = this.state.lost
      ? ["no answer", "bad"]
      : !ready
        ? ["connecting", ""]
        : ready.ok
          ? ["ready", "good"]
          : ["not ready", "bad"];
    const chip = byId("ready");
    fill(chip, word[0]);
    chip.className = `chip ${word[1]}`;
    chip.title = ready && !ready.ok ? ready.detail : "";
    if (status) {
      fill(byId("version"), `v${status.version} `, h("span", { class: "muted" }, String(status.hash).slice(0, 12)));
      fill(byId("uptime"), `up ${span((Date.now() - moment(status.started_at)) / 1000)}`);
    }
    if (this.at) fill(byId("updated"), `Updated ${clock(this.at / 1000)}`);
  }

  say(text) {
    fill(byId("said"), text);
    const toast = byId("toast");
    fill(toast, text);
    toast.hidden = false;
    clearTimeout(this.toasting);
    this.toasting = setTimeout(() => {
      toast.hidden = true;
    }, 6000);
  }
}

new Page();
