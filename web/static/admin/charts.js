// The charts of the overview: what the gateway does, and the memory of the machine.

import { html, useMemo } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { Chart } from "./chart.js";
import { columns, memories, shares } from "./series.js";

const SMALLEST_RATE = 10;
const SMALLEST_COUNT = 4;
const FULL = 100;
const WORK = ["tokens_per_second", "in_flight", "waiting"];
const WORK_SCALES = { y: { most: (high) => Math.max(SMALLEST_RATE, high * 1.1) }, count: { most: (high) => Math.max(SMALLEST_COUNT, high) } };
const MEMORY_SCALES = { y: { most: () => FULL, write: (value) => `${value} %` } };
const COLOURS = ["--accent", "--part", "--full", "--down"];

/** The name of a memory for people: "gpu0" is "GPU 0". */
export const memoryName = (name) => (name === "ram" ? t("memory.ram") : name.replace(/^gpu(\d+)$/, "GPU $1"));

function Work({ points }) {
  const shown = useMemo(() => columns(points, WORK), [points]);
  const lines = useMemo(() => [
    { label: t("chart.rate"), scale: "y", colour: "--accent" },
    { label: t("chart.flight"), scale: "count", colour: "--part" },
    { label: t("chart.waiting"), scale: "count", colour: "--soft", dash: [4, 4], width: 1.5 },
  ], []);
  return html`<section class="card panel"><h2>${t("chart")}</h2><${Chart} label=${t("chart")} columns=${shown} lines=${lines} scales=${WORK_SCALES} />
    <p class="legend" aria-hidden="true">${["rate", "flight", "waiting"].map((name) => html`<span class=${`of-${name}`}>${t(`chart.${name}`)}</span>`)}</p></section>`;
}

/** The line of a memory below its chart: how much of it is used now, and how much of that by engines. */
function Used({ name, at, last, totals }) {
  const { [`${name}_used`]: used, [`engines_${name}`]: engines } = last;
  return html`<li class=${`memory-${at % COLOURS.length}`}>${t("memory.used", { name: memoryName(name), used: format.bytes(used), total: format.bytes(totals[name]) })}
    ${engines > 0 && ` ${t("memory.engines", { bytes: format.bytes(engines) })}`}</li>`;
}

function Memory({ points, totals }) {
  const names = useMemo(() => memories(points).filter((name) => totals[name]), [points, totals]);
  const shown = useMemo(() => shares(points, names, totals), [points, names.join(), totals]);
  const lines = names.map((name, index) => ({ label: memoryName(name), scale: "y", colour: COLOURS[index % COLOURS.length] }));
  const last = points.at(-1) ?? {};
  // Another memory is another chart.
  return html`<section class="card panel"><h2>${t("memory.chart")}</h2>
    ${names.length ? html`<${Chart} key=${names.join()} label=${t("memory.chart")} columns=${shown} lines=${lines} scales=${MEMORY_SCALES} />
      <ul class="legend">${names.map((name, index) => html`<${Used} key=${name} name=${name} at=${index} last=${last} totals=${totals} />`)}</ul>`
    : html`<p class="soft">${t("memory.none")}</p>`}</section>`;
}

/** `totals` are the bytes of each memory of the machine. */
export function Charts({ points, totals }) {
  return html`<div class="charts"><${Work} points=${points} /><${Memory} points=${points} totals=${totals} /></div>`;
}
