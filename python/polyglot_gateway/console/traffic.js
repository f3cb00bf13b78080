// What goes through the gateway now: rates and latencies of all its workers, from /metrics.

import { explain } from "./api.js";
import { byId, element, say } from "./dom.js";
import { counter, histogram, parseExposition } from "./exposition.js";
import { duration, number } from "./format.js";
import { Plot } from "./plots.js";
import { poll } from "./poll.js";
import { quantile, rate } from "./rates.js";

const EVERY = 1000;
const LATENCY_SECONDS = 10; // one second of a quiet gateway has too few publishes for percentiles

/** Names the lines and their newest values; one that this gateway does not measure is left out. */
function caption(place, title, lines, format) {
  const readings = lines.map(([label, value, measured], index) => {
    const key = element("i", { className: `key key-${index + 1}` });
    return measured
      ? element("span", { className: "reading" }, key, ` ${label} `, element("b", {}, format(value)))
      : "";
  });
  place.replaceChildren(element("span", { className: "what" }, title), ...readings);
}

export class Traffic {
  constructor(api) {
    this.api = api;
    this.scrapes = [];
    this.rates = new Plot(byId("rates-plot"), ["published", "delivered"], number);
    this.latency = new Plot(byId("latency-plot"), ["publish p50", "publish p99", "delivery p99"], duration, {
      logarithmic: true,
    });
    poll(() => this.#scrape(), EVERY);
  }

  async #scrape() {
    try {
      const { text } = await this.api.ask("metrics", { headers: { Accept: "text/plain" } });
      this.#take(parseExposition(text));
      say(byId("traffic-answer"), "");
    } catch (problem) {
      say(byId("traffic-answer"), `No metrics: ${explain(problem)}`, "bad");
    }
  }

  #take(samples) {
    const scrape = {
      at: performance.now() / 1000,
      published: counter(samples, "polyglot_publishes"),
      delivered: counter(samples, "polyglot_deliveries"),
      publish: histogram(samples, "polyglot_publish_seconds"),
      delivery: histogram(samples, "polyglot_delivery_lag_seconds"),
    };
    const last = this.scrapes.at(-1);
    this.scrapes.push(scrape);
    while (this.scrapes[1]?.at < scrape.at - LATENCY_SECONDS) this.scrapes.shift();
    if (last) this.#show(last, this.scrapes[0], scrape);
  }

  /** Shows what came since `last`, and the latencies since `first`. */
  #show(last, first, scrape) {
    const gained = (name) => rate(last[name], scrape[name], scrape.at - last.at);
    const percentile = (q, name) => quantile(q, first[name], scrape[name]);
    const readings = (plot, place, title, lines) => {
      plot.add(
        Date.now() / 1000,
        lines.map(([, value]) => value),
      );
      caption(byId(place), title, lines, plot.format);
    };
    readings(this.rates, "rates-caption", "Events per second", [
      ["published", gained("published"), true],
      ["delivered", gained("delivered"), scrape.delivered !== null],
    ]);
    readings(this.latency, "latency-caption", "Latency", [
      ["publish p50", percentile(0.5, "publish"), true],
      ["publish p99", percentile(0.99, "publish"), true],
      ["delivery p99", percentile(0.99, "delivery"), scrape.delivery !== null],
    ]);
  }
}
