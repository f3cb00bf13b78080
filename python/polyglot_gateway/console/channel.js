// The channel that was chosen: where it stands, and four ways to look at it.

import { explain } from "./api.js";
import { byId, fillFigures, say } from "./dom.js";
import { clock, number } from "./format.js";
import { History } from "./history.js";
import { poll } from "./poll.js";
import { Presence } from "./presence.js";
import { PublishForm } from "./publish.js";
import { tabs } from "./tabs.js";
import { Tail } from "./tail.js";
import { TailView } from "./tail_view.js";

const EVERY = 2000;

export class Channel {
  /** `published` is told the channel of each event that the form has published. */
  constructor(api, published) {
    this.api = api;
    this.name = "";
    this.view = new TailView();
    this.tail = new Tail(api, this.view);
    this.history = new History(api);
    this.presence = new Presence(api);
    this.form = new PublishForm(api, published);
    tabs(byId("tabs"), (id) => this.#chosen(id));
    poll(() => this.#refresh(), EVERY);
  }

  open(name) {
    if (name === this.name) return;
    this.name = name;
    byId("channel-title").textContent = name;
    byId("channel-hint").hidden = true;
    byId("channel").hidden = false;
    byId("positions").replaceChildren();
    this.view.reset();
    this.tail.open(name);
    this.form.open(name);
    this.#chosen(this.tab);
    this.#refresh();
  }

  #chosen(id) {
    this.tab = id;
    if (!this.name) return;
    if (id === "tab-history") this.history.open(this.name);
    if (id === "tab-presence") this.presence.show(this.name);
  }

  async #refresh() {
    const { name } = this;
    if (!name) return;
    if (this.tab === "tab-presence") this.presence.show(name);
    try {
      const info = await this.api.json(this.api.pathOf(name));
      if (name !== this.name) return;
      fillFigures(byId("positions"), {
        Kept: number(info.count),
        Oldest: info.count ? info.first_offset : null,
        Newest: info.last_offset,
        "Last published": info.last_published && clock(info.last_published),
        Epoch: info.epoch,
      });
      say(byId("positions-answer"), "");
    } catch (problem) {
      if (name === this.name) say(byId("positions-answer"), explain(problem), "bad");
    }
  }
}
