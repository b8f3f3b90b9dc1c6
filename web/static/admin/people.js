// Who may use the gateway: requests for access, accounts, invites.

import { html, useCallback, useEffect, useState } from "../vendor/preact.js";
import { Code, format, t, Tabs } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { Order, Table } from "../lib/table.js";
import { Audit, Keys, Prices } from "./books.js";
import { Field } from "./field.js";
import { queryOf } from "./filters.js";
import { ask } from "./gateway.js";
import { History } from "./history.js";

const USUAL = "payg";
const SIGNUPS = [["login.email"], ["login.name"], ["login.reason"], ["user.tier"], [""]];
const USERS = [["login.name"], ["login.email"], ["user.tier"], ["col.status"], ["user.balance", true], ["people.amount"], [""]];
const linkTo = (part) => `${location.origin}/login#${part}`;

/** Who asks for access, and the accounts with the words of `search`; how to ask again, and for more. */
function usePeople(search, failed) {
  const [people, setPeople] = useState(null);
  const look = useCallback(async () => {
    try {
      const [signups, users] = await Promise.all([ask("GET", "/admin/api/signups"), ask("GET", `/admin/api/users${queryOf({ search })}`)]);
      setPeople({ signups: signups.signups, users: users.users, next: users.next });
    } catch (error) {
      failed(sayRefusal(error), look);
    }
  }, [search]);
  useEffect(() => {
    look();
  }, [look]);
  const more = async () => {
    const found = await ask("GET", `/admin/api/users${queryOf({ search, cursor: people.next })}`);
    setPeople((last) => ({ ...last, users: [...last.users, ...found.users], next: found.next }));
  };
  return [people, look, more];
}

function Signup({ signup, act, failed }) {
  const [tier, setTier] = useState(USUAL);
  const path = `/admin/api/signups/${signup.id}`;
  return html`<tr><td>${signup.email}</td><td><strong>${signup.name}</strong></td><td>${signup.reason}</td>
    <td><input value=${tier} aria-label=${t("people.tier.named", { name: signup.name })} onInput=${(event) => setTier(event.target.value)} /></td>
    <td><div class="row"><${Order} kind="primary" label=${t("people.accept")} name=${t("people.accept.named", { name: signup.name })} act=${act(signup.name, "POST", `${path}/accept`, () => ({ tier }))} failed=${failed} />
      <${Order} kind="danger" label=${t("people.reject")} name=${t("people.reject.named", { name: signup.name })} act=${act(signup.name, "POST", `${path}/reject`, () => ({}))} failed=${failed} /></div></td></tr>`;
}

function User({ user, currency, act, failed }) {
  const [amount, setAmount] = useState("");
  const path = `/admin/api/users/${user.id}`;
  const blocked = user.status === "blocked";
  const topUp = async () => {
    await act(user.name, "POST", `${path}/topup`, () => ({ amount }))();
    setAmount("");
  };
  return html`<tr><td><strong>${user.name}</strong></td><td>${user.email ?? "–"}</td><td>${user.tier}</td>
    <td><span class=${`pill ${user.status === "active" ? "good" : "bad"}`}>${t(`people.${user.status}`)}</span></td><td class="n">${format.amount(user.balance, currency)}</td>
    <td><div class="row"><input inputmode="decimal" size="6" value=${amount} aria-label=${t("people.amount.named", { name: user.name })} onInput=${(event) => setAmount(event.target.value.trim())} />
      ${amount && html`<${Order} label=${t("people.topup")} name=${t("people.topup.named", { name: user.name })} act=${topUp} failed=${failed} />`}</div></td>
    <td><div class="row"><${Order} label=${t("people.link")} name=${t("people.link.named", { name: user.name })} act=${act(user.name, "POST", `${path}/link`)} failed=${failed} />
      <${Order} kind=${blocked ? "" : "danger"} label=${t(blocked ? "people.unblock" : "people.block")} name=${t(blocked ? "people.unblock.named" : "people.block.named", { name: user.name })}
        act=${act(user.name, "PATCH", path, () => ({ status: blocked ? "active" : "blocked" }))} failed=${failed} /></div></td></tr>`;
}

function Invite({ made, failed }) {
  const [tier, setTier] = useState(USUAL);
  const make = async () => made({ name: t("people.invited"), url: linkTo(`invite=${(await ask("POST", "/admin/api/invites", { tier })).invite}`) });
  return html`<form class="filters" onSubmit=${(event) => event.preventDefault()}><label>${t("people.invite.tier")}<input value=${tier} onInput=${(event) => setTier(event.target.value)} /></label>
    <${Order} label=${t("people.invite")} name=${t("people.invite")} act=${make} failed=${failed} /></form>`;
}

const PARTS = { accounts: Accounts, history: History, keys: Keys, prices: Prices, audit: Audit };

/** The parts of the page about people, by tabs of their own. */
export function People({ currency, failed }) {
  const [part, setPart] = useState("accounts");
  const names = Object.fromEntries(Object.keys(PARTS).map((each) => [each, t(`people.part.${each}`)]));
  return html`<${Tabs} label=${t("tab.people")} names=${names} chosen=${part} choose=${setPart} id="people-part" />
    <div id="people-part" role="tabpanel"><${PARTS[part]} currency=${currency} failed=${failed} /></div>`;
}

function Accounts({ currency, failed }) {
  const [search, setSearch] = useState("");
  const [people, look, more] = usePeople(search, failed);
  const [made, setMade] = useState(null);
  const act = (name, method, path, body = () => undefined) => async () => {
    const answer = await ask(method, path, body());
    if (answer.link) setMade({ name, url: linkTo(`link=${answer.link}`) });
    await look();
  };
  if (!people) return html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`;
  return html`${made && html`<section class="card panel" role="status"><h2>${t("people.made", { name: made.name })}</h2><p class="soft">${t("people.made.once")}</p><${Code} text=${made.url} label=${t("people.link")} /></section>`}
    <section class="card panel"><h2>${t("people.signups")}</h2><${Table} label=${t("people.signups")} columns=${SIGNUPS} empty=${t("people.signups.none")}>
      ${people.signups.map((each) => html`<${Signup} key=${each.id} signup=${each} act=${act} failed=${failed} />`)}<//></section>
    <section class="card panel"><h2>${t("people.users")}</h2><${Invite} made=${setMade} failed=${failed} />
      <form class="filters" onSubmit=${(event) => event.preventDefault()}><${Field} label=${t("people.search")} data-search value=${search} set=${setSearch} /></form><${Table} label=${t("people.users")} columns=${USERS} empty=${t(search ? "people.search.none" : "people.users.none")}>
      ${people.users.map((each) => html`<${User} key=${each.id} user=${each} currency=${currency} act=${act} failed=${failed} />`)}<//>
      ${people.next && html`<${Order} label=${t("more")} name=${t("more")} act=${more} failed=${failed} />`}</section>`;
}
