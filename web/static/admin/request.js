// One request: its time part by part, the reasons for it, and what else is known.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { Dialog } from "../lib/dialog.js";
import { format, t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { queryOf } from "./filters.js";
import { ask } from "./gateway.js";
import { isWait } from "./decisions.js";
import { Decision, sentence, useDecisions } from "./sentence.js";
import { decisionsOf, rate, reasonsOf, remarks, steps } from "./timeline.js";

/** A link to the timeline of a request; `open` shows it on this page. */
export function RequestLink({ id, open }) {
  const click = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(id);
  };
  return html`<a class="mono" href=${`/admin/${queryOf({ request: id })}#requests`} aria-label=${t("request.named", { id })} onClick=${click}>${id}</a>`;
}

/** The ended request of this id: asked for again when `ended` changes; undefined as long as it is not known. */
function useEnded(id, ended) {
  const [found, setFound] = useState({ row: undefined, error: null });
  useEffect(() => {
    if (found.row) return;
    ask("GET", `/admin/api/requests${queryOf({ id, limit: 1 })}`)
      .then(({ requests }) => setFound({ row: requests[0] ?? null, error: null }))
      .catch((error) => setFound({ row: undefined, error: sayRefusal(error) }));
  }, [id, ended]);
  return found;
}

function Steps({ row }) {
  return html`<ol class="steps" aria-label=${t("request.time")}>${steps(row).map(({ name, seconds, from, left, width }) => html`<li key=${name}>
    <span>${t(`time.${name}`)}</span><span class="track" aria-hidden="true"><span class=${name} style=${{ marginLeft: `${left}%`, width: `${width}%` }}></span></span>
    <span class="n">${format.seconds(seconds)}</span><span class="n soft small">${t("request.from", { time: format.seconds(from) })}</span></li>`)}</ol>`;
}

function Facts({ facts }) {
  const known = facts.filter(([, value]) => value != null && value !== "");
  return html`<dl class="facts">${known.map(([name, value]) => html`<div key=${name}><dt>${t(name)}</dt><dd>${value}</dd></div>`)}</dl>`;
}

const tokensOf = (row) => (row.prompt_tokens == null ? null : format.number(row.prompt_tokens) + (row.cached_tokens ? ` (${t("request.cached", { count: format.number(row.cached_tokens) })})` : ""));

function factsOf(row) {
  return [
    ["col.at", format.moment(row.at * 1000)], ["col.status", `${row.status} ${row.error ?? row.reason ?? ""}`], ["request.path", row.path],
    ["col.client", row.account ?? row.client], ["request.address", row.address], ["model", row.variant ?? row.model],
    ["col.prompt", tokensOf(row)], ["col.tokens", row.completion_tokens == null ? null : format.number(row.completion_tokens)],
    ["col.rate", rate(row) === null ? null : format.rate(rate(row))], ["request.first", row.streamed && row.first_token_seconds != null ? format.seconds(row.first_token_seconds) : null],
    ["col.total", format.seconds(row.total_seconds)],
  ];
}

function factsOfLive(live) {
  return [
    ["col.state", t(`request.${live.state}`)], ["col.age", format.seconds(live.age_seconds)], ["request.path", live.path], ["col.client", live.client],
    ["model", live.variant ?? live.model], ["col.prompt", live.prompt_tokens == null ? null : format.number(live.prompt_tokens)], ["col.tokens", format.number(live.tokens)],
  ];
}

const sentenceOf = ({ key, values }) => t(key, Object.fromEntries(Object.entries(values).map(([name, value]) => [name, name === "seconds" ? format.seconds(value) : typeof value === "number" ? format.number(value) : value])));

/** `place` is its entry in the queue, if it waits; `go` shows another tab with a filter. */
export function Request({ id, live, place, ended, decided, close, go, failed }) {
  const { row, error } = useEnded(id, live ? 0 : ended);
  const seen = useRef(false);
  seen.current ||= Boolean(live);
  const decisions = useDecisions(decided, failed);
  const own = reasonsOf(row ?? live, decisionsOf(id, decisions ?? []));
  const said = row ? remarks(row) : [];
  const none = row && decisions && !own.length && !said.length;
  return html`<${Dialog} title=${t("request.title", { id })} close=${close}>
    ${error && html`<p class="notice bad" role="alert">${error}</p>`}
    ${!row && !live && !error && (row === null && !seen.current ? html`<p class="empty">${t("request.gone")}</p>` : html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`)}
    ${row && html`<${Steps} row=${row} />`}
    ${(row || live) && html`<h3>${t("request.why")}</h3><ul class="reasons">
      ${!row && place && html`<li>${t(`because.waits.${place.waits_for}`, { position: place.position })}</li>`}
      ${own.map((each) => html`<li key=${`${each.at} ${each.kind}`}>${isWait(each) ? sentence(each) : html`<${Decision} decision=${each} />`}</li>`)}
      ${said.map((each) => html`<li key=${each.key}>${sentenceOf(each)}</li>`)}
      ${(none || (!row && !place && !own.length)) && html`<li class="soft">${t(row ? "request.why.none" : "request.why.yet")}</li>`}</ul>
      <${Facts} facts=${row ? factsOf(row) : factsOfLive(live)} />
      <p class="row"><button type="button" onClick=${() => go("why", { why: id, request: "" })}>${t("request.show.why")}</button>
        <button type="button" onClick=${() => go("logs", { log: id, request: "" })}>${t("request.show.log")}</button></p>`}
  <//>`;
}
