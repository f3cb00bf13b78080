// How the gateway is: /ready, /health and the breakers before the processor, as the worker that answers has them.

import { explain } from "./api.js";
import { byId, element, fillFigures, say } from "./dom.js";
import { bytes, duration, number } from "./format.js";
import { parse } from "./json.js";
import { poll } from "./poll.js";

const EVERY = 2000;
const KINDS = { closed: "good", half_open: "fair", open: "bad" };

export class GatewayState {
  constructor(api) {
    this.api = api;
    poll(() => this.#ask(), EVERY);
  }

  async #ask() {
    try {
      const [ready, health, breaker] = await Promise.all([
        this.api.ask("ready", { expected: [503] }),
        this.api.json("health"),
        this.api.json("api/debug/circuit-breaker"),
      ]);
      this.#showState(ready.status === 200, health, ready.status === 200 ? [] : (parse(ready.text).reasons ?? []));
      this.#showFigures(health);
      this.#showBreakers(breaker);
    } catch (problem) {
      const away = problem.code === "unreachable";
      say(byId("state"), away ? "does not answer" : "state unknown", away ? "bad" : "fair");
      showReasons([explain(problem)]);
    }
  }

  #showState(ready, health, notReady) {
    if (!ready) say(byId("state"), "not ready", "bad");
    else if (health.status !== "ok") say(byId("state"), "degraded", "fair");
    else say(byId("state"), "ready", "good");
    showReasons([...(ready ? (health.reasons ?? []) : notReady), ...(health.engine?.notices ?? [])]);
    say(byId("facts"), `${health.version} · ${health.env}`);
  }

  #showFigures({ engine = {}, uptime_seconds, worker }) {
    const segment = engine.segment ?? {};
    const { log_used, log_bytes, channels } = segment;
    fillFigures(byId("figures"), {
      Engine: engine.name,
      Channels: channels === undefined ? null : number(channels),
      "Log used": log_used === undefined ? null : `${bytes(log_used)} of ${bytes(log_bytes)}`,
      Uptime: uptime_seconds === undefined ? null : duration(uptime_seconds),
      "Worker that answers": worker,
    });
  }

  #showBreakers({ enabled, processor, state, endpoints = [] }) {
    if (endpoints.length) {
      const held = enabled ? "Breakers are each worker's own." : "The breakers are off.";
      say(byId("breaker-state"), nameOf(state), KINDS[state]);
      say(byId("breaker-note"), `Asked by ${processor}. ${held}`);
    } else {
      say(byId("breaker-state"), "none elsewhere");
      say(byId("breaker-note"), "Events go to no service before they are kept.");
    }
    byId("breakers").replaceChildren(...endpoints.map(breakerRow));
  }
}

function nameOf(state) {
  return state.replace("_", " ");
}

function showReasons(reasons) {
  const list = byId("reasons");
  if ([...list.children].map((item) => item.textContent).join("\n") === reasons.join("\n")) return;
  list.replaceChildren(...reasons.map((reason) => element("li", {}, reason)));
}

function breakerRow({ endpoint, state, failures, next_try_in, last_error }) {
  const pill = element("span", { className: "pill" }, nameOf(state));
  pill.dataset.kind = KINDS[state];
  const facts = [
    failures ? `${failures} failures in a row` : "",
    next_try_in === null || next_try_in === undefined ? "" : `next try in ${duration(next_try_in)}`,
    last_error ?? "",
  ].filter(Boolean);
  return element(
    "li",
    {},
    element("span", { className: "name" }, endpoint),
    pill,
    element("span", { className: "quiet" }, facts.join(" · ")),
  );
}
