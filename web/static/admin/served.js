// The models that are served: how each variant is planned, and what was measured of it.

import { html } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { kindOf } from "../lib/states.js";
import { Table } from "../lib/table.js";
import { memoryName } from "./charts.js";

// More models than these begin folded.
const OPEN = 6;
const VARIANTS = [["col.variant"], ["col.state"], ["col.context", true], ["col.placement"], ["col.layers", true], ["col.planned", true], ["col.learnt", true], ["col.load", true]];

/** `unknown` is the reason why there is none, if there is one. */
function Memory({ memory, unknown = "" }) {
  const known = Object.entries(memory).filter(([, bytes]) => bytes > 0);
  if (!known.length) return unknown ? html`<span class="soft small">${t(`planned.${unknown}`)}</span>` : "–";
  return known.map(([name, bytes]) => html`<div key=${name}>${memoryName(name)} ${format.bytes(bytes)}</div>`);
}

function Variant({ variant: each }) {
  return html`<tr><td><strong>${each.label}</strong>${each.parallel > 1 && html` <span class="soft small">${t("served.slots", { count: each.parallel })}</span>`}</td>
    <td><span class=${`pill ${kindOf(each.state)}`}>${t(`state.${each.state}`)}</span></td><td class="n">${each.context === null ? "–" : format.number(each.context)}</td>
    <td>${each.placement ? t(`placement.${each.placement}`) : "–"}</td><td class="n">${["all", "auto"].includes(each.gpu_layers) ? t(`layers.${each.gpu_layers}`) : each.gpu_layers || "–"}</td>
    <td class="n"><${Memory} memory=${each.estimated} unknown=${each.unknown} /></td><td class="n"><${Memory} memory=${each.learnt} /></td><td class="n">${format.seconds(each.load_seconds)}</td></tr>`;
}

function Model({ model, open }) {
  const about = [model.engine, model.quantisation, model.size && format.bytes(model.size), t(model.found ? "served.found" : "served.configured")].filter(Boolean);
  return html`<details open=${open}><summary><strong>${model.name}</strong> <span class="soft small">${about.join(" · ")}</span></summary>
    <${Table} label=${t("served.variants", { name: model.name })} columns=${VARIANTS} empty="">${model.variants.map((each) => html`<${Variant} key=${each.label} variant=${each} />`)}<//></details>`;
}

export function Served({ models }) {
  return html`<section class="card panel"><h2>${t("served")}</h2><p class="soft small">${t("served.text")}</p>
    ${models.length ? models.map((each) => html`<${Model} key=${each.name} model=${each} open=${models.length <= OPEN} />`) : html`<p class="soft">${t("models.none")}</p>`}</section>`;
}
