// The playground: a conversation with a model, as the gateway's own clients have it.

import { html, useEffect, useLayoutEffect, useReducer, useRef, useState } from "../vendor/preact.js";
import { Dialog } from "../lib/dialog.js";
import { Icon, show, t, useCommands, usePoll } from "../lib/page.js";
import { kindOf } from "../lib/states.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { line, siblings } from "./conversation.js";
import { CodeView, Settings } from "./dialogs.js";
import { Message, sayProblem } from "./message.js";
import { Side } from "./side.js";
import { openStore } from "./store.js";

const MODELS_EVERY = 2;
const NEAR = 80;
const STARTERS = ["starter.explain", "starter.write", "starter.code"];
const store = await openStore();
const asked = new URLSearchParams(location.search).get("model");

function ModelChoice({ chat, models, failed }) {
  const now = models.find((each) => each.name === chat.model);
  return html`<select id="model" aria-label=${t("model")} onChange=${(event) => use(chat, event.target.value)} value=${chat.model}>
      ${models.map((each) => html`<option value=${each.name} selected=${each.name === chat.model}>${each.name}</option>`)}
    </select>
    ${failed ? html`<span class="pill bad" role="status">${t("offline.short")}</span>` : now && html`<span class=${`pill ${kindOf(now.state)}`} role="status">${t(`state.${now.state}`)}</span>`}`;
}

/** Talk to another model from now on, and next time. */
function use(chat, model) {
  chat.model = model;
  chat.show();
  try {
    localStorage.setItem("model", model);
  } catch {
    // Without storage the first model is chosen next time.
  }
}

function remembered() {
  try {
    return localStorage.getItem("model");
  } catch {
    return null;
  }
}

function Welcome({ chat, models, failed, start }) {
  if (failed && !models.length) return html`<div class="notice bad" role="alert">${t("offline")}</div>`;
  if (!models.length) return html`<p class="empty">${t("models.none.text")}</p>`;
  return html`<div class="welcome"><h1>${t("welcome")}</h1><p class="soft">${t("welcome.text", { model: chat.model })}</p>
    <div class="row">${STARTERS.map((key) => html`<button type="button" onClick=${() => start(t(key))}>${t(key)}</button>`)}</div></div>`;
}

/** Keep the end in sight while it grows, unless the reader has scrolled away from it. */
function useEndInSight(place, sign, talk) {
  const near = useRef(true);
  useEffect(() => {
    const box = place.current;
    const seen = () => (near.current = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR);
    box.addEventListener("scroll", seen, { passive: true });
    return () => box.removeEventListener("scroll", seen);
  }, []);
  useLayoutEffect(() => {
    near.current = true;
  }, [talk]);
  useLayoutEffect(() => {
    if (near.current) place.current.scrollTop = place.current.scrollHeight;
  }, [sign, talk]);
}

function Playground() {
  const [tick, again] = useReducer((count) => count + 1, 0);
  const held = useRef(null);
  const chat = (held.current ??= new Chat(store, again));
  const [draft, setDraft] = useState({ text: "", pictures: [] });
  const [opened, setOpened] = useState(null);
  const place = useRef(null);
  const [{ value, failed }] = usePoll("/api/models", MODELS_EVERY);
  const models = (value?.models ?? []).filter((each) => each.capabilities.includes("text"));
  const model = models.find((each) => each.name === chat.model);

  useEffect(() => {
    chat.open(location.hash.slice(1));
    const moved = () => location.hash.slice(1) !== chat.talk.id && chat.select(location.hash.slice(1));
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  useEffect(() => {
    if (!models.length || model) return;
    const wanted = [asked, remembered()].find((name) => models.some((each) => each.name === name));
    chat.model = wanted ?? models[0].name;
    chat.show();
  }, [value]);
  useEffect(() => {
    const keys = (event) => event.key === "Escape" && chat.running && !event.target.closest?.("dialog") && chat.stop();
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  const id = chat.talk?.messages.length ? chat.talk.id : "";
  useEffect(() => {
    if (chat.talk && location.hash.slice(1) !== id) history.pushState(null, "", id ? `#${id}` : location.pathname);
  }, [id]);
  useEndInSight(place, tick, chat.talk?.id);

  useCommands(() => [
    { id: "write", label: t("keys.write"), key: "w", run: () => document.getElementById("write")?.focus() },
    { id: "send", label: t("keys.send"), key: "Enter" },
    { id: "line", label: t("keys.line"), key: "Shift+Enter" },
    { id: "stop", label: t("keys.stop"), key: "Esc", run: chat.running && (() => chat.stop()) },
    { id: "new", label: t("talk.new"), run: () => chat.create() },
    { id: "settings", label: t("settings"), run: () => setOpened("settings") },
    model && { id: "code", label: t("code"), run: () => setOpened("code") },
    ...models.map(({ name }) => ({ id: `model.${name}`, label: t("model.use", { name }), group: t("model"), run: () => use(chat, name) })),
    ...chat.talks.map((talk) => ({ id: `talk.${talk.id}`, label: talk.title || t("talk.untitled"), group: t("talk"), run: () => chat.select(talk.id) })),
  ].filter(Boolean));

  const messages = chat.talk ? line(chat.talk) : [];
  const running = chat.running?.talk === chat.talk?.id ? chat.running : null;
  const close = () => setOpened(null);
  return html`<div class="desk">
    <aside class="side" aria-label=${t("talks")}><${Side} chat=${chat} /></aside>
    <section class="talk" aria-label=${t("talk")}>
      <div class="bar">
        <button type="button" class="plain narrow" aria-label=${t("talks")} onClick=${() => setOpened("side")}><${Icon} name="menu" /></button>
        <${ModelChoice} chat=${chat} models=${models} failed=${failed} />
        <span class="right">
          <button type="button" class="plain" aria-label=${t("code")} onClick=${() => setOpened("code")} disabled=${!model}><${Icon} name="code" /></button>
          <button type="button" class="plain" aria-label=${t("settings")} onClick=${() => setOpened("settings")} disabled=${!chat.talk}><${Icon} name="settings" /></button>
        </span>
      </div>
      <div class="messages" ref=${place} tabindex="0" role="region" aria-label=${t("messages")} data-paints=${chat.paints}>
        <div class="column">
          ${chat.problem && html`<div class="notice bad" role="alert">${sayProblem(chat.problem)}</div>`}
          ${chat.talk && value && !messages.length && html`<${Welcome} chat=${chat} models=${models} failed=${failed} start=${(text) => chat.send(text)} />`}
          ${!value && failed && html`<div class="notice bad" role="alert">${t("offline")}</div>`}
          ${messages.length > 0 && html`<h1 class="hidden-text">${chat.talk.title || t("talk.untitled")}</h1>`}
          ${messages.map((each) => {
            const all = siblings(chat.talk, each.id);
            const own = running?.id === each.id ? running : null;
            return html`<${Message} key=${each.id} message=${each} place=${all.indexOf(each.id)} count=${all.length} running=${own} busy=${Boolean(chat.running)} actions=${chat} store=${store} />`;
          })}
        </div>
      </div>
      <div class="column foot"><${Composer} chat=${chat} draft=${draft} setDraft=${setDraft} seesImages=${model?.capabilities.includes("vision")} /></div>
    </section>
    ${opened === "side" && html`<${Dialog} title=${t("talks")} close=${close} kind="drawer left"><div class="side"><${Side} chat=${chat} chosen=${close} /></div><//>`}
    ${opened === "settings" && html`<${Settings} chat=${chat} close=${close} />`}
    ${opened === "code" && html`<${CodeView} chat=${chat} draft=${draft.text.trim()} close=${close} />`}
  </div>`;
}

show("playground", Playground);
