// From totals, read again and again, to what goes on now. What cannot be known is null.

/** What a counter gains in a second; null when it began anew in between. */
export function rate(before, after, seconds) {
  if (before === null || after === null || after < before || seconds <= 0) return null;
  return (after - before) / seconds;
}

/** The quantile of what a histogram gained between two scrapes, as Prometheus reckons it: evenly within a bucket. */
export function quantile(q, before, after) {
  if (!before || !after || before.length !== after.length) return null;
  const gained = after.map(([bound, count], index) => [bound, count - before[index][1]]);
  const all = gained.at(-1)?.[1] ?? 0;
  if (all <= 0 || gained.some(([, count]) => count < 0)) return null;
  const index = gained.findIndex(([, count]) => count >= q * all);
  const [low, below] = index > 0 ? gained[index - 1] : [0, 0];
  const [high, upTo] = gained[index];
  return Number.isFinite(high) ? low + ((high - low) * (q * all - below)) / (upTo - below) : low;
}
