// The playground: a conversation with a model, as the gateway's own clients have it.

import { html, useEffect, useLayoutEffect, useReducer, useRef, useState } from "../vendor/preact.js";
import { Dialog } from "../lib/dialog.js";
import { Icon, show, t, Tabs, useCommands, usePoll } from "../lib/page.js";
import { kindOf } from "../lib/states.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { line, siblings } from "./conversation.js";
import { CodeView } from "./codeview.js";
import { Settings } from "./dialogs.js";
import { Message, sayProblem } from "./message.js";
import { Side } from "./side.js";
import { openStore } from "./store.js";

const MODELS_EVERY = 2;
const NEAR = 80;
const STARTERS = ["starter.explain", "starter.write", "starter.code"];
const store = await openStore();
const asked = new URLSearchParams(location.search).get("model");
// What can be tried beside conversations, by what a model must be able to do.
const TASKS = { embed: "embeddings", rerank: "rerank", hear: "audio", speak: "speech" };
const COMPONENTS = { embed: "Embeddings", rerank: "Rerank", hear: "Transcription", speak: "Speech" };

function ModelChoice({ chat, models, failed, second = false }) {
  const now = models.find((each) => each.name === chat.model);
  return html`<select aria-label=${t(second ? "beside.model" : "model")} onChange=${(event) => use(chat, event.target.value, second)} value=${chat.model}>
      ${models.map((each) => html`<option value=${each.name} selected=${each.name === chat.model}>${each.name}</option>`)}
    </select>
    ${failed ? html`<span class="pill bad" role="status">${t("offline.short")}</span>` : now && html`<span class=${`pill ${kindOf(now.state)}`} role="status">${t(`state.${now.state}`)}</span>`}`;
}

/** Talk to another model from now on, and next time where it is the first. */
function use(chat, model, isSecond = false) {
  chat.model = model;
  chat.show();
  if (isSecond) return;
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
  const title = html`<h1 class="hidden-text">${t("nav.playground")}</h1>`;
  if (failed && !models.length) return html`${title}<div class="notice bad" role="alert">${t("offline")}</div>`;
  if (!models.length) return html`${title}<p class="empty">${t("models.none.text")}</p>`;
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

/** One conversation: its messages, and the model that answers where there are two. */
function Pane({ chat, tick, models, value, failed, label, start, head }) {
  const place = useRef(null);
  useEndInSight(place, tick, chat.talk?.id);
  const messages = chat.talk ? line(chat.talk) : [];
  const running = chat.running?.talk === chat.talk?.id ? chat.running : null;
  return html`<div class="pane">${head}
    <div class="messages" ref=${place} tabindex="0" role="region" aria-label=${label} data-paints=${chat.paints}>
      <div class="column">
        ${chat.problem && html`<div class="notice bad" role="alert">${sayProblem(chat.problem)}</div>`}
        ${chat.talk && value && !messages.length && html`<${Welcome} chat=${chat} models=${models} failed=${failed} start=${start} />`}
        ${!value && failed && html`<div class="notice bad" role="alert">${t("offline")}</div>`}
        ${messages.length > 0 && start && html`<h1 class="hidden-text">${chat.talk.title || t("talk.untitled")}</h1>`}
        ${messages.map((each) => {
          const all = siblings(chat.talk, each.id);
          const own = running?.id === each.id ? running : null;
          return html`<${Message} key=${each.id} message=${each} place=${all.indexOf(each.id)} count=${all.length} running=${own} busy=${Boolean(chat.running)} actions=${chat} store=${store} />`;
        })}
      </div>
    </div></div>`;
}

/** A task beside conversations; its code is fetched when it is opened. */
function Task({ name, models, chat, keyed }) {
  const [parts, setParts] = useState(null);
  useEffect(() => {
    import("./tasks.js").then(setParts);
  }, []);
  const able = models.filter((each) => each.capabilities.includes(TASKS[name]));
  if (!parts || !able.length) return html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`;
  return html`<${parts[COMPONENTS[name]]} key=${name} models=${able} headers=${chat.headers()} keyed=${keyed} />`;
}

function Playground() {
  const [tick, again] = useReducer((count) => count + 1, 0);
  const held = useRef(null);
  held.current ??= { chat: new Chat(store, again) };
  const { chat } = held.current;
  const second = (held.current.second ??= new Chat(store, again, chat.all));
  const [compares, setCompares] = useState(false);
  const [draft, setDraft] = useState({ text: "", pictures: [] });
  const [opened, setOpened] = useState(null);
  const [task, setTask] = useState("chat");
  const [{ value, failed }] = usePoll("/api/models", MODELS_EVERY);
  const every = value?.models ?? [];
  const models = every.filter((each) => each.capabilities.includes("text"));
  const model = models.find((each) => each.name === chat.model);
  const beside = compares && second.talk ? second : null;
  const chats = beside ? [chat, beside] : [chat];
  for (const each of [chat, second]) {
    each.models = models;
    each.currency = value?.currency;
    each.speaker = every.find((one) => one.capabilities.includes("speech"))?.name ?? null;
  }

  useEffect(() => {
    chat.open(location.hash.slice(1));
    const moved = () => location.hash.slice(1) !== chat.talk.id && chat.select(location.hash.slice(1));
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  useEffect(() => {
    if (!models.length) return;
    const there = (name) => models.some((each) => each.name === name);
    if (!there(chat.model)) chat.model = [asked, remembered()].find(there) ?? models[0].name;
    if (!there(second.model)) second.model = (models.find((each) => each.name !== chat.model) ?? models[0]).name;
    chat.show();
  }, [value]);
  useEffect(() => {
    const keys = (event) => event.key === "Escape" && !event.target.closest?.("dialog") && [chat, second].forEach((each) => each.stop());
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, []);
  const talk = chat.talk?.id;
  useEffect(() => {
    if (!talk) return;
    // A conversation is opened with the one beside it; a new one goes on with both models.
    const paired = chat.talks.some((each) => each.beside === talk);
    if (paired || (compares && !chat.talk.messages.length)) {
      second.beside(chat);
      setCompares(true);
    } else setCompares(false);
  }, [talk]);
  const id = chat.talk?.messages.length ? chat.talk.id : "";
  useEffect(() => {
    if (chat.talk && location.hash.slice(1) !== id) history.pushState(null, "", id ? `#${id}` : location.pathname);
  }, [id]);
  const compare = () => {
    if (compares) second.part();
    else second.beside(chat);
    setCompares(!compares);
  };
  const busy = chats.some((each) => each.running);
  const send = (text) => chats.forEach((each) => each.send(text));
  const shownTasks = ["chat", ...Object.keys(TASKS).filter((key) => every.some((each) => each.capabilities.includes(TASKS[key])))];
  useCommands(() => [
    { id: "write", label: t("keys.write"), key: "w", run: () => document.getElementById("write")?.focus() },
    { id: "send", label: t("keys.send"), key: "Enter" },
    { id: "line", label: t("keys.line"), key: "Shift+Enter" },
    { id: "stop", label: t("keys.stop"), key: "Esc", run: busy && (() => chats.forEach((each) => each.stop())) },
    { id: "new", label: t("talk.new"), run: () => chat.create() },
    { id: "settings", label: t("settings"), run: () => setOpened("settings") },
    model && { id: "code", label: t("code"), run: () => setOpened("code") },
    models.length > 0 && !busy && { id: "beside", label: t(compares ? "beside.end" : "beside"), run: compare },
    ...shownTasks.map((key) => ({ id: `task.${key}`, label: t(`task.${key}`), group: t("task"), run: () => setTask(key) })),
    ...models.map(({ name }) => ({ id: `model.${name}`, label: t("model.use", { name }), group: t("model"), run: () => use(chat, name) })),
    ...chat.talks.map((each) => ({ id: `talk.${each.id}`, label: each.title || t("talk.untitled"), group: t("talk"), run: () => chat.select(each.id) })),
  ].filter(Boolean));

  const names = Object.fromEntries(shownTasks.map((key) => [key, t(`task.${key}`)]));
  const able = (what) => chats.every((each) => models.find(({ name }) => name === each.model)?.capabilities.includes(what));
  const close = () => setOpened(null);
  const label = (each) => (beside ? t("messages.of", { model: each.model }) : t("messages"));
  return html`<div class="place">
    ${shownTasks.length > 1 && html`<div class="tasks"><${Tabs} label=${t("task")} names=${names} chosen=${task} choose=${setTask} id="task" /></div>`}
    ${task !== "chat" && html`<div id="task" role="tabpanel" aria-label=${names[task]} class="column sheet"><${Task} name=${task} models=${every} chat=${chat} keyed=${Boolean(value?.accounts)} /></div>`}
    <div class="desk" hidden=${task !== "chat"} id=${task === "chat" && shownTasks.length > 1 ? "task" : null} role=${shownTasks.length > 1 ? "tabpanel" : null} aria-label=${shownTasks.length > 1 ? names.chat : null}>
    <aside class="side" aria-label=${t("talks")}><${Side} chat=${chat} /></aside>
    <section class="talk" aria-label=${t("talk")}>
      <div class="bar">
        <button type="button" class="plain narrow" aria-label=${t("talks")} onClick=${() => setOpened("side")}><${Icon} name="menu" /></button>
        ${!beside && html`<${ModelChoice} chat=${chat} models=${models} failed=${failed} />`}
        <span class="right">
          <button type="button" class="plain" aria-label=${t("code")} onClick=${() => setOpened("code")} disabled=${!model}><${Icon} name="code" /></button>
          <button type="button" class="plain" aria-label=${t("settings")} onClick=${() => setOpened("settings")} disabled=${!chat.talk}><${Icon} name="settings" /></button>
          <button type="button" class="plain" aria-label=${t(compares ? "beside.end" : "beside")} aria-pressed=${compares ? "true" : "false"} onClick=${compare} disabled=${!model || !chat.talk || busy}><${Icon} name=${compares ? "close" : "beside"} /></button>
        </span>
      </div>
      <div class=${beside ? "panes two" : "panes"}>
        <${Pane} chat=${chat} tick=${tick} models=${models} value=${value} failed=${failed} label=${label(chat)} start=${send}
          head=${beside && html`<div class="bar"><${ModelChoice} chat=${chat} models=${models} failed=${failed} /></div>`} />
        ${beside && html`<${Pane} chat=${beside} tick=${tick} models=${models} value=${value && null} label=${label(beside)}
          head=${html`<div class="bar"><${ModelChoice} chat=${beside} models=${models} second /></div>`} />`}
      </div>
      <div class="column foot"><${Composer} chats=${chats} draft=${draft} setDraft=${setDraft} seesImages=${able("vision")} hearsSound=${able("audio")} /></div>
    </section>
    </div>
    ${opened === "side" && html`<${Dialog} title=${t("talks")} close=${close} kind="drawer left"><div class="side"><${Side} chat=${chat} chosen=${close} /></div><//>`}
    ${opened === "settings" && html`<${Settings} chats=${chats} close=${close} />`}
    ${opened === "code" && html`<${CodeView} made=${() => chat.body(draft.text.trim())} kind="chat" keyed=${Boolean(value?.accounts)} close=${close} />`}
  </div>`;
}

show("playground", Playground);
