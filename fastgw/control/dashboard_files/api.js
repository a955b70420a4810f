// The admin API: the token, answers and refusals as values, and server-sent events over fetch (EventSource cannot carry
// a token).

const KEY = "fastgw.token";
const PATIENCE = 10000; // ms for an answer; the gateway may wait for its workers as long as the call says
const SILENCE = 30000; // ms without a byte of a stream that has a heartbeat every 10 s

/** The gateway said no. */
export class Refusal extends Error {
  constructor(status, body, etag) {
    super(body.detail || `The gateway answered ${status}.`);
    this.status = status;
    this.title = body.title ? `${body.title}.` : "";
    this.reason = body.reason || "";
    this.errors = Array.isArray(body.errors) ? body.errors : [];
    this.etag = etag;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {
  constructor() {
    super("The gateway's control process does not answer.");
    this.cure = "Traffic goes on without it. Look at the log of the gateway.";
  }
}

export class Api {
  /** `ask(wrong)` resolves to a token that a person gave. */
  constructor(ask) {
    this.ask = ask;
    this.asking = null;
  }

  get signedIn() {
    return Boolean(sessionStorage.getItem(KEY));
  }

  forget() {
    sessionStorage.removeItem(KEY);
  }

  async get(path) {
    return (await this.call("GET", path)).body;
  }

  /** {body, status, etag}; raises Refusal or Unreachable. */
  async call(method, path, { body, match, patience } = {}) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (match !== undefined) headers["If-Match"] = `"${match}"`;
    const answer = await this.admitted(path, () => ({
      method,
      headers,
      cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(patience || PATIENCE),
    }));
    const found = await parsed(answer);
    const etag = answer.headers.get("ETag");
    if (!answer.ok) throw new Refusal(answer.status, found || {}, etag);
    return { body: found, status: answer.status, etag };
  }

  /** fetch, with the token; where it is missing or wrong, somebody is asked for it. */
  async admitted(path, options) {
    for (;;) {
      const token = sessionStorage.getItem(KEY);
      const made = options();
      if (token) made.headers = { ...made.headers, Authorization: `Bearer ${token}` };
      let answer;
      try {
        answer = await fetch(path, made);
      } catch (error) {
        if (error.name === "AbortError") throw error; // we did that
        throw new Unreachable();
      }
      if (answer.status !== 401) return answer;
      await answer.body?.cancel();
      // Another call may have got a new one meanwhile.
      if (token === sessionStorage.getItem(KEY)) await this.signIn(Boolean(token));
    }
  }

  signIn(wrong) {
    this.asking ||= this.ask(wrong)
      .then((token) => sessionStorage.setItem(KEY, token))
      .finally(() => {
        this.asking = null;
      });
    return this.asking;
  }

  /** {event, data} of a stream, until it ends or `controller` aborts it. `onOpen` when it stands. */
  async *events(path, controller, onOpen) {
    let silence = 0;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => controller.abort(), SILENCE);
    };
    try {
      heard();
      const answer = await this.admitted(path, () => ({
        headers: { Accept: "text/event-stream" },
        cache: "no-store",
        signal: controller.signal,
      }));
      if (!answer.ok) throw new Refusal(answer.status, (await parsed(answer)) || {}, null);
      onOpen();
      yield* events(answer.body, heard);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw new Unreachable(); // cut, or silent for too long
    } finally {
      clearTimeout(silence);
    }
  }
}

async function parsed(answer) {
  let text;
  try {
    text = await answer.text();
  } catch {
    throw new Unreachable(); // cut in the middle
  }
  try {
    return JSON.parse(text);
  } catch {
    return text ? { detail: text.slice(0, 500) } : null;
  }
}

async function* events(stream, heard) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = { event: "message", data: "" };
        for (const line of block.split("\n")) {
          const [, field, text] = /^(event|data): ?(.*)$/.exec(line) || [];
          if (field === "event") event.event = text;
          else if (field === "data") event.data += (event.data && "\n") + text;
        }
        if (event.data) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
