// Numbers and times for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function number(value) {
  return value === null || value === undefined ? "–" : value >= 100 ? whole.format(value) : fine.format(value);
}

/** Seconds, in the unit that reads best. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return `${number(seconds * 1e6)} µs`;
  if (seconds < 1) return `${number(seconds * 1e3)} ms`;
  if (seconds < 120) return `${number(seconds)} s`;
  if (seconds < 7200) return `${number(Math.floor(seconds / 60))} min`;
  if (seconds < 172800) return `${number(Math.floor(seconds / 3600))} h`;
  return `${number(Math.floor(seconds / 86400))} days`;
}

export function bytes(count) {
  if (count < 1024) return `${number(count)} B`;
  const power = Math.min(Math.floor(Math.log2(count) / 10), 4);
  return `${number(count / 1024 ** power)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

/** The time of day of a timestamp, in the visitor's time zone. */
export function clock(timestamp) {
  const time = new Date(timestamp);
  const milliseconds = String(time.getMilliseconds()).padStart(3, "0");
  return `${time.toLocaleTimeString("en-GB")}.${milliseconds}`;
}
