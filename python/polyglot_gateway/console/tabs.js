// Tabs as the ARIA practices have them: one is in the order of the Tab key, arrows go from one to the next.

/** Makes tabs of a list of buttons; `chosen` is told the id of each one that is chosen. Returns what chooses one. */
export function tabs(list, chosen) {
  const buttons = [...list.querySelectorAll("[role=tab]")];

  function choose(id) {
    for (const button of buttons) {
      const selected = button.id === id;
      button.setAttribute("aria-selected", String(selected));
      button.tabIndex = selected ? 0 : -1;
      document.getElementById(button.getAttribute("aria-controls")).hidden = !selected;
    }
    chosen(id);
  }

  function go(to) {
    const button = buttons[(to + buttons.length) % buttons.length];
    button.focus();
    choose(button.id);
  }

  buttons.forEach((button, index) => {
    button.addEventListener("click", () => choose(button.id));
    button.addEventListener("keydown", (event) => {
      const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      go(to);
    });
  });
  choose(buttons[0].id);
  return choose;
}
