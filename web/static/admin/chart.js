// A chart of the last hour: lines over the time of day.

import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef } from "../vendor/preact.js";
import { format } from "../lib/page.js";
import { range } from "./series.js";

const HEIGHT = 160;
// Seconds. In so short a time the minutes alone would be the same.
const SHORT = 600;
// Pixels for each time below the chart: it is written out.
const SPACE = 80;
// Pixels of the axis below, and of one beside.
const LOW = 30;
const WIDE = 58;

function options(width, lines, scales) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const moments = (_plot, times) => times.map((each) => (times.at(-1) - times[0] < SHORT ? format.clock : format.minute)(each * 1000));
  return {
    width,
    height: HEIGHT,
    cursor: { drag: { x: false } },
    legend: { show: false },
    scales: {
      x: { range: (plot) => range(plot.data[0][0], plot.data[0].at(-1), Date.now() / 1000) },
      ...Object.fromEntries(Object.entries(scales).map(([name, { most }]) => [name, { range: (_plot, _low, high) => [0, most(high ?? 0)] }])),
    },
    axes: [
      { ...axis, space: SPACE, size: LOW, values: moments },
      ...Object.entries(scales).map(([name, { write }], index) => ({
        ...axis,
        scale: name,
        size: WIDE,
        ...(write ? { values: (_plot, values) => values.map(write) } : {}),
        ...(index ? { side: 1, grid: { show: false } } : {}),
      })),
    ],
    series: [{}, ...lines.map(({ label, scale, colour: name, ...more }) => ({ label, scale, stroke: colour(name), width: 2, ...more }))],
  };
}

/**
 * A chart of `columns`: times, then the values of each of `lines`, which have `label`, `scale`,
 * `colour` (a variable of the design) and what else uPlot takes. Each of `scales` has `most`, from
 * the largest value to the end of the scale, and may have `write`, from a value to its text.
 */
export function Chart({ label, columns, lines, scales }) {
  const place = useRef(null);
  const plot = useRef(null);
  useEffect(() => {
    const draw = () => {
      const data = plot.current?.data ?? columns;
      plot.current?.destroy();
      plot.current = new uPlot(options(place.current.clientWidth, lines, scales), data, place.current);
    };
    draw();
    const sized = new ResizeObserver(() => place.current && plot.current.setSize({ width: place.current.clientWidth, height: HEIGHT }));
    sized.observe(place.current);
    // The colours are read when it is drawn.
    const themed = new MutationObserver(draw);
    themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      themed.disconnect();
      sized.disconnect();
      plot.current.destroy();
    };
  }, []);
  useEffect(() => plot.current.setData(columns), [columns]);
  return html`<div class="chart" ref=${place} role="img" aria-label=${label}></div>`;
}
