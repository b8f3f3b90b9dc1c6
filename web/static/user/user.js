// The page of who has an account: money, usage, limits, keys, sessions, password.

import { html, useCallback, useEffect, useMemo, useState } from "../vendor/preact.js";
import { ask } from "../lib/ask.js";
import { Code, format, show, t, useCommands, usePoll } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { Order, Table } from "../lib/table.js";
import { keyOf, SCOPES } from "./fields.js";
import { chartOf, lasts, rowsOf } from "./usage.js";

const LIMITS_EVERY = 4;
// Days; of money that lasts longer, the exact number says nothing.
const YEAR = 365;
const PARTS = { me: "me", usage: "usage", keys: "keys", sessions: "sessions" };
const when = (seconds) => (seconds ? format.moment(seconds * 1000) : "–");

function useAccount() {
  const [state, setState] = useState({ refused: null });
  const look = useCallback(async () => {
    try {
      // Asked first, as a browser tells its console of each refusal.
      const { account } = await ask("GET", "/login/api/session");
      if (!account) {
        setState({ refused: { status: 401 } });
        return;
      }
      const answers = await Promise.all(Object.values(PARTS).map((path) => ask("GET", `/user/api/${path}`)));
      setState(Object.fromEntries(Object.keys(PARTS).map((name, index) => [name, answers[index]])));
    } catch (error) {
      setState({ refused: error });
    }
  }, []);
  useEffect(() => {
    look();
  }, []);
  return [state, look];
}

function Money({ me, usage }) {
  if (!me.tier_pays) return html`<div class="card tile"><h2>${t("user.tier")}</h2><p>${me.tier}</p></div>`;
  const days = lasts(me.available, usage, new Date().toISOString().slice(0, 10));
  const lasting = days > YEAR ? t("user.lasts.long") : t("user.lasts", { days: format.number(Math.floor(days)) });
  return html`<div class="card tile"><h2>${t("user.balance")}</h2><p>${format.amount(me.balance, me.currency)}</p>
    <span class="soft small">${days == null ? t("user.tier.is", { tier: me.tier }) : lasting}</span></div>`;
}

function Tile({ name, value, more }) {
  return html`<div class="card tile"><h2>${t(name)}</h2><p>${value}</p><span class="soft small">${more}</span></div>`;
}

/** What is left of the limits, again and again: they fill up while programs ask. */
function Limits({ currency }) {
  const [{ value }] = usePoll("/user/api/ratelimit", LIMITS_EVERY);
  if (!value) return null;
  const { requests, tokens, concurrency, active, budget } = value.account;
  const level = (name, known) => known && html`<${Tile} name=${name} value=${format.number(known.remaining)} more=${t("user.of", { limit: format.number(known.limit) })} />`;
  return html`${level("user.requests", requests)}${level("user.tokens", tokens)}
    ${concurrency != null && html`<${Tile} name="user.active" value=${format.number(active)} more=${t("user.active.of", { limit: format.number(concurrency) })} />`}
    ${budget && html`<${Tile} name="user.budget" value=${format.amount(budget.left, currency)} more=${t(budget.period ? `user.budget.${budget.period}` : "user.budget.of", { limit: format.amount(budget.amount, currency) })} />`}`;
}

const USAGE = [["col.day"], ["model"], ["col.key"], ["col.requests", true], ["col.prompt", true], ["col.tokens", true], ["col.cost", true]];
const MEASURES = ["tokens", "requests", "cost"];

function Choice({ label, name, values, now, choose }) {
  return html`<label>${label}<select aria-label=${label} onChange=${(event) => choose(event.target.value)}>
    ${values.map((each) => html`<option value=${each} selected=${each === now}>${t(`${name}.${each}`)}</option>`)}</select></label>`;
}

/** The chart, whose modules are fetched when there is something to draw: they are a third of the page. */
function Chart(props) {
  const [Drawn, setDrawn] = useState(null);
  useEffect(() => {
    import("./chart.js").then(({ UsageChart }) => setDrawn(() => UsageChart));
  }, []);
  return Drawn ? html`<${Drawn} ...${props} />` : html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`;
}

function Usage({ rows, currency }) {
  const [by, setBy] = useState("model");
  const [measure, setMeasure] = useState("tokens");
  const today = new Date().toISOString().slice(0, 10);
  const shown = useMemo(() => chartOf(rows, by, measure, today), [rows, by, measure, today]);
  const named = ({ name }) => name ?? t("user.key.none");
  return html`<section class="card panel"><div class="head"><h2>${t("user.usage")}</h2><a class="button" href="/user/api/usage?format=csv" download="usage.csv" aria-label=${t("csv")}>CSV</a></div>
    ${shown.parts.length > 0 && html`<div class="filters"><${Choice} label=${t("user.measure")} name="user.measure" values=${MEASURES} now=${measure} choose=${setMeasure} />
      <${Choice} label=${t("user.by")} name="user.by" values=${["model", "key"]} now=${by} choose=${setBy} /></div>
      <${Chart} shown=${shown} name=${named} label=${t("user.chart")} />`}
    <${Table} label=${t("user.usage")} columns=${USAGE} empty=${t("user.usage.none")}>
      ${rowsOf(rows).map((each) => html`<tr key=${`${each.day} ${each.model} ${each.key}`}><td>${format.day(each.day)}</td><td>${each.model}</td><td>${each.key ?? t("user.key.none")}</td><td class="n">${format.number(each.requests)}</td>
        <td class="n">${format.number(each.prompt)}</td><td class="n">${format.number(each.completion)}</td><td class="n">${format.amount(each.cost, currency)}</td></tr>`)}
    <//></section>`;
}

const NUMBERS = ["rpm", "tpm", "concurrency", "max_context"];
const PERIODS = ["day", "week", "month"];

/** What a new key may do; it stays closed for who wants a key that may all. */
function Rights({ admin }) {
  const check = (name, key, on) => html`<label class="check"><input type="checkbox" name=${name} defaultChecked=${on} />${t(`keyform.${key}`)}</label>`;
  return html`<details class="rights"><summary>${t("keyform")}</summary>
    <fieldset><legend>${t("keyform.scopes")}</legend>
      ${SCOPES.filter((each) => each !== "admin" || admin).map((each) => check(`scope.${each}`, each, each !== "admin"))}
      ${check("may_load", "may_load", true)}${check("may_evict", "may_evict", true)}</fieldset>
    <div class="grid"><label>${t("keyform.models")}<input name="models" placeholder=${t("keyform.all")} spellcheck=${false} /></label>
      ${NUMBERS.map((name) => html`<label>${t(`keyform.${name}`)}<input name=${name} type="number" inputmode="numeric" min="1" step="1" placeholder=${t("keyform.none")} /></label>`)}
      <label>${t("keyform.budget")}<input name="budget" type="number" inputmode="decimal" min="0" step="any" placeholder=${t("keyform.none")} /></label>
      <label>${t("keyform.budget_period")}<select name="budget_period"><option value="">${t("keyform.once")}</option>${PERIODS.map((each) => html`<option value=${each}>${t(`keyform.${each}`)}</option>`)}</select></label>
      <label>${t("keyform.expires")}<input name="expires" type="date" min=${new Date().toISOString().slice(0, 10)} /></label></div></details>`;
}

/** Return the rights of a key as a sentence. */
function rules(key, currency) {
  return [
    key.scopes.map((each) => t(`keyform.${each}`)).join(", "),
    key.models?.join(", "),
    ...NUMBERS.map((name) => key[name] && t(`rules.${name}`, { number: format.number(key[name]) })),
    key.budget && t("rules.budget", { number: format.amount(key.budget, currency) }),
    key.expires_at && t("rules.until", { day: format.moment(key.expires_at * 1000) }),
  ].filter(Boolean).join(" · ");
}

const KEYS = [["login.name"], ["col.key"], ["col.rules"], ["col.made"], ["col.used"], [""]];

function Keys({ keys, admin, currency, look, failed }) {
  const [made, setMade] = useState(null);
  const change = (method, path, body) => async () => {
    const answer = await ask(method, path, body);
    setMade(answer.key ? answer : null);
    await look();
  };
  const make = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    try {
      await change("POST", "/user/api/keys", keyOf(Object.fromEntries(new FormData(form))))();
      form.reset();
    } catch (error) {
      failed(sayRefusal(error));
    }
  };
  const shown = keys.filter((each) => !each.revoked_at);
  return html`<section class="card panel"><h2>${t("user.keys")}</h2>
    <form onSubmit=${make}><div class="filters"><label>${t("user.keys.name")}<input name="name" maxlength="100" required /></label>
      <button type="submit" class="primary">${t("user.keys.make")}</button></div><${Rights} admin=${admin} /></form>
    ${made && html`<div class="notice panel" role="status"><p>${t("user.keys.once")}</p><${Code} text=${made.key} label=${t("col.key")} /></div>`}
    <${Table} label=${t("user.keys")} columns=${KEYS} empty=${t("user.keys.none")}>
      ${shown.map((each) => html`<tr key=${each.id}><td><strong>${each.name}</strong></td><td class="mono">${each.prefix}…</td><td class="rules">${rules(each, currency)}</td><td>${when(each.created_at)}</td><td>${when(each.last_used_at)}</td>
        <td><div class="row"><${Order} label=${t("user.keys.rotate")} name=${t("user.keys.rotate.named", { name: each.name })} act=${change("POST", `/user/api/keys/${each.id}/rotate`)} failed=${failed} />
        <${Order} kind="danger" label=${t("user.keys.revoke")} name=${t("user.keys.revoke.named", { name: each.name })} act=${change("DELETE", `/user/api/keys/${each.id}`)} failed=${failed} /></div></td></tr>`)}
    <//></section>`;
}

const SESSIONS = [["col.browser"], ["col.began"], ["col.seen"], [""]];

function Sessions({ sessions, look, failed }) {
  const end = (id) => async () => {
    await ask("DELETE", `/user/api/sessions/${id}`);
    await look();
  };
  return html`<section class="card panel"><div class="head"><h2>${t("user.sessions")}</h2>${sessions.length > 1 && html`<${Order} label=${t("user.sessions.others")} name=${t("user.sessions.others")} act=${end("others")} failed=${failed} />`}</div>
    <${Table} label=${t("user.sessions")} columns=${SESSIONS} empty="">
      ${sessions.map((each) => html`<tr key=${each.id}><td class="agent">${each.agent}</td><td>${when(each.created_at)}</td><td>${when(each.seen_at)}</td>
        <td>${each.current ? html`<span class="pill good">${t("user.sessions.this")}</span>` : html`<${Order} label=${t("user.sessions.end")} name=${t("user.sessions.end")} act=${end(each.id)} failed=${failed} />`}</td></tr>`)}
    <//></section>`;
}

function Password({ email, failed }) {
  const [said, setSaid] = useState("");
  const change = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    const values = Object.fromEntries(new FormData(form));
    try {
      await ask("POST", "/user/api/password", values);
      form.reset();
      setSaid(t("user.password.done"));
    } catch (error) {
      setSaid("");
      failed(sayRefusal(error));
    }
  };
  return html`<section class="card panel"><h2>${t("user.password")}</h2><form class="filters" onSubmit=${change}>
    <input type="text" autocomplete="username" value=${email} hidden readonly />
    <label>${t("user.password.old")}<input name="old" type="password" autocomplete="current-password" required /></label>
    <label>${t("user.password.new")}<input name="new" type="password" autocomplete="new-password" minlength="10" required /></label>
    <button type="submit">${t("user.password.change")}</button></form><p class="soft" role="status">${said}</p></section>`;
}

function User() {
  const [state, look] = useAccount();
  const [problem, setProblem] = useState(null);
  const [leaving, setLeaving] = useState(false);
  const leave = async () => {
    // The limits are asked for no more: there is nobody any longer who may see them.
    setLeaving(true);
    try {
      await ask("POST", "/login/api/logout");
      location.assign("/login");
    } catch (error) {
      setLeaving(false);
      throw error;
    }
  };
  useCommands(() => (state.me ? [{ id: "out", label: t("login.out"), run: leave }, { id: "again", label: t("user.look"), run: look }] : []));
  if (state.refused) {
    const out = state.refused.status === 401;
    return html`<div class="page"><section class="card door"><h1>${t("nav.user")}</h1><p role=${out ? null : "alert"}>${out ? t("user.out") : sayRefusal(state.refused)}</p>
      ${out ? html`<a class="button primary" href="/login">${t("login.in")}</a>` : html`<button type="button" class="primary" onClick=${look}>${t("again")}</button>`}</section></div>`;
  }
  if (!state.me) return html`<div class="page"><h1 class="hidden-text">${t("nav.user")}</h1><div class="bones" role="status" aria-label=${t("connecting")}></div></div>`;
  const { currency } = state.me;
  return html`<div class="page"><div class="head"><h1>${state.me.name}</h1><${Order} label=${t("login.out")} name=${t("login.out")} act=${leave} failed=${setProblem} /></div>
    ${problem && html`<p class="notice bad panel" role="alert">${problem} <button type="button" onClick=${() => setProblem(null)}>${t("close")}</button></p>`}
    <section class="tiles" aria-label=${t("now")}><${Money} me=${state.me} usage=${state.usage.usage} />${!leaving && html`<${Limits} currency=${currency} />`}</section>
    <${Keys} keys=${state.keys.keys} admin=${state.me.admin} currency=${currency} look=${look} failed=${setProblem} />
    <${Usage} rows=${state.usage.usage} currency=${currency} />
    <${Sessions} sessions=${state.sessions.sessions} look=${look} failed=${setProblem} />
    <${Password} email=${state.me.email ?? ""} failed=${setProblem} /></div>`;
}

show("user", User);
