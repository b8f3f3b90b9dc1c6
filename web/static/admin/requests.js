// Requests: those in flight, and those that have ended, with the parts of their time.

import { html, useCallback, useEffect, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { filtersOf, NAMES, queryOf } from "./filters.js";
import { ask, blob } from "./gateway.js";
import { Order, Table } from "../lib/table.js";
import { sayRefusal } from "../lib/refusal.js";
import { parts, rate } from "./timeline.js";

const PAGE = 50;
const LIVE = [["col.request"], ["col.client"], ["model"], ["col.state"], ["col.age", true], ["col.prompt", true], ["col.tokens", true], [""]];
const ENDED = [["col.at"], ["col.request"], ["col.client"], ["model"], ["col.status"], ["col.reason"], ["col.prompt", true], ["col.tokens", true], ["col.rate", true], ["col.total", true], ["col.time"]];

function Live({ running, failed }) {
  return html`<section class="card panel"><h2>${t("requests.live")}</h2>
    <${Table} label=${t("requests.live")} columns=${LIVE} empty=${t("requests.live.none")}>
      ${running.requests.map((each) => html`<tr key=${each.id}>
        <td class="mono">${each.id}</td><td class="mono">${each.client}</td><td>${each.variant ?? each.model ?? "–"}</td>
        <td><span class="pill">${t(`request.${each.state}`)}</span></td><td class="n">${format.seconds(each.age_seconds)}</td>
        <td class="n">${format.number(each.prompt_tokens)}</td><td class="n">${format.number(each.tokens)}</td>
        <td><${Order} label=${t("cancel.request")} name=${t("cancel.request.named", { name: each.id })} kind="danger" act=${() => ask("DELETE", `/admin/requests/${encodeURIComponent(each.id)}`)} failed=${failed} /></td>
      </tr>`)}
    <//></section>`;
}

function Time({ row }) {
  const shown = parts(row);
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

/** `ended` changes whenever a request has ended: then the list is asked for again. */
export function Requests({ running, ended, failed }) {
  const [filters, setFilters] = useState(filtersOf(location.search));
  const [page, setPage] = useState(null);
  const look = useCallback(async () => {
    try {
      setPage(await ask("GET", `/admin/api/requests${queryOf(filters, { limit: PAGE })}`));
    } catch (error) {
      failed(sayRefusal(error));
    }
  }, [filters]);
  useEffect(() => {
    look();
  }, [look, ended]);
  const set = (name) => (event) => {
    const next = filtersOf(queryOf({ ...filters, [name]: event.target.value.trim() }));
    history.replaceState(null, "", `${location.pathname}${queryOf(next)}${location.hash}`);
    setFilters(next);
  };
  const more = async () => {
    const next = await ask("GET", `/admin/api/requests${queryOf(filters, { limit: PAGE, cursor: page.next })}`);
    setPage({ requests: [...page.requests, ...next.requests], next: next.next });
  };
  return html`<${Live} running=${running} failed=${failed} />
    <section class="card panel"><h2>${t("requests.ended")}</h2>
      <form class="filters" onSubmit=${(event) => event.preventDefault()}>
        ${NAMES.map((name) => html`<label>${t(`filter.${name}`)}<input value=${filters[name] ?? ""} onChange=${set(name)} placeholder=${name === "status" ? "4xx" : ""} /></label>`)}
        <${Order} label="CSV" name=${t("csv")} act=${() => download(filters)} failed=${failed} />
      </form>
      ${page && html`<${Table} label=${t("requests.ended")} columns=${ENDED} empty=${t("requests.ended.none")}>
        ${page.requests.map((each) => html`<tr key=${each.id}>
          <td>${format.clock(each.at * 1000)}</td><td class="mono">${each.id}</td><td class="mono">${each.account ?? each.client ?? "–"}</td><td>${each.variant ?? each.model ?? "–"}</td>
          <td><span class=${`pill ${each.status < 400 ? "good" : "bad"}`}>${each.status}</span></td><td>${each.error ?? each.reason ?? "–"}</td>
          <td class="n">${format.number(each.prompt_tokens)}</td><td class="n">${format.number(each.completion_tokens)}</td><td class="n">${format.rate(rate(each))}</td>
          <td class="n">${format.seconds(each.total_seconds)}</td><td><${Time} row=${each} /></td>
        </tr>`)}
      <//>
      <p class="legend" aria-hidden="true">${["queue", "load", "prefill", "decode"].map((name) => html`<span class=${`of-${name}`}>${t(`time.${name}`)}</span>`)}</p>
      ${page.next && html`<${Order} label=${t("more")} name=${t("more")} act=${more} failed=${failed} />`}`}
    </section>`;
}
