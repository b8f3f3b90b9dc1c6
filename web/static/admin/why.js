// Why engines ended and requests were refused: the last decisions, each in a sentence.

import { html, useMemo, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { Table } from "../lib/table.js";
import { said, say } from "./address.js";
import { about } from "./decisions.js";
import { RequestLink } from "./request.js";
import { Decision, useDecisions } from "./sentence.js";

const WHY = [["col.time"], ["model"], ["why"], ["col.request"]];

/** The filter stands in the address as `why`; `go` shows another tab. */
export function Why({ decided, go, failed }) {
  const list = useDecisions(decided, failed);
  const [wanted, setWanted] = useState(said("why"));
  const shown = useMemo(() => (list ?? []).filter((each) => about(each, wanted)), [list, wanted]);
  const want = (event) => {
    setWanted(event.target.value);
    say({ why: event.target.value.trim() });
  };
  const open = (id) => go("requests", { request: id });
  return html`<section class="card panel"><h2>${t("why.title")}</h2><p class="soft small">${t("why.text")}</p>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}><label>${t("why.filter")}<input type="search" data-search value=${wanted} onInput=${want} /></label></form>
    ${list ? html`<${Table} label=${t("why.title")} columns=${WHY} empty=${t(list.length ? "why.none.such" : "why.none")}>
      ${shown.map((each, index) => html`<tr key=${`${each.at} ${index}`}><td>${format.clock(each.at * 1000)}</td><td>${each.variant ?? each.model ?? "–"}</td>
        <td class="wrap"><${Decision} decision=${each} /></td>
        <td>${each.request ? html`<${RequestLink} id=${each.request} open=${open} />` : "–"}</td></tr>`)}<//>` : html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`}</section>`;
}
