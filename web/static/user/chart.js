// The usage of each day as bars, one part on another.

import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { stacked } from "./usage.js";

const HEIGHT = 190;

function options(width, parts) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const bar = (index) => ({ fill: colour(`--part-${index + 1}`), stroke: colour(`--part-${index + 1}`), width: 0, paths: uPlot.paths.bars({ size: [0.7, 28] }), points: { show: false } });
  return {
    width,
    height: HEIGHT,
    cursor: { show: false },
    legend: { show: false },
    scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      { ...axis, grid: { show: false }, values: (_plot, times) => times.map((each) => format.date(each * 1000)) },
      { ...axis, size: 64, values: (_plot, values) => values.map(format.short) },
    ],
    // The tallest is drawn first; what is below covers it.
    series: [{}, ...parts.map((_, index) => bar(index)).toReversed()],
  };
}

/** `shown` is what `chartOf` gives; `name` says what a part is, `label` what the chart shows. */
export function UsageChart({ shown, name, label }) {
  const place = useRef(null);
  useEffect(() => {
    let plot = null;
    const draw = () => {
      plot?.destroy();
      plot = new uPlot(options(place.current.clientWidth, shown.parts), [shown.days, ...stacked(shown.parts).toReversed()], place.current);
    };
    draw();
    const sized = new ResizeObserver(() => plot.setSize({ width: place.current.clientWidth, height: HEIGHT }));
    sized.observe(place.current);
    // The colours are read when it is drawn.
    document.addEventListener("themechosen", draw);
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", draw);
    return () => {
      document.removeEventListener("themechosen", draw);
      system.removeEventListener("change", draw);
      sized.disconnect();
      plot.destroy();
    };
  }, [shown]);
  return html`<div class="chart" ref=${place} role="img" aria-label=${label}></div>
    <p class="legend">${shown.parts.map((part, index) => html`<span key=${part.name} class=${`part-${index + 1}`}>${part.name === "" ? t("user.others") : name(part)}</span>`)}</p>`;
}
