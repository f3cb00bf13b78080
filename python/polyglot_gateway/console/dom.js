// Elements made of text and of other elements. Nothing in the console turns text into HTML.

export function byId(id) {
  return document.getElementById(id);
}

/** An element with these properties; a child that is text stays text. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A list of terms and what is to be said of each; what is null is left out. */
export function fillFigures(list, figures) {
  const shown = Object.entries(figures).filter(([, value]) => value !== null && value !== undefined);
  const values = list.getElementsByTagName("dd");
  if ([...list.getElementsByTagName("dt")].map((dt) => dt.textContent).join() === shown.map(([term]) => term).join()) {
    shown.forEach(([, value], index) => say(values[index], String(value))); // what somebody has selected stays selected
    return;
  }
  list.replaceChildren(
    ...shown.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, String(value)))),
  );
}

/** Writes a text where it is not there yet, so that screen readers say only what is new. */
export function say(place, text, kind = "") {
  if (place.textContent !== text) place.textContent = text;
  place.dataset.kind = kind;
}
