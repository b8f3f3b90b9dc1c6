// Requests: those in flight, and those that have ended, with the parts of their time.

import { html, useCallback, useMemo, useRef, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { said, say } from "./address.js";
import { Field } from "./field.js";
import { filtersOf, NAMES, queryOf } from "./filters.js";
import { ask, blob } from "./gateway.js";
import { Order, Table } from "../lib/table.js";
import { sayRefusal } from "../lib/refusal.js";
import { withMore, withNewest } from "./ended.js";
import { Live } from "./live.js";
import { useLooks } from "./looks.js";
import { Request, RequestLink } from "./request.js";
import { parts, rate } from "./timeline.js";

// Rows that are asked for at first, and with each press of the button below them.
const FIRST = 50;
const MORE = 500;
const ENDED = [["col.at"], ["col.request"], ["col.client"], ["model"], ["col.status"], ["col.reason"], ["col.prompt", true], ["col.tokens", true], ["col.rate", true], ["col.total", true], ["col.time"]];

function Time({ row }) {
  const shown = parts(row);
  if (!shown.length) return "–";
  const told = shown.map(({ name, seconds }) => `${t(`time.${name}`)} ${format.seconds(seconds)}`).join(", ");
  return html`<div class="time" role="img" aria-label=${told} title=${told}>
    ${shown.map(({ name, seconds }) => html`<span class=${name} style=${{ flexGrow: seconds }}></span>`)}</div>`;
}

async function download(filters) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await blob(`/admin/api/requests${queryOf(filters, { format: "csv", limit: 1000 })}`));
  link.download = "requests.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A row is painted once: a request that has ended does not change. */
function Row({ row, open }) {
  return useMemo(() => html`<tr>
    <td>${format.clock(row.at * 1000)}</td><td><${RequestLink} id=${row.id} open=${open} /></td><td class="mono">${row.account ?? row.client ?? "–"}</td><td>${row.variant ?? row.model ?? "–"}</td>
    <td><span class=${`pill ${row.status < 400 ? "good" : "bad"}`}>${row.status}</span></td><td>${row.error ?? row.reason ?? "–"}</td>
    <td class="n">${format.number(row.prompt_tokens)}</td><td class="n">${format.number(row.completion_tokens)}</td><td class="n">${format.rate(rate(row))}</td>
    <td class="n">${format.seconds(row.total_seconds)}</td><td><${Time} row=${row} /></td>
  </tr>`, [row, open]);
}

/** `ended` changes whenever a request has ended: then the list is asked for again. */
export function Requests({ running, ended, decided, go, failed }) {
  const [filters, setFilters] = useState(filtersOf(location.search));
  const [page, setPage] = useState(null);
  const [opened, setOpened] = useState(said("request"));
  const open = useCallback((id) => {
    say({ request: id });
    setOpened(id);
  }, []);
  const chosen = useRef(filters);
  chosen.current = filters;
  const look = useCallback(async () => {
    try {
      const newest = await ask("GET", `/admin/api/requests${queryOf(filters, { limit: FIRST })}`);
      if (chosen.current === filters) setPage((shown) => withNewest(shown, newest, filters));
    } catch (error) {
      failed(sayRefusal(error), look);
    }
  }, [filters]);
  useLooks(look, ended);
  const set = (name) => (value) => {
    const next = filtersOf(queryOf({ ...filters, [name]: value }));
    say(Object.fromEntries(NAMES.map((each) => [each, next[each]])));
    setFilters(next);
  };
  const more = async () => {
    const next = await ask("GET", `/admin/api/requests${queryOf(filters, { limit: MORE, cursor: page.next })}`);
    setPage((shown) => withMore(shown, next, filters));
  };
  return html`<${Live} running=${running} open=${open} failed=${failed} />
    <section class="card panel"><h2>${t("requests.ended")}</h2>
      <form class="filters" onSubmit=${(event) => event.preventDefault()}>
        ${NAMES.map((name) => html`<${Field} key=${name} label=${t(`filter.${name}`)} value=${filters[name] ?? ""} set=${set(name)} placeholder=${name === "status" ? "4xx" : ""} />`)}
        <${Order} label="CSV" name=${t("csv")} act=${() => download(filters)} failed=${failed} />
      </form>
      ${!page && html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`}
      ${page && html`<${Table} label=${t("requests.ended")} columns=${ENDED} empty=${t("requests.ended.none")}>
        ${page.requests.map((each) => html`<${Row} key=${each.id} row=${each} open=${open} />`)}
      <//>
      <p class="legend" aria-hidden="true">${["queue", "load", "prefill", "decode"].map((name) => html`<span class=${`of-${name}`}>${t(`time.${name}`)}</span>`)}</p>
      ${page.next && html`<${Order} label=${t("more")} name=${t("more")} act=${more} failed=${failed} />`}`}
    </section>
    ${opened && html`<${Request} key=${opened} id=${opened} live=${running.requests.find((each) => each.id === opened)} place=${running.queue.find((each) => each.id === opened)}
      ended=${ended} decided=${decided} close=${() => open("")} go=${go} failed=${failed} />`}`;
}
