// What the gateway does now: figures, engines, models to load.

import { html, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { kindOf } from "../lib/states.js";
import { sayRefusal } from "../lib/refusal.js";
import { Charts } from "./charts.js";
import { ask } from "./gateway.js";
import { Live } from "./live.js";
import { usedOf } from "./series.js";
import { Order, Table } from "../lib/table.js";

// Such an engine is shown, but does not run.
const ENDED = ["backoff", "failed"];
const sum = (values) => values.reduce((all, each) => all + each, 0);

function Tile({ name, value, more }) {
  return html`<div class="card tile"><h2>${t(name)}</h2><p>${value}</p><span class="soft small">${more}</span></div>`;
}

function Tiles({ running, tick }) {
  const runs = running.engines.filter((each) => !ENDED.includes(each.state));
  const ready = running.engines.filter((each) => each.state === "ready").length;
  const streaming = running.requests.filter((each) => each.state === "streaming").length;
  const used = sum(Object.values(tick?.memory ?? {}));
  return html`<section class="tiles" aria-label=${t("now")}>
    <${Tile} name="tile.rate" value=${format.rate(tick?.tokens_per_second ?? 0)} more=${t("tile.rate.all")} />
    <${Tile} name="tile.engines" value=${ready} more=${t("tile.engines.of", { count: runs.length })} />
    <${Tile} name="tile.flight" value=${running.requests.length} more=${t("tile.flight.streaming", { count: streaming })} />
    <${Tile} name="tile.queue" value=${running.queue.length} more=${running.queue.length ? t("tile.queue.first", { time: format.seconds(running.queue[0].waited_seconds) }) : t("tile.queue.none")} />
    <${Tile} name="tile.memory" value=${format.bytes(used)} more=${tick?.machine ? t("tile.memory.machine", { used: format.bytes(tick.machine.ram_used) }) : ""} />
  </section>`;
}

function untilUnload(engine) {
  if (engine.reason) return engine.reason;
  if (engine.pinned) return t("pinned");
  if (engine.unload_in_seconds === undefined) return engine.active ? t("engine.used") : "–";
  return engine.unload_in_seconds === null ? t("engine.kept") : format.seconds(engine.unload_in_seconds);
}

/** How much of its context each request of an engine uses. */
function Slots({ engine, requests }) {
  return usedOf(engine, requests).map(({ id, used }) => {
    const values = { used: format.number(used), context: format.number(engine.context) };
    return html`<div key=${id} class="context" title=${id}><meter min="0" max=${engine.context} value=${used} aria-label=${t("engine.context.used", values)}></meter>
      <span class="soft small">${values.used} / ${values.context}</span></div>`;
  });
}

const ENGINES = [["col.variant"], ["col.state"], ["col.context", true], ["col.memory", true], ["col.load", true], ["col.slots"], ["col.unload"], [""]];

function Engines({ running, loads, pinned, failed }) {
  const pin = (engine) => async () => {
    try {
      await ask("POST", engine.pinned ? "/admin/unpin" : "/admin/pin", { model: engine.model });
      await pinned();
    } catch (error) {
      failed(sayRefusal(error));
    }
  };
  return html`<section class="card panel"><h2>${t("engines")}</h2>
    <${Table} label=${t("engines")} columns=${ENGINES} empty=${t("engines.none")}>
      ${running.engines.map((each) => html`<tr key=${each.variant}>
        <td><strong>${each.variant}</strong></td>
        <td><span class=${`pill ${kindOf(each.state)}`}>${t(`state.${each.state}`)}${each.state === "starting" && loads[each.variant] ? ` ${Math.round(loads[each.variant])} %` : ""}</span></td>
        <td class="n">${format.number(each.context)}</td>
        <td class="n">${Object.keys(each.memory).length ? format.bytes(sum(Object.values(each.memory))) : "–"}</td>
        <td class="n">${format.seconds(each.load_seconds)}</td>
        <td>${t("engine.requests", { active: each.active, parallel: each.parallel })} <${Slots} engine=${each} requests=${running.requests} /></td>
        <td>${untilUnload(each)}</td>
        <td><div class="row"><button type="button" aria-pressed=${each.pinned ? "true" : "false"} aria-label=${t("pin.named", { name: each.model })} title=${t("pin.text")} onClick=${pin(each)}>${t(each.pinned ? "pinned" : "pin")}</button>
          <${Order} label=${t("unload")} name=${t("unload.named", { name: each.variant })} act=${() => ask("POST", "/admin/unload", { model: each.model })} failed=${failed} /></div></td>
      </tr>`)}
    <//></section>`;
}

function Model({ model, failed }) {
  const [variant, setVariant] = useState(String(model.variants[0] ?? ""));
  const load = () => ask("POST", "/admin/load?wait=0", { model: model.name, variant: model.variants.find((each) => String(each) === variant) });
  const seconds = model.load_seconds?.[variant];
  return html`<tr><td><strong>${model.name}</strong></td>
    <td><span class=${`pill ${kindOf(model.state)}`}>${t(`state.${model.state}`)}</span></td>
    <td><select aria-label=${t("variant.named", { name: model.name })} onChange=${(event) => setVariant(event.target.value)}>
      ${model.variants.map((each) => html`<option value=${String(each)} selected=${String(each) === variant}>${typeof each === "number" ? format.number(each) : each}</option>`)}</select></td>
    <td class="n">${format.seconds(seconds)}</td>
    <td><${Order} label=${t("load")} name=${t("load.named", { name: model.name })} act=${load} failed=${failed} /></td></tr>`;
}

const MODELS = [["model"], ["col.state"], ["col.variant"], ["col.load", true], [""]];

export function Overview({ running, tick, points, totals, models, loads, go, pinned, failed }) {
  return html`<${Tiles} running=${running} tick=${tick} />
    <${Charts} points=${points} totals=${totals} />
    <${Engines} running=${running} loads=${loads} pinned=${pinned} failed=${failed} />
    <${Live} running=${running} open=${(id) => go("requests", { request: id })} failed=${failed} />
    <section class="card panel"><h2>${t("models")}</h2>
      <${Table} label=${t("models")} columns=${MODELS} empty=${t("models.none")}>
        ${models.filter((each) => each.state !== undefined).map((each) => html`<${Model} key=${each.name} model=${each} failed=${failed} />`)}
      <//></section>`;
}
