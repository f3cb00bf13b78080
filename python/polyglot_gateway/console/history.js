// The past of a channel, page by page, the newest first.

import { explain } from "./api.js";
import { byId, say } from "./dom.js";
import { eventRow, gapText } from "./event_row.js";

const PAGE = 50;

export class History {
  constructor(api) {
    this.api = api;
    this.asked = 0;
    byId("history-newest").addEventListener("click", () => this.newest());
    byId("history-newer").addEventListener("click", () => this.#newer());
    byId("history-older").addEventListener("click", () => this.#older());
  }

  open(channel) {
    this.channel = channel;
    this.page = null;
    byId("history").replaceChildren();
    return this.newest();
  }

  newest() {
    return this.#read("&reverse=true", ({ events, epoch }) => this.#show(events, epoch, ""));
  }

  #older() {
    const { first, epoch } = this.page;
    const until = first - 1;
    return this.#read(`&reverse=true&until=${until}`, (reply) => {
      if (reply.epoch !== epoch) return this.#changed(reply);
      const newest = reply.events[0]?.offset ?? 0;
      const gone = newest < until ? `Events ${newest + 1} to ${until} are no longer kept.` : "";
      if (reply.events.length) return this.#show(reply.events, epoch, gone);
      byId("history-older").disabled = true;
      return this.#say(gone);
    });
  }

  #newer() {
    const { last, epoch } = this.page;
    return this.#read(`&since=${last}&epoch=${epoch}`, (reply) => {
      if (reply.epoch !== epoch) return this.#changed(reply);
      const gap = reply.gap ? gapText(reply.gap) : "";
      if (reply.events.length) return this.#show(reply.events.reverse(), epoch, gap);
      return this.#say(gap || "There is nothing newer.");
    });
  }

  /** The events that were looked at are gone as a whole: what is there now is another past. */
  #changed() {
    const before = this.page.epoch;
    return this.#read("&reverse=true", ({ events, epoch }) =>
      this.#show(events, epoch, `The channel's past was replaced: its epoch was ${before} and is now ${epoch}.`),
    );
  }

  async #read(query, show) {
    const turn = ++this.asked;
    try {
      const reply = await this.api.json(this.api.pathOf(this.channel, `/history?limit=${PAGE}${query}`));
      if (turn === this.asked) await show(reply);
    } catch (problem) {
      if (turn === this.asked) say(byId("history-place"), explain(problem), "bad");
    }
  }

  #show(events, epoch, remark) {
    this.page = { first: events.at(-1)?.offset ?? 1, last: events[0]?.offset ?? 0, epoch };
    byId("history").replaceChildren(...events.map(eventRow));
    byId("history-newer").disabled = !events.length;
    byId("history-older").disabled = this.page.first <= 1;
    const place = events.length ? `Events ${this.page.first} to ${this.page.last}` : "Nothing is kept";
    say(byId("history-place"), `${place} · epoch ${epoch}`);
    this.#say(remark);
  }

  #say(remark) {
    const place = byId("history-gap");
    place.hidden = !remark;
    say(place, remark);
  }
}
