// Downloads from the hub: how far they are, and what can be done with them.

import { html, useCallback, useEffect, useRef, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { Order, Table } from "../lib/table.js";
import { ask } from "./gateway.js";
import { actsOf, kindOfPull, moving } from "./pulling.js";

const OFTEN = 700;
const PULLS = [["model"], ["col.state"], ["col.progress"], ["col.size", true], ["col.rate.bytes", true], ["col.left", true], [""]];

/** The downloads, asked for again while one of them goes on; `look` asks at once, `done` hears of one that is done. */
export function usePulls(done) {
  const [pulls, setPulls] = useState({ list: null, error: null });
  const known = useRef(new Set());
  const look = useCallback(async () => {
    try {
      const { pulls: list } = await ask("GET", "/admin/pulls");
      const open = new Set(list.filter(moving).map((each) => each.id));
      if (list.some((each) => each.state === "done" && known.current.has(each.id))) done();
      known.current = open;
      setPulls({ list, error: null });
    } catch (error) {
      setPulls((last) => ({ ...last, error: sayRefusal(error) }));
    }
  }, []);
  const busy = pulls.list === null || pulls.error !== null || pulls.list.some(moving);
  useEffect(() => {
    look();
    if (!busy) return undefined;
    const timer = setInterval(() => document.hidden || look(), OFTEN);
    return () => clearInterval(timer);
  }, [busy]);
  return [pulls, look];
}

function Pull({ pull, look, failed }) {
  const name = pull.model;
  const path = `/admin/pulls/${encodeURIComponent(pull.id)}`;
  const orders = {
    pause: () => ask("POST", `${path}/pause`),
    resume: () => ask("POST", `${path}/resume`),
    forget: () => ask("DELETE", path),
    end: () => ask("DELETE", `${path}?purge=1`),
  };
  const act = (order) => async () => {
    await orders[order]();
    await look();
  };
  return html`<tr><td><strong>${name}</strong>${(pull.why || pull.error) && html`<br /><span class="soft small">${pull.error?.message ?? pull.why}</span>`}</td>
    <td><span class=${`pill ${kindOfPull(pull.state)}`}>${t(`pull.${pull.state}`)}</span></td>
    <td><progress max="100" value=${pull.percent} aria-label=${t("pull.progress", { name })}></progress> ${pull.percent} %</td>
    <td class="n">${pull.total ? format.bytes(pull.total) : "–"}</td><td class="n">${pull.rate ? `${format.bytes(pull.rate)}/s` : "–"}</td>
    <td class="n">${format.seconds(pull.seconds_left)}</td>
    <td><div class="row">${actsOf(pull.state).map((order) => html`<${Order} key=${order} kind=${order === "end" ? "danger" : ""} label=${t(`pull.act.${order}`)} name=${t(`pull.act.${order}.named`, { name })} act=${act(order)} failed=${failed} />`)}</div></td></tr>`;
}

export function Pulls({ pulls, look, failed }) {
  return html`<section class="card panel"><h2>${t("pulls")}</h2>
    ${pulls.error && html`<p class="notice warn" role="status">${pulls.error}</p>`}
    ${pulls.list && html`<${Table} label=${t("pulls")} columns=${PULLS} empty=${t("pulls.none")}>
      ${pulls.list.map((each) => html`<${Pull} key=${each.id} pull=${each} look=${look} failed=${failed} />`)}<//>`}</section>`;
}
