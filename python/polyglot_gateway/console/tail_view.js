// Shows the live tail. It can be paused, and says how much it did not show.

import { byId, say } from "./dom.js";
import { eventRow, gapText, remarkRow } from "./event_row.js";

const WAITING = 300; // events between two drawings, or during a pause
const SHOWN = 2 * WAITING; // so what is told of those that did not fit is itself shown
const EVERY = 100; // milliseconds between two drawings, however fast events come
const EVERY_PAUSED = 1000; // so that screen readers are not told of each event

export class TailView {
  constructor() {
    this.waiting = [];
    this.skipped = null;
    this.connection = ["", ""];
    byId("tail-pause").addEventListener("click", () => this.#pause(!this.paused));
    byId("tail-clear").addEventListener("click", () => byId("tail").replaceChildren());
  }

  /** Begins anew, for another channel. */
  reset() {
    this.waiting = [];
    this.skipped = null;
    byId("tail").replaceChildren();
    this.#pause(false);
  }

  event(event) {
    this.#add({ event });
  }

  gap(gap) {
    this.#add({ text: gapText(gap), kind: "gap" });
  }

  remark(text) {
    this.#add({ text });
  }

  state(text, kind) {
    this.connection = [text, kind];
    this.#sayState();
  }

  #add(item) {
    this.waiting.push(item);
    if (this.waiting.length > WAITING) this.#skip();
    this.timer ??= setTimeout(() => this.#draw(), this.paused ? EVERY_PAUSED : EVERY);
  }

  /** Drops the oldest event that waits; gaps and remarks are few, and stay. */
  #skip() {
    const index = this.waiting.findIndex(({ event }) => event);
    if (index < 0) return;
    const [{ event }] = this.waiting.splice(index, 1);
    this.skipped ??= { count: 0, from: event.offset };
    this.skipped.count += 1;
    this.skipped.to = event.offset;
  }

  #draw() {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.paused) {
      this.#sayState();
      return;
    }
    const rows = this.waiting.map(({ event, text, kind }) => (event ? eventRow(event) : remarkRow(text, kind)));
    if (this.skipped) {
      const { count, from, to } = this.skipped;
      rows.unshift(
        remarkRow(
          `${count} events from ${from} to ${to} are not shown, because more came than fit here; History has them.`,
        ),
      );
    }
    this.waiting = [];
    this.skipped = null;
    const list = byId("tail");
    list.prepend(...rows.reverse());
    while (list.children.length > SHOWN) list.lastElementChild.remove();
  }

  #pause(paused) {
    const meanwhile = this.#events();
    const resumed = this.paused && !paused;
    this.paused = paused;
    byId("tail-pause").textContent = paused ? "Resume" : "Pause";
    byId("tail-pause").setAttribute("aria-pressed", String(paused));
    if (resumed) this.waiting.unshift({ text: `Resumed: ${meanwhile} events came during the pause.` });
    this.#sayState();
    this.#draw();
  }

  #events() {
    return this.waiting.filter(({ event }) => event).length + (this.skipped?.count ?? 0);
  }

  #sayState() {
    const [text, kind] = this.connection;
    say(
      byId("tail-state"),
      this.paused ? `Paused: ${this.#events()} new events wait. ${text}` : text,
      this.paused ? "fair" : kind,
    );
  }
}
