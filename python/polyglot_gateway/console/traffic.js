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

function caption(place, title, figures) {
  const shown = figures.filter(([, value]) => value !== undefined);
  const parts = shown.map(([label, value], index) =>
    element("span", { className: "reading" }, element("i", { className: `key key-${index + 1}` }), ` ${label} `, element("b", {}, value)),
  );
  place.replaceChildren(element("span", { className: "what" }, title), ...parts);
}

export class Traffic {
  constructor(api) {
    this.api = api;
    this.scrapes = [];
    this.rates = new Plot(byId("rates-plot"), ["published", "delivered"], number);
    this.latency = new Plot(byId("latency-plot"), ["p50", "p99"], duration, { logarithmic: true });
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
      published: counter(samples, "polyglot_publishes", "polyglot_published"),
      delivered: counter(samples, "polyglot_deliveries", "polyglot_delivered"),
      publish: histogram(samples, "polyglot_publish_seconds"),
    };
    const last = this.scrapes.at(-1);
    this.scrapes.push(scrape);
    while (this.scrapes[1]?.at < scrape.at - LATENCY_SECONDS) this.scrapes.shift();
    if (!last) return;
    const seconds = scrape.at - last.at;
    const published = rate(last.published, scrape.published, seconds);
    const delivered = rate(last.delivered, scrape.delivered, seconds);
    const [p50, p99] = [0.5, 0.99].map((q) => quantile(q, this.scrapes[0].publish, scrape.publish));
    const now = Date.now() / 1000;
    this.rates.add(now, [published, delivered]);
    this.latency.add(now, [p50, p99]);
    const told = scrape.delivered === null ? undefined : number(delivered);
    caption(byId("rates-caption"), "Events per second", [["published", number(published)], ["delivered", told]]);
    caption(byId("latency-caption"), "Time of a publish", [["p50", duration(p50)], ["p99", duration(p99)]]);
  }
}
