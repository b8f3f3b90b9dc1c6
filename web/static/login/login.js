// Where people begin a session: by a password, an invite or a link; or ask for an account.

import { html, useEffect, useState } from "../vendor/preact.js";
import { ask } from "../lib/ask.js";
import { show, t, Tabs } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";

const SHORTEST = 10;

// What follows the # is taken out of the address at once: it is good once, and secret.
const given = new URLSearchParams(location.hash.slice(1));
const secret = { invite: given.get("invite"), link: given.get("link") };
if (location.hash) history.replaceState(null, "", location.pathname);
// Another link in the same tab.
addEventListener("hashchange", () => location.reload());

function arrived({ account }) {
  location.assign(account?.admin ? "/admin/" : "/user/");
}

/** A form: `fields` are `[name, type, autocomplete]`; `send` gets their values. */
function Form({ fields, label, send, done }) {
  const [values, setValues] = useState({});
  const [state, setState] = useState({ busy: false, problem: null, sent: false });
  const submit = async (event) => {
    event.preventDefault();
    setState({ busy: true, problem: null, sent: false });
    try {
      const answer = await send(values);
      setState({ busy: false, problem: null, sent: true });
      done?.(answer);
    } catch (error) {
      setState({ busy: false, problem: sayRefusal(error), sent: false });
    }
  };
  const set = (name) => (event) => setValues((last) => ({ ...last, [name]: event.target.value }));
  const input = ([name, type, complete]) => html`<label>${t(`login.${name}`)}
    <input name=${name} type=${type} autocomplete=${complete} required=${name !== "reason"} minlength=${complete === "new-password" ? SHORTEST : null} value=${values[name] ?? ""} onInput=${set(name)} /></label>`;
  return html`<form class="fields" onSubmit=${submit}>
    ${!fields.includes(MAIL) && html`<input type="text" autocomplete="username" hidden readonly />`}
    ${fields.map(input)}
    ${state.problem && html`<p class="notice bad" role="alert">${state.problem}</p>`}
    ${state.sent && !done && html`<p class="notice" role="status">${t("login.asked")}</p>`}
    <button type="submit" class="primary" disabled=${state.busy}>${label}</button></form>`;
}

const MAIL = ["email", "email", "username"];
const NEW = ["password", "password", "new-password"];
const NAME = ["name", "text", "name"];

function Enter({ provider }) {
  const [tab, setTab] = useState(given.has("ask") ? "ask" : "in");
  const names = { in: t("login.in"), ask: t("login.ask") };
  return html`${given.has("refused") && html`<p class="notice bad" role="alert">${t("login.refused")}</p>`}
    <${Tabs} label=${t("nav.login")} names=${names} chosen=${tab} choose=${setTab} id="way" />
    <div id="way" role="tabpanel" aria-label=${names[tab]}>${tab === "in"
      ? html`<${Form} key="in" fields=${[MAIL, ["password", "password", "current-password"]]} label=${t("login.in")} send=${(values) => ask("POST", "/login/api/login", values)} done=${arrived} />
          ${provider && html`<p class="other"><a class="button" href="/login/oidc">${t("login.oidc", { name: provider })}</a></p>`}
          <p class="soft small">${t("login.forgot")}</p>`
      : html`<${Form} key="ask" fields=${[MAIL, NAME, ["reason", "text", "off"]]} label=${t("login.ask")} send=${(values) => ask("POST", "/api/signup", values)} />`}</div>`;
}

function Login() {
  const [account, setAccount] = useState(null);
  const [provider, setProvider] = useState(null);
  useEffect(() => {
    const told = (answer) => {
      setAccount(answer.account);
      setProvider(answer.provider);
    };
    ask("GET", "/login/api/session").then(told, () => {});
  }, []);
  const leave = async () => {
    await ask("POST", "/login/api/logout");
    setAccount(null);
  };
  let body = html`<${Enter} provider=${provider} />`;
  if (secret.invite) {
    body = html`<p>${t("login.invited")}</p><${Form} fields=${[MAIL, NAME, NEW]} label=${t("login.make")} send=${(values) => ask("POST", "/login/api/invite", { invite: secret.invite, ...values })} done=${arrived} />`;
  } else if (secret.link) {
    body = html`<p>${t("login.linked")}</p><${Form} fields=${[NEW]} label=${t("login.in")} send=${(values) => ask("POST", "/login/api/link", { link: secret.link, ...values })} done=${arrived} />`;
  } else if (account) {
    body = html`<p>${t("login.as", { name: account.name })}</p><div class="row"><a class="button primary" href="/user/">${t("nav.user")}</a>
      ${account.admin && html`<a class="button" href="/admin/">${t("nav.admin")}</a>`}<button type="button" onClick=${leave}>${t("login.out")}</button></div>`;
  }
  return html`<div class="page"><section class="card door"><h1>${t("nav.login")}</h1>${body}</section></div>`;
}

show("login", Login);
