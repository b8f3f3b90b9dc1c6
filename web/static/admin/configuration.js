// The configuration: what is set and where, what a reload of its file would change, and the reload.

import { html, useCallback, useMemo, useState } from "../vendor/preact.js";
import { t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { Table } from "../lib/table.js";
import { said, say } from "./address.js";
import { changesOf } from "./diff.js";
import { placeOf, tablesWith, valueOf } from "./effective.js";
import { ask } from "./gateway.js";
import { useLooks } from "./looks.js";

const SETTINGS = [["config.name"], ["config.value"], ["config.default"], ["config.place"]];

/** Checks the file, and reloads it; `reloaded` hears of a reload. */
function Changes({ reloaded }) {
  const [state, setState] = useState({ busy: false, error: null, found: null });
  const send = (dry) => async () => {
    setState({ busy: true, error: null, found: null });
    try {
      setState({ busy: false, error: null, found: await ask("POST", `/admin/config/reload?dry_run=${dry ? 1 : 0}`) });
      if (!dry) reloaded();
    } catch (error) {
      setState({ busy: false, error: sayRefusal(error), found: null });
    }
  };
  const { busy, error, found } = state;
  const lines = found ? changesOf(found) : [];
  const head = found && t(lines.length ? (found.dry_run ? "config.would" : "config.done") : "config.same");
  return html`<section class="card panel"><h2>${t("config.file")}</h2><p class="soft">${t("config.text")}</p>
    <div class="filters"><button type="button" class="primary" disabled=${busy} onClick=${send(true)}>${t("config.check")}</button>
      <button type="button" disabled=${busy} onClick=${send(false)}>${t("config.reload")}</button></div>
    <div role="status">${busy && html`<div class="bones" aria-label=${t("connecting")}></div>`}
      ${error && html`<div class="notice bad"><p>${t("config.faults")}</p><pre class="faults">${error}</pre></div>`}
      ${found && html`<div class=${`notice ${found.dry_run || !lines.length ? "" : "good"}`}><p>${head}</p>
        ${lines.length > 0 && html`<ul>${lines.map(({ what, name, more }) => html`<li key=${`${what} ${name}`}><strong>${t(`config.${what}`)}</strong> <span class="mono">${name}</span>${more && `: ${more}`}</li>`)}</ul>`}</div>`}</div></section>`;
}

/** The settings that count, and which of them are set. The filter stands in the address as `setting`. */
function Effective({ times, failed }) {
  const [found, setFound] = useState({ file: null, tables: null });
  const [wanted, setWanted] = useState(said("setting"));
  const [own, setOwn] = useState(false);
  const look = useCallback(async () => {
    try {
      setFound(await ask("GET", "/admin/config"));
    } catch (error) {
      failed(sayRefusal(error), look);
    }
  }, []);
  useLooks(look, times);
  const shown = useMemo(() => tablesWith(found.tables ?? [], wanted, own), [found, wanted, own]);
  const want = (event) => {
    setWanted(event.target.value);
    say({ setting: event.target.value.trim() });
  };
  return html`<section class="card panel"><h2>${t("config.effective")}</h2>
    <p class="soft small">${found.file ? t("config.effective.text", { file: found.file }) : t("config.effective.none")}</p>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}><label>${t("config.filter")}<input type="search" data-search value=${wanted} onInput=${want} /></label>
      <label class="check"><input type="checkbox" checked=${own} onChange=${(event) => setOwn(event.target.checked)} />${t("config.own")}</label></form>
    ${!found.tables && html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`}
    ${found.tables && !shown.length && html`<p class="soft">${t("config.none")}</p>`}
    ${shown.map(({ name, settings }) => html`<h3 key=${name}>${name}</h3><${Table} key=${`${name} table`} label=${t("config.table", { name })} columns=${SETTINGS}>
      ${settings.map((each) => html`<tr key=${each.name}><td class="mono">${each.name}</td>
        <td class="mono wrap">${each.set ? html`<strong>${valueOf(each.value)}</strong>` : valueOf(each.value)} ${each.waits_for_restart && html`<span class="pill warn">${t("config.waits")}</span>`}</td>
        <td class="mono soft wrap">${each.set ? valueOf(each.default) : html`<span class="pill">${t("config.default.same")}</span>`}</td>
        <td class="mono soft">${placeOf(found.file, each) ?? "–"}</td></tr>`)}<//>`)}</section>`;
}

export function Configuration({ failed }) {
  const [times, setTimes] = useState(0);
  return html`<${Changes} reloaded=${() => setTimes((last) => last + 1)} /><${Effective} times=${times} failed=${failed} />`;
}
