// The landing page: which models there are, how the gateway has been, how programs use it.

import { html, useEffect, useState } from "../vendor/preact.js";
import { ask } from "../lib/ask.js";
import { Code, Copy, format, show, t, Tabs, useCommands, usePoll } from "../lib/page.js";
import { kindOf, quickestLoad } from "../lib/states.js";
import { snippets } from "./snippets.js";
import { bars } from "./uptime.js";

const MODELS_EVERY = 4;
const UPTIME_EVERY = 60;
// From so many models on, they can be searched.
const MANY = 7;

function Model({ model }) {
  const load = quickestLoad(model.load_seconds);
  const contexts = model.variants.map((each) => (typeof each === "number" ? format.context(each) : each)).join(" · ");
  const facts = [
    ["model.context", contexts || format.context(model.context_length)],
    ["model.load", load == null ? null : format.seconds(load)],
    ["model.size", model.size ? `${format.bytes(model.size)}${model.quantisation ? `, ${model.quantisation}` : ""}` : null],
    ["model.aliases", model.aliases.join(", ")],
    ["model.peer", model.peer],
  ].filter(([, value]) => value);
  return html`<li><article class="card model">
    <header>
      <h3>${model.name}</h3>
      <span class=${`pill ${kindOf(model.state)}`}>${t(`state.${model.state}`)}</span>
    </header>
    <div class="row">${model.capabilities.map((each) => html`<span class="pill">${t(`can.${each}`)}</span>`)}</div>
    <dl>${facts.map(([key, value]) => html`<dt>${t(key)}</dt><dd>${value}</dd>`)}</dl>
    ${model.capabilities.includes("text") && html`<footer>
      <a class="button" href=${`/playground/?model=${encodeURIComponent(model.name)}`} aria-label=${t("model.try.named", { name: model.name })}>${t("model.try")}</a>
    </footer>`}
  </article></li>`;
}

function Models({ state, again }) {
  const { value, failed } = state;
  const [query, setQuery] = useState("");
  if (!value && failed) {
    return html`<div class="notice bad row" role="alert">${t("offline")} <button type="button" onClick=${again}>${t("again")}</button></div>`;
  }
  if (!value) return html`<div class="models" aria-busy="true"><div class="bones"></div><div class="bones"></div><div class="bones"></div></div>`;
  if (!value.models.length) return html`<p class="empty">${t("models.none")}</p>`;
  const words = query.toLowerCase().split(/\s+/);
  const shown = value.models.filter((model) => words.every((word) => [model.name, ...model.aliases].join(" ").toLowerCase().includes(word)));
  return html`${failed && html`<p class="notice warn" role="status">${t("offline.old")}</p>`}
    ${value.models.length >= MANY && html`<input class="find" type="search" data-search aria-label=${t("models.find")} placeholder=${t("models.find")} value=${query} onInput=${(event) => setQuery(event.target.value)} />`}
    ${!shown.length && html`<p class="empty" role="status">${t("models.find.none")}</p>`}
    <ul class="models">${shown.map((model) => html`<${Model} key=${model.name} model=${model} />`)}</ul>`;
}

function Uptime() {
  const [{ value }] = usePoll("/api/uptime", UPTIME_EVERY);
  if (!value) return null;
  const days = bars(value.gateway.days, Date.now());
  const told = ({ day, uptime }) => `${format.day(day)}: ${uptime == null ? t("uptime.unknown") : format.percent(uptime)}`;
  return html`<section class="block card uptime" aria-labelledby="uptime">
    <header><h2 id="uptime">${t("uptime")}</h2>
      <span class="soft">${t("uptime.since", { share: format.percent(value.gateway.uptime), since: format.moment(value.since * 1000) })}</span></header>
    <div class="days" role="img" aria-label=${t("uptime.bars", { share: format.percent(value.gateway.uptime) })}>
      ${days.map((day) => html`<span key=${day.day} class=${day.kind} title=${told(day)}></span>`)}
    </div>
    <div class="ends soft small" aria-hidden="true"><span>${t("uptime.ago", { days: days.length })}</span><span>${t("uptime.today")}</span></div>
  </section>`;
}

function Snippets({ model, keyed }) {
  const [tab, setTab] = useState("curl");
  const texts = snippets(location.origin, model, keyed);
  const names = { curl: "curl", python: "Python", javascript: "JavaScript", anthropic: t("snippets.anthropic"), ollama: "Ollama" };
  return html`<section class="block" aria-labelledby="snippets">
    <h2 id="snippets">${t("snippets")}</h2>
    <${Tabs} label=${t("snippets")} names=${names} chosen=${tab} choose=${setTab} id="snippet" />
    <${Code} id="snippet" text=${texts[tab]} label=${names[tab]} />
  </section>`;
}

function Landing() {
  const [state, again] = usePoll("/api/models", MODELS_EVERY);
  const models = state.value?.models ?? [];
  const first = models.find((each) => each.capabilities.includes("text")) ?? models[0];
  const address = `${location.origin}/v1`;
  const accounts = Boolean(state.value?.accounts);
  const [account, setAccount] = useState(null);
  useEffect(() => {
    if (accounts) ask("GET", "/login/api/session").then((answer) => setAccount(answer.account), () => {});
  }, [accounts]);
  useCommands(() =>
    models.filter((each) => each.capabilities.includes("text")).map(({ name }) => ({
      id: `try.${name}`,
      label: t("model.try.named", { name }),
      group: t("nav.playground"),
      run: () => location.assign(`/playground/?model=${encodeURIComponent(name)}`),
    })));
  return html`<div class="page">
    <section class="hero">
      <h1>${t("landing.title")}</h1>
      <p>${t("landing.text")}</p>
      <div class="row">
        <a class="button primary" href="/playground/">${t("landing.playground")}</a>
        ${["text", "audio", "speech"].every((what) => models.some((each) => each.capabilities.includes(what))) && html`<a class="button" href="/live/">${t("landing.live")}</a>`}
        ${accounts && (account
          ? html`<a class="button" href="/user/">${t("landing.user")}</a>`
          : html`<a class="button" href="/login">${t("landing.login")}</a><a class="button" href="/login#ask">${t("landing.ask")}</a>`)}
        <div class="address"><code>${address}</code><${Copy} text=${address} label=${t("copy.address")} /></div>
      </div>
      ${state.value && !state.value.accounts && html`<p class="small">${t("landing.operators")}</p>`}
    </section>
    <section aria-labelledby="models"><h2 id="models" class="hidden-text">${t("models")}</h2><${Models} state=${state} again=${again} /></section>
    <${Uptime} />
    ${first && html`<${Snippets} model=${first.name} keyed=${accounts} />`}
  </div>`;
}

show("home", Landing);
