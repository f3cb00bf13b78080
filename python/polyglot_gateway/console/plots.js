// A plot of the last five minutes. uPlot draws it; the colours are those of the style sheet.

const SECONDS = 300;
const HEIGHT = 170;
const DASHES = [[], [6, 3], [2, 2]];

/** Of the ticks of a logarithmic axis those that have a label. */
function powersOfTen(_, ticks) {
  return ticks.map((tick) => (Math.abs(Math.log10(tick) - Math.round(Math.log10(tick))) < 1e-9 ? tick : null));
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** From nothing to a little more than what was seen. */
const LINEAR = { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] };

/** In whole powers of ten, for what differs by orders of magnitude. */
const LOGARITHMIC = {
  distr: 3,
  range: (_, least, most) =>
    least > 0 ? [10 ** Math.floor(Math.log10(least)), 10 ** Math.ceil(Math.log10(most * 1.01))] : [1e-6, 1e-3],
};

export class Plot {
  /** `labels` name the lines, drawn in the colours --line-1, --line-2 and so on; `format` makes the text of a value. */
  constructor(place, labels, format, { logarithmic = false } = {}) {
    this.format = format;
    this.data = [[], ...labels.map(() => [])];
    const grid = { stroke: () => colour("--border"), width: 1 };
    const axis = { stroke: () => colour("--quiet"), grid, ticks: { show: false } };
    const height = {
      ...axis,
      size: 62,
      space: 28,
      values: (_, ticks) => ticks.map((tick) => (tick === null ? null : format(tick))),
    };
    if (logarithmic) Object.assign(height, { filter: powersOfTen, grid: { ...grid, filter: powersOfTen } });
    this.plot = new uPlot(
      {
        width: 300,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        padding: [8, 8, 0, 0],
        scales: { x: { range: (_, __, end) => [end - SECONDS, end] }, y: logarithmic ? LOGARITHMIC : LINEAR },
        axes: [
          {
            ...axis,
            values: (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toTimeString().slice(0, 5)),
            space: 60,
            size: 28,
          },
          height,
        ],
        series: [
          {},
          ...labels.map((label, index) => ({
            label,
            stroke: () => colour(`--line-${index + 1}`),
            width: 1.5,
            dash: DASHES[index],
            points: { show: false },
          })),
        ],
      },
      this.data,
      place,
    );
    new ResizeObserver(([entry]) => this.#fit(entry.contentRect.width)).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plot.redraw(false, true));
  }

  /** Adds a point: the time in seconds, and a value, or null, for each line. */
  add(seconds, values) {
    const data = this.data;
    [seconds, ...values].forEach((value, index) => data[index].push(value));
    while (data[0][0] < seconds - SECONDS) data.forEach((line) => line.shift());
    this.plot.setData(data);
  }

  #fit(width) {
    if (width > 0) this.plot.setSize({ width: Math.floor(width), height: HEIGHT });
  }
}
