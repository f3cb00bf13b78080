// Who is in a channel.

import { explain } from "./api.js";
import { byId, element, say } from "./dom.js";
import { pretty } from "./json.js";

export class Presence {
  constructor(api) {
    this.api = api;
  }

  async show(channel) {
    try {
      const { count, members } = await this.api.json(this.api.pathOf(channel, "/presence"));
      say(
        byId("presence-answer"),
        count ? `${count === 1 ? "1 member" : `${count} members`}` : "Nobody is here whom the channel tracks.",
      );
      this.#fill(Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1)));
    } catch (problem) {
      say(byId("presence-answer"), explain(problem), "bad");
      byId("members").replaceChildren();
    }
  }

  #fill(members) {
    const list = byId("members");
    const text = pretty(members);
    if (list.dataset.shown === text) return; // what somebody has opened stays open
    list.dataset.shown = text;
    list.replaceChildren(...members.map(memberRow));
  }
}

function memberRow([key, { metas }]) {
  const times = metas.length === 1 ? "once" : `${metas.length} times`;
  const summary = element(
    "summary",
    {},
    element("span", { className: "type" }, key),
    element("span", { className: "data" }, `joined ${times}`),
  );
  return element(
    "li",
    { className: "event" },
    element("details", {}, summary, element("pre", { tabIndex: 0 }, pretty(metas))),
  );
}
