// One event as a line that opens; one remark between events.

import { element } from "./dom.js";
import { clock } from "./format.js";
import { compact, pretty } from "./json.js";

const LONGEST = 300;

function shortened(data) {
  const text = compact(data);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

/** The envelope as a list item; opened, it shows all of it. */
export function eventRow(event) {
  const details = element(
    "details",
    {},
    element(
      "summary",
      {},
      element("span", { className: "offset" }, `#${event.offset}`),
      element("time", { dateTime: event.meta.ts, title: event.meta.ts }, clock(event.meta.ts)),
      element("span", { className: "type" }, event.type),
      element("span", { className: "data" }, shortened(event.data)),
    ),
  );
  details.addEventListener("toggle", () => details.append(element("pre", { tabIndex: 0 }, pretty(event))), {
    once: true,
  });
  return element("li", { className: "event" }, details);
}

/** A list item that says something; `kind` is "gap" for what is lost. */
export function remarkRow(text, kind = "") {
  return element("li", { className: `remark ${kind}` }, text);
}

const REASONS = {
  overwritten: "newer events took their place",
  expired: "they were older than the channel keeps them",
  epoch_changed: "they belong to a past that is gone",
  beyond_end: "the position lies past the newest event",
  conflated: "they came faster than they could be read",
};

/** A gap in words. */
export function gapText({ from, to, reason }) {
  const which = from && to ? (from === to ? `Event ${from}` : `Events ${from} to ${to}`) : "Some events";
  return `${which} will not come: ${REASONS[reason] ?? reason}.`;
}
