// The page of who has an account: money, usage, limits, keys, sessions, password.

import { html, useCallback, useEffect, useState } from "../vendor/preact.js";
import { ask } from "../lib/ask.js";
import { Code, format, show, t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { Order, Table } from "../lib/table.js";
import { byModel, lasts } from "./usage.js";

const PARTS = { me: "me", usage: "usage", limits: "ratelimit", keys: "keys", sessions: "sessions" };
const when = (seconds) => (seconds ? format.moment(seconds * 1000) : "–");

function useAccount() {
  const [state, setState] = useState({ refused: null });
  const look = useCallback(async () => {
    try {
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
  return html`<div class="card tile"><h2>${t("user.balance")}</h2><p>${format.money(me.balance)}</p>
    <span class="soft small">${days == null ? t("user.tier.is", { tier: me.tier }) : t("user.lasts", { days: format.number(Math.floor(days)) })}</span></div>`;
}

function Limit({ name, level }) {
  if (!level) return null;
  return html`<div class="card tile"><h2>${t(name)}</h2><p>${format.number(level.remaining)}</p><span class="soft small">${t("user.of", { limit: format.number(level.limit) })}</span></div>`;
}

const USAGE = [["col.day"], ["model"], ["col.requests", true], ["col.prompt", true], ["col.tokens", true], ["col.cost", true]];

function Usage({ rows }) {
  return html`<section class="card panel"><div class="head"><h2>${t("user.usage")}</h2><a class="button" href="/user/api/usage?format=csv" download="usage.csv">CSV</a></div>
    <${Table} label=${t("user.usage")} columns=${USAGE} empty=${t("user.usage.none")}>
      ${byModel(rows).map((each) => html`<tr key=${each.day + each.model}><td>${format.day(each.day)}</td><td>${each.model}</td><td class="n">${format.number(each.requests)}</td>
        <td class="n">${format.number(each.prompt)}</td><td class="n">${format.number(each.completion)}</td><td class="n">${format.money(each.cost)}</td></tr>`)}
    <//></section>`;
}

const KEYS = [["login.name"], ["col.key"], ["col.made"], ["col.used"], [""]];

function Keys({ keys, look, failed }) {
  const [name, setName] = useState("");
  const [made, setMade] = useState(null);
  const change = (method, path, body) => async () => {
    const answer = await ask(method, path, body);
    setMade(answer.key ? answer : null);
    setName("");
    await look();
  };
  const shown = keys.filter((each) => !each.revoked_at);
  return html`<section class="card panel"><h2>${t("user.keys")}</h2>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}><label>${t("user.keys.name")}<input value=${name} maxlength="100" onInput=${(event) => setName(event.target.value)} /></label>
      ${name.trim() && html`<${Order} kind="primary" label=${t("user.keys.make")} name=${t("user.keys.make")} act=${change("POST", "/user/api/keys", { name: name.trim() })} failed=${failed} />`}</form>
    ${made && html`<div class="notice panel" role="status"><p>${t("user.keys.once")}</p><${Code} text=${made.key} label=${t("col.key")} /></div>`}
    <${Table} label=${t("user.keys")} columns=${KEYS} empty=${t("user.keys.none")}>
      ${shown.map((each) => html`<tr key=${each.id}><td><strong>${each.name}</strong></td><td class="mono">${each.prefix}…</td><td>${when(each.created_at)}</td><td>${when(each.last_used_at)}</td>
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
  if (state.refused) {
    const { status } = state.refused;
    return html`<div class="page"><section class="card door"><h1>${t("nav.user")}</h1><p>${status === 401 ? t("user.out") : sayRefusal(state.refused)}</p>
      <a class="button primary" href="/login">${t("login.in")}</a></section></div>`;
  }
  if (!state.me) return html`<div class="page"><h1 class="hidden-text">${t("nav.user")}</h1><div class="bones" role="status" aria-label=${t("connecting")}></div></div>`;
  const leave = async () => {
    await ask("POST", "/login/api/logout");
    location.assign("/login");
  };
  const limits = state.limits.account;
  return html`<div class="page"><div class="head"><h1>${state.me.name}</h1><${Order} label=${t("login.out")} name=${t("login.out")} act=${leave} failed=${setProblem} /></div>
    ${problem && html`<p class="notice bad panel" role="alert">${problem} <button type="button" onClick=${() => setProblem(null)}>${t("close")}</button></p>`}
    <section class="tiles" aria-label=${t("now")}><${Money} me=${state.me} usage=${state.usage.usage} />
      <${Limit} name="user.requests" level=${limits.requests} /><${Limit} name="user.tokens" level=${limits.tokens} /></section>
    <${Keys} keys=${state.keys.keys} look=${look} failed=${setProblem} />
    <${Usage} rows=${state.usage.usage} />
    <${Sessions} sessions=${state.sessions.sessions} look=${look} failed=${setProblem} />
    <${Password} email=${state.me.email ?? ""} failed=${setProblem} /></div>`;
}

show("user", User);
