// Why engines ended and requests were refused: the last decisions, each in a sentence.

import { html, useEffect, useMemo, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { Table } from "../lib/table.js";
import { ask } from "./gateway.js";
import { about, keyOf } from "./decisions.js";

const WHY = [["col.time"], ["model"], ["why"], ["col.request"]];

/** The sentence of a decision in the language of the page; what only the gateway can say, as it says it. */
export function sentence(each) {
  const key = keyOf(each);
  return key ? t(key, { variant: each.variant, wanted: each.wanted, more: each.more }) : each.text;
}

/** The decisions, asked for again when `decided` has changed. */
export function useDecisions(decided, failed) {
  const [list, setList] = useState(null);
  useEffect(() => {
    ask("GET", "/admin/api/why")
      .then(({ decisions }) => setList(decisions))
      .catch((error) => failed(sayRefusal(error)));
  }, [decided]);
  return list;
}

export function Why({ decided, failed }) {
  const list = useDecisions(decided, failed);
  const [wanted, setWanted] = useState("");
  const shown = useMemo(() => (list ?? []).filter((each) => about(each, wanted)), [list, wanted]);
  return html`<section class="card panel"><h2>${t("why.title")}</h2><p class="soft small">${t("why.text")}</p>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}><label>${t("why.filter")}<input type="search" data-search value=${wanted} onInput=${(event) => setWanted(event.target.value)} /></label></form>
    ${list ? html`<${Table} label=${t("why.title")} columns=${WHY} empty=${t("why.none")}>
      ${shown.map((each, index) => html`<tr key=${`${each.at} ${index}`}><td>${format.clock(each.at * 1000)}</td><td>${each.variant ?? each.model ?? "–"}</td>
        <td class="wrap"><span class=${`pill ${each.kind === "refused" || each.kind === "failed" ? "bad" : ""}`}>${t(`why.kind.${each.kind}`)}</span> ${sentence(each)}${each.times > 1 && ` (${t("why.times", { count: each.times })})`}</td>
        <td class="mono">${each.request ?? "–"}</td></tr>`)}<//>` : html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`}</section>`;
}
