// The channels of the app: filtered, and page by page.

import { explain } from "./api.js";
import { byId, element, say } from "./dom.js";
import { number } from "./format.js";
import { poll } from "./poll.js";

const PAGE = 50;
const FILTERED_PAGE = 1000; // the gateway knows no filter: many are read, few are shown
const EVERY = 5000;

export class Channels {
  /** `open` is told the name of a channel that is chosen. */
  constructor(api, open) {
    this.api = api;
    this.open = open;
    this.chosen = "";
    this.cursors = [null]; // of the pages up to this one
    this.asked = 0;
    byId("find").addEventListener("submit", (event) => this.#openNamed(event));
    byId("filter").addEventListener("input", () => this.#begin());
    byId("channels-previous").addEventListener("click", () => this.#turn(this.cursors.slice(0, -1)));
    byId("channels-next").addEventListener("click", () => this.#turn([...this.cursors, this.next]));
    byId("channels-refresh").addEventListener("click", () => this.refresh());
    poll(() => (this.#filter() ? undefined : this.refresh()), EVERY);
  }

  mark(channel) {
    this.chosen = channel;
    for (const row of byId("channel-rows").rows) row.classList.toggle("chosen", row.dataset.channel === channel);
  }

  async refresh() {
    const turn = ++this.asked;
    try {
      const { infos, next } = await this.#page(this.cursors.at(-1));
      if (turn !== this.asked) return; // another question was asked meanwhile
      this.next = next;
      this.#show(infos);
    } catch (problem) {
      if (turn === this.asked) this.#refused(problem);
    }
  }

  #filter() {
    return byId("filter").value.trim();
  }

  #openNamed(event) {
    event.preventDefault();
    const named = this.#filter();
    const only = byId("channel-rows").rows.length === 1 ? byId("channel-rows").rows[0].dataset.channel : "";
    if (named) this.open(only || named);
  }

  #begin() {
    this.#turn([null]);
  }

  #turn(cursors) {
    this.cursors = cursors;
    return this.refresh();
  }

  async #page(cursor) {
    const filter = this.#filter().toLowerCase();
    const infos = [];
    let next = cursor;
    do {
      const from = next ? `&cursor=${encodeURIComponent(next)}` : "";
      const limit = filter ? FILTERED_PAGE : PAGE;
      const page = await this.api.json(`apps/${encodeURIComponent(this.api.app)}/channels?limit=${limit}${from}`);
      infos.push(...page.channels.filter(({ channel }) => channel.toLowerCase().includes(filter)));
      next = page.next;
    } while (filter && next && infos.length < PAGE && filter === this.#filter().toLowerCase());
    return { infos, next };
  }

  #show(infos) {
    byId("channels-previous").disabled = this.cursors.length < 2;
    byId("channels-next").disabled = !this.next;
    const nothing = this.#filter()
      ? "No channel has this in its name. Open goes to it all the same."
      : "No channel has a history yet.";
    say(byId("channels-answer"), infos.length ? "" : nothing);
    const rows = [...byId("channel-rows").rows];
    if (rows.length === infos.length && rows.every((row, index) => row.dataset.channel === infos[index].channel)) {
      rows.forEach((row, index) => fillRow(row, infos[index])); // a row that is being pressed stays
      return;
    }
    const focused = document.activeElement?.closest?.("#channel-rows tr")?.dataset.channel;
    byId("channel-rows").replaceChildren(...infos.map((info) => this.#row(info)));
    if (focused)
      byId("channel-rows")
        .querySelector(`tr[data-channel="${CSS.escape(focused)}"] button`)
        ?.focus();
    this.mark(this.chosen);
  }

  #row(info) {
    const button = element("button", { type: "button", className: "link" }, info.channel);
    button.addEventListener("click", () => this.open(info.channel));
    const figure = () => element("td", { className: "number" });
    const row = element("tr", {}, element("th", { scope: "row" }, button), figure(), figure());
    row.dataset.channel = info.channel;
    fillRow(row, info);
    return row;
  }

  #refused(problem) {
    const why =
      problem.code === "forbidden"
        ? "This key or token does not list channels; you can still open one by its name."
        : explain(problem);
    say(byId("channels-answer"), why, problem.code === "forbidden" ? "" : "bad");
    this.next = null;
    byId("channels-next").disabled = true;
    byId("channel-rows").replaceChildren();
  }
}

function fillRow(row, { count, last_offset }) {
  say(row.cells[1], number(count));
  say(row.cells[2], number(last_offset));
}
