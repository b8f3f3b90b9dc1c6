// Keys, prices and the audit of accounts.

import { html, useCallback, useEffect, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { Order, Table } from "../lib/table.js";
import { changesIn } from "./changes.js";
import { Field } from "./field.js";
import { queryOf } from "./filters.js";
import { ask } from "./gateway.js";
import { Sure } from "./sure.js";

const KEYS = [["login.name"], ["col.account", true], ["col.key"], ["col.scopes"], ["col.made"], ["col.used"], ["col.status"], [""]];
const PRICES = [["model"], ["price.input", true], ["price.cached", true], ["price.output", true], ["price.request", true], ["col.from"]];
const AUDIT = [["col.time"], ["col.actor"], ["col.act"], ["col.object"], ["col.before"], ["col.after"]];
const FIELDS = ["input", "output", "cached", "per_request"];

/** A list of the gateway by pages: `{ rows, next }`, how to ask again, and for more. */
export function useList(path, name, filters, failed) {
  const [page, setPage] = useState(null);
  const query = JSON.stringify(filters);
  const look = useCallback(async () => {
    try {
      const found = await ask("GET", `${path}${queryOf(filters, { limit: 100 })}`);
      setPage({ rows: found[name], next: found.next });
    } catch (error) {
      failed(sayRefusal(error), look);
    }
  }, [path, query]);
  useEffect(() => {
    look();
  }, [look]);
  const more = async () => {
    const found = await ask("GET", `${path}${queryOf(filters, { limit: 100, cursor: page.next })}`);
    setPage({ rows: [...page.rows, ...found[name]], next: found.next });
  };
  return [page, look, more];
}

export function List({ title, columns, page, more, empty, row, failed, children }) {
  return html`<section class="card panel"><h2>${title}</h2>${children}
    ${page ? html`<${Table} label=${title} columns=${columns} empty=${empty}>${page.rows.map(row)}<//>
      ${page.next && html`<${Order} label=${t("more")} name=${t("more")} act=${more} failed=${failed} />`}` : html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`}</section>`;
}

export const moment = (seconds) => (seconds == null ? "–" : format.moment(seconds * 1000));

export function Keys({ failed }) {
  const [page, look, more] = useList("/admin/api/keys", "keys", {}, failed);
  const revoke = (each) => async () => {
    await ask("DELETE", `/admin/api/keys/${each.id}`);
    await look();
  };
  const row = (each) => html`<tr key=${each.id}><td><strong>${each.name}</strong></td><td class="n">${each.account_id}</td><td class="mono">${each.prefix}…</td><td>${each.scopes.join(", ")}</td>
    <td>${moment(each.created_at)}</td><td>${moment(each.last_used_at)}</td>
    <td><span class=${`pill ${each.revoked_at ? "bad" : "good"}`}>${t(each.revoked_at ? "key.revoked" : "people.active")}</span></td>
    <td>${!each.revoked_at && html`<${Sure} label=${t("user.keys.revoke")} name=${t("user.keys.revoke.named", { name: each.name })} act=${revoke(each)} failed=${failed} />`}</td></tr>`;
  return html`<${List} title=${t("user.keys")} columns=${KEYS} page=${page} more=${more} empty=${t("keys.none")} row=${row} failed=${failed} />`;
}

export function Prices({ currency, failed }) {
  const [page, look, more] = useList("/admin/api/prices", "prices", {}, failed);
  const [draft, setDraft] = useState({ model: "", input: "", output: "" });
  const set = (name) => (event) => setDraft({ ...draft, [name]: event.target.value.trim() });
  const save = async () => {
    await ask("POST", "/admin/api/prices", Object.fromEntries(Object.entries(draft).filter(([, value]) => value)));
    setDraft({ model: "", input: "", output: "" });
    await look();
  };
  const row = (each) => html`<tr key=${each.id}><td><strong>${each.model}</strong></td><td class="n">${format.amount(each.input, currency)}</td><td class="n">${format.amount(each.cached, currency)}</td>
    <td class="n">${format.amount(each.output, currency)}</td><td class="n">${format.amount(each.per_request, currency)}</td><td>${moment(each.valid_from)}</td></tr>`;
  return html`<${List} title=${t("prices")} columns=${PRICES} page=${page} more=${more} empty=${t("prices.none")} row=${row} failed=${failed}>
    <p class="soft small">${t("prices.text", { currency })}</p>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}><label>${t("model")}<input value=${draft.model} onInput=${set("model")} /></label>
      ${FIELDS.map((name) => html`<label key=${name}>${t(`price.${name === "per_request" ? "request" : name}`)}<input inputmode="decimal" value=${draft[name] ?? ""} onInput=${set(name)} /></label>`)}
      <${Order} label=${t("prices.set")} name=${t("prices.set")} act=${save} failed=${failed} /></form><//>`;
}

export function Audit({ currency, failed }) {
  const [filters, setFilters] = useState({ action: "", object: "" });
  const [page, , more] = useList("/admin/api/audit", "audit", filters, failed);
  const set = (name) => (value) => setFilters({ ...filters, [name]: value });
  const words = (value) => changesIn(value, (amount) => format.amount(amount, currency), moment).join(", ") || "–";
  const row = (each) => html`<tr key=${each.id}><td>${moment(each.at)}</td><td>${each.actor ?? each.actor_id ?? t("audit.operator")}</td><td class="mono">${each.action}</td><td class="mono">${each.object}</td>
    <td class="wrap small">${words(each.before)}</td><td class="wrap small">${words(each.after)}</td></tr>`;
  return html`<${List} title=${t("audit")} columns=${AUDIT} page=${page} more=${more} empty=${t("audit.none")} row=${row} failed=${failed}>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}><${Field} label=${t("col.act")} data-search placeholder="account.change" value=${filters.action} set=${set("action")} />
      <${Field} label=${t("col.object")} placeholder="account:1" value=${filters.object} set=${set("object")} /></form><//>`;
}
