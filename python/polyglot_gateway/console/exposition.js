// The text format of Prometheus, so far as the console needs it. What is not there is null.

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const BOUND = /(?:^|,)le="([^"]*)"/;

/** The samples of a scrape by name. */
export function parseExposition(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: Number(value) });
  }
  return samples;
}

/** The sum of a counter over all its labels. */
export function counter(samples, name) {
  const found = samples.get(`${name}_total`);
  return found ? found.reduce((sum, { value }) => sum + value, 0) : null;
}

/** The buckets of a histogram over all its labels: [upper bound, count up to it], by their bounds. */
export function histogram(samples, name) {
  const found = samples.get(`${name}_bucket`);
  if (!found) return null;
  const totals = new Map();
  for (const { labels, value } of found) {
    const bound = Number(BOUND.exec(labels)?.[1].replace("+Inf", "Infinity"));
    if (!Number.isNaN(bound)) totals.set(bound, (totals.get(bound) ?? 0) + value);
  }
  return [...totals].sort(([a], [b]) => a - b);
}
