// The chart of the last hour: tokens per second, requests in flight, requests that wait.

import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";

const HEIGHT = 170;
// Seconds. In so short a time the minutes alone would be the same.
const SHORT = 600;
const SMALLEST_RATE = 10;
const SMALLEST_COUNT = 4;

function options(width) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  return {
    width,
    height: HEIGHT,
    cursor: { drag: { x: false } },
    legend: { show: false },
    scales: {
      y: { range: (_plot, _low, high) => [0, Math.max(SMALLEST_RATE, high * 1.1)] },
      count: { range: (_plot, _low, high) => [0, Math.max(SMALLEST_COUNT, high)] },
    },
    axes: [{ ...axis, values: (_plot, times) => times.map((each) => (times.at(-1) - times[0] < SHORT ? format.clock : format.minute)(each * 1000)) }, axis, { ...axis, scale: "count", side: 1, grid: { show: false } }],
    series: [
      {},
      { label: t("chart.rate"), stroke: colour("--accent"), width: 2 },
      { label: t("chart.flight"), scale: "count", stroke: colour("--part"), width: 2 },
      { label: t("chart.waiting"), scale: "count", stroke: colour("--soft"), dash: [4, 4], width: 1.5 },
    ],
  };
}

export function Chart({ columns }) {
  const place = useRef(null);
  const plot = useRef(null);
  useEffect(() => {
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(place.current.clientWidth), plot.current?.data ?? columns, place.current);
    };
    draw();
    const sized = new ResizeObserver(() => place.current && plot.current.setSize({ width: place.current.clientWidth, height: HEIGHT }));
    sized.observe(place.current);
    // The colours are read when it is drawn.
    document.addEventListener("themechosen", draw);
    return () => {
      document.removeEventListener("themechosen", draw);
      sized.disconnect();
      plot.current.destroy();
    };
  }, []);
  useEffect(() => plot.current.setData(columns), [columns]);
  return html`<div class="chart" ref=${place} role="img" aria-label=${t("chart")}></div>
    <p class="legend" aria-hidden="true">${["rate", "flight", "waiting"].map((name) => html`<span class=${`of-${name}`}>${t(`chart.${name}`)}</span>`)}</p>`;
}
