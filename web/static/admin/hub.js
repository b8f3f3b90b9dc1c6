// The hub: search for models, see which of them fit this machine, fetch one.

import { html, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { Order, Table } from "../lib/table.js";
import { ask } from "./gateway.js";
import { Fits } from "./fits.js";

const FOUND = [["col.repo"], ["col.downloads", true], ["col.changed"], [""]];
const FILES = [["col.quantisation"], ["col.size", true], ["col.fits"], ["col.file"], [""]];

function Files({ repo, files, pulled, failed }) {
  const pull = (each) => async () => {
    await ask("POST", "/admin/models/pull", { repo, quant: each.quantisation });
    await pulled();
  };
  return html`<h3>${repo}</h3><${Table} label=${t("hub.files", { repo })} columns=${FILES} empty=${t("hub.files.none")}>
    ${files.map((each) => html`<tr key=${each.file}><td><strong>${each.quantisation}</strong></td><td class="n">${format.bytes(each.size)}</td>
      <td><${Fits} model=${each} /></td><td class="soft small">${each.problem || each.file}</td>
      <td><${Order} label=${t("hub.pull")} name=${t("hub.pull.named", { name: `${repo}:${each.quantisation}` })} act=${pull(each)} failed=${failed} /></td></tr>`)}<//>`;
}

export function Hub({ pulled, failed }) {
  const [query, setQuery] = useState("");
  const [found, setFound] = useState({ list: null, error: null, busy: false });
  const [files, setFiles] = useState(null);
  const search = async (event) => {
    event.preventDefault();
    setFiles(null);
    setFound({ list: null, error: null, busy: true });
    try {
      const { models } = await ask("GET", `/admin/models/search?${new URLSearchParams({ q: query })}`);
      setFound({ list: models, error: null, busy: false });
    } catch (error) {
      setFound({ list: null, error: sayRefusal(error), busy: false });
    }
  };
  const open = (repo) => async () => setFiles({ repo, files: (await ask("GET", `/admin/models/files?${new URLSearchParams({ repo })}`)).models });
  return html`<section class="card panel"><h2>${t("hub")}</h2>
    <form class="filters" role="search" onSubmit=${search}><label>${t("hub.words")}<input type="search" data-search value=${query} onInput=${(event) => setQuery(event.target.value)} /></label>
      <button type="submit" class="primary" disabled=${!query.trim() || found.busy}>${t("hub.search")}</button></form>
    ${found.busy && html`<div class="bones" role="status" aria-label=${t("hub.searching")}></div>`}
    ${found.error && html`<p class="notice bad" role="alert">${found.error}</p>`}
    ${found.list && html`<${Table} label=${t("hub.found")} columns=${FOUND} empty=${t("hub.none")}>
      ${found.list.map((each) => html`<tr key=${each.repo}><td><strong>${each.repo}</strong> ${each.gated && html`<span class="pill warn">${t("hub.gated")}</span>`}</td>
        <td class="n">${format.number(each.downloads)}</td><td>${each.modified ? format.moment(Date.parse(each.modified)) : "–"}</td>
        <td><${Order} label=${t("hub.open")} name=${t("hub.open.named", { name: each.repo })} act=${open(each.repo)} failed=${failed} /></td></tr>`)}<//>`}
    ${files && html`<${Files} ...${files} pulled=${pulled} failed=${failed} />`}</section>`;
}
