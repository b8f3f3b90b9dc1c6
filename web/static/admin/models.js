// The models of this machine, the variants that are served, downloads, and the hub.

import { html, useCallback, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { Order, Table } from "../lib/table.js";
import { Fits } from "./fits.js";
import { ask } from "./gateway.js";
import { Hub } from "./hub.js";
import { useLooks } from "./looks.js";
import { modelPath } from "./pulling.js";
import { Pulls, usePulls } from "./pulls.js";
import { Served } from "./served.js";
import { Sure } from "./sure.js";

const LOCAL = [["model"], ["col.size", true], ["col.quantisation"], ["col.fits"], ["col.store"], ["col.served"], [""]];

function Local({ model, removed, failed }) {
  const remove = async () => {
    await ask("DELETE", modelPath(model.name));
    await removed();
  };
  return html`<tr><td><strong>${model.name}</strong>${model.problem && html`<br /><span class="soft small">${model.problem}</span>`}</td>
    <td class="n">${format.bytes(model.size)}</td><td>${model.quantisation || "–"}</td>
    <td>${model.ready ? html`<${Fits} model=${model} />` : html`<span class="pill warn">${t("models.unready")}</span>`}</td>
    <td title=${model.path}>${model.store}</td>
    <td>${model.served_as.join(", ") || "–"} ${model.loaded && html`<span class="pill good">${t("models.loaded")}</span>`}</td>
    <td>${!model.configured && html`<${Sure} label=${t("remove")} name=${t("models.remove.named", { name: model.name })} act=${remove} failed=${failed} />`}</td></tr>`;
}

/** `changed` is another value when an engine is in another state. */
export function Models({ changed, failed }) {
  const [local, setLocal] = useState({ list: null, served: null, problems: {}, error: null });
  const look = useCallback(async () => {
    try {
      const { models, served, problems } = await ask("GET", "/admin/models");
      setLocal({ list: models, served, problems, error: null });
    } catch (error) {
      setLocal((last) => ({ ...last, error: sayRefusal(error) }));
    }
  }, []);
  useLooks(look, changed);
  const [pulls, lookAtPulls] = usePulls(look);
  const rescan = async () => {
    await ask("POST", "/admin/rescan");
    await look();
  };
  return html`<section class="card panel"><h2>${t("models.local")}</h2>
      <div class="filters"><${Order} label=${t("models.rescan")} name=${t("models.rescan")} act=${rescan} failed=${failed} /></div>
      ${local.error && html`<p class="notice bad" role="alert">${local.error}</p>`}
      ${!local.list && !local.error && html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`}
      ${local.list && html`<${Table} label=${t("models.local")} columns=${LOCAL} empty=${t("models.local.none")}>
        ${local.list.map((each) => html`<${Local} key=${each.path} model=${each} removed=${look} failed=${failed} />`)}<//>`}
      ${Object.entries(local.problems).map(([path, problem]) => html`<p class="soft small" key=${path}>${path}: ${problem}</p>`)}</section>
    ${local.served && html`<${Served} models=${local.served} />`}
    <${Pulls} pulls=${pulls} look=${lookAtPulls} failed=${failed} />
    <${Hub} pulled=${lookAtPulls} failed=${failed} />`;
}
