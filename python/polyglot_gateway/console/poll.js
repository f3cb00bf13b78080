// Asks again and again: one question at a time, and none while nobody looks.

/** Calls `ask` now and `pause` milliseconds after each end; returns what stops it. */
export function poll(ask, pause) {
  let stopped = false;
  let timer;
  async function turn() {
    try {
      if (!document.hidden) await ask();
    } finally {
      if (!stopped) timer = setTimeout(turn, pause);
    }
  }
  turn();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
