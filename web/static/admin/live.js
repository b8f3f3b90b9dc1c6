// The requests in flight: what they do or wait for, and an order to cancel them.

import { html } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { Order, Table } from "../lib/table.js";
import { ask } from "./gateway.js";
import { RequestLink } from "./request.js";

const LIVE = [["col.request"], ["col.client"], ["model"], ["col.state"], ["col.age", true], ["col.prompt", true], ["col.tokens", true], [""]];

/** `open` shows the timeline of the request with the id that it gets. */
export function Live({ running, open, failed }) {
  // Of a load its state says the same.
  const waits = new Map(running.queue.filter((each) => each.waits_for !== "load").map((each) => [each.id, each.waits_for]));
  return html`<section class="card panel"><h2>${t("requests.live")}</h2>
    <${Table} label=${t("requests.live")} columns=${LIVE} empty=${t("requests.live.none")}>
      ${running.requests.map((each) => html`<tr key=${each.id}>
        <td><${RequestLink} id=${each.id} open=${open} /></td><td class="mono">${each.client}</td><td>${each.variant ?? each.model ?? "–"}</td>
        <td><span class="pill">${t(`request.${each.state}`)}</span> ${waits.get(each.id) && html`<span class="soft small">${t(`waits.${waits.get(each.id)}`)}</span>`}</td><td class="n">${format.seconds(each.age_seconds)}</td>
        <td class="n">${format.number(each.prompt_tokens)}</td><td class="n">${format.number(each.tokens)}</td>
        <td><${Order} label=${t("cancel.request")} name=${t("cancel.request.named", { name: each.id })} kind="danger" act=${() => ask("DELETE", `/admin/requests/${encodeURIComponent(each.id)}`)} failed=${failed} /></td>
      </tr>`)}
    <//></section>`;
}
