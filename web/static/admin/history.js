// What became of invites and of requests for access: by whom, and when.

import { html } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { List, moment, useList } from "./books.js";

const SIGNUPS = [["login.email"], ["login.name"], ["login.reason"], ["col.asked"], ["col.status"], ["col.by"], ["col.when"]];
const INVITES = [["col.invite"], ["user.tier"], ["user.balance", true], ["col.status"], ["col.by"], ["col.made"], ["col.accepted"], ["col.uses", true], ["col.expires"]];
const KINDS = { accepted: "good", rejected: "bad", expired: "warn", open: "" };

const by = (name) => name ?? t("audit.operator");

function State({ state }) {
  return html`<span class=${`pill ${KINDS[state] ?? ""}`}>${t(`history.${state}`)}</span>`;
}

function Signups({ failed }) {
  const [page, , more] = useList("/admin/api/signups", "signups", { state: "any" }, failed);
  const row = (each) => html`<tr key=${each.id}><td>${each.email}</td><td><strong>${each.name}</strong></td><td class="wrap">${each.reason}</td><td>${moment(each.at)}</td>
    <td><${State} state=${each.state} /></td><td>${each.state === "open" ? "–" : by(each.decider)}</td><td>${moment(each.decided_at)}</td></tr>`;
  return html`<${List} title=${t("history.signups")} columns=${SIGNUPS} page=${page} more=${more} empty=${t("history.signups.none")} row=${row} failed=${failed} />`;
}

function Invites({ currency, failed }) {
  const [page, , more] = useList("/admin/api/invites", "invites", {}, failed);
  const row = (each) => html`<tr key=${each.id}><td class="n">${each.id}</td><td>${each.tier}</td><td class="n">${format.amount(each.amount, currency)}</td>
    <td><${State} state=${each.state} /></td><td>${by(each.maker)}</td><td>${moment(each.created_at)}</td>
    <td>${each.accepted.length ? each.accepted.map((one) => html`<div key=${one.at}><strong>${one.name ?? one.account_id}</strong> ${moment(one.at)}</div>`) : "–"}</td>
    <td class="n">${each.uses}</td><td>${moment(each.expires_at)}</td></tr>`;
  return html`<${List} title=${t("history.invites")} columns=${INVITES} page=${page} more=${more} empty=${t("history.invites.none")} row=${row} failed=${failed} />`;
}

export function History({ currency, failed }) {
  return html`<${Signups} failed=${failed} /><${Invites} currency=${currency} failed=${failed} />`;
}
