// The REST interface, asked with the visitor's key. The key travels in header fields and never in a URL.

import { parse } from "./json.js";

/** Where the gateway is: the folder of the page, which may be mounted below another path. */
export const BASE = new URL(".", document.baseURI);

/** Something that did not work; `message` says what, and how to mend it. */
export class Problem extends Error {
  constructor({ code, status = 0, error, detail = "", retryAfter = "" }) {
    const again = retryAfter ? `Try again in ${retryAfter} s.` : "";
    super([error, detail, again].filter(Boolean).join(" "));
    this.code = code;
    this.status = status;
  }
}

/** The message of a problem; anything else that was thrown is a fault of the page, and goes on. */
export function explain(thrown) {
  if (thrown instanceof Problem) return thrown.message;
  throw thrown;
}

/** What has two dots is a token; the gateway knows it by the same sign. */
function credential(key) {
  return key.split(".").length === 3 ? { Authorization: `Bearer ${key}` } : { "X-API-Key": key };
}

function problemOf(response, text) {
  try {
    const { code, error, detail } = JSON.parse(text);
    if (code && error) {
      const retryAfter = response.headers.get("Retry-After") ?? "";
      return new Problem({ code, status: response.status, error, detail, retryAfter });
    }
  } catch {
    // What stands between here and the gateway answers in its own way.
  }
  return new Problem({
    code: "",
    status: response.status,
    error: `The answer was ${response.status}, without a reason.`,
  });
}

export class Api {
  /** Without an app and a key only what needs none can be asked. */
  constructor(app = "", key = "") {
    this.app = app;
    this.key = key;
  }

  pathOf(channel, action = "") {
    return `apps/${encodeURIComponent(this.app)}/channels/${encodeURIComponent(channel)}${action}`;
  }

  /** The status and the text of an answer. Throws a Problem for an error, but for the statuses in `expected`. */
  async ask(path, { method = "GET", body, headers = {}, expected = [] } = {}) {
    let response;
    let text;
    try {
      response = await fetch(new URL(path, BASE), {
        method,
        body,
        headers: { ...(this.key ? credential(this.key) : {}), ...headers },
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
      });
      text = await response.text();
    } catch {
      throw new Problem({ code: "unreachable", error: "The gateway does not answer." });
    }
    if (!response.ok && !expected.includes(response.status)) throw problemOf(response, text);
    return { status: response.status, text };
  }

  async json(path, options) {
    const { text } = await this.ask(path, options);
    try {
      return parse(text);
    } catch {
      throw new Problem({ code: "", error: "The answer is not the gateway's: it is no JSON." });
    }
  }
}
