// The live page: a conversation by voice with a model.

import { html, useEffect, useLayoutEffect, useReducer, useRef, useState } from "../vendor/preact.js";
import { answered } from "../lib/ask.js";
import { format, Icon, show, t, useCommands, usePoll } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { keep, kept } from "../lib/tab.js";
import { remember, remembered, voicesOf } from "./choices.js";
import { Choices, Lacking } from "./panel.js";
import { isBusy, total } from "./state.js";
import { Talk } from "./talk.js";
import { holdsKeys, useHold } from "./hold.js";

const MODELS_EVERY = 5;
const STEPS = ["heard", "understood", "thought", "spoken"];
const KEY = "key";
// Milliseconds between two pictures of the levels.
const PICTURE = 50;
const headers = () => (kept(KEY) ? { Authorization: `Bearer ${kept(KEY)}` } : {});

/** Say what went wrong. */
function sayProblem(problem) {
  if (problem.error) return problem.error.status === 401 ? t("problem.key") : sayRefusal(problem.error);
  return problem.text || t(problem.key);
}

function sayStatus({ phase, step, user, plays }) {
  if (phase !== "open") return t(`live.phase.${phase}`);
  if (user) return t("live.step.user");
  return t(`live.step.${plays ? "speaking" : step}`);
}

function Captions({ lines }) {
  const box = useRef(null);
  useLayoutEffect(() => {
    box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  return html`<div class="captions" ref=${box} role="log" aria-live="polite" aria-label=${t("live.captions")} tabindex="0">
    ${!lines.length && html`<p class="soft">${t("live.captions.none")}</p>`}
    ${lines.map(({ turn, mine, text, done, mark }) => html`<div key=${`${turn}${mine}`} class=${`line ${mine ? "mine" : ""} ${done ? "" : "open"}`} aria-busy=${done ? null : "true"}>
      <span class="who small soft">${t(mine ? "live.you" : "live.model")}</span>
      <p>${text}${mark && html` <span class="pill warn">${t(`live.mark.${mark}`)}</span>`}</p></div>`)}
  </div>`;
}

/** Both levels, drawn by themselves: a picture of them needs no new page. */
function Meters({ talk }) {
  const user = useRef(null);
  const voice = useRef(null);
  useEffect(() => {
    let next = 0;
    let last = 0;
    const draw = (now) => {
      if (!user.current) return;
      next = requestAnimationFrame(draw);
      if (now - last < PICTURE) return;
      last = now;
      const { user: own, voice: other, heard } = talk.measure();
      user.current.value = own;
      voice.current.value = other;
      voice.current.dataset.heard = heard;
    };
    next = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(next);
  }, []);
  return html`<div class="meters">
    <label>${t("live.level.user")}<meter ref=${user} min="0" max="1"></meter></label>
    <label>${t("live.level.voice")}<meter ref=${voice} min="0" max="1"></meter></label></div>`;
}

function Latency({ times }) {
  const ms = (value) => (value == null ? "–" : t("live.ms", { count: format.number(value) }));
  return html`<section aria-label=${t("live.latency")}>
    <dl class="latency">${STEPS.map((step) => html`<div><dt>${t(`live.latency.${step}`)}</dt><dd data-step=${step}>${ms(times?.[step])}</dd></div>`)}
      <div><dt>${t("live.latency.total")}</dt><dd data-step="total">${ms(total(times))}</dd></div></dl></section>`;
}

function Microphone({ talk, mode }) {
  if (talk.deaf) return html`<p class="notice warn" role="status">${t(`live.deaf.${talk.deaf}`)} ${t("live.deaf.type")}</p>`;
  if (!talk.hears) return null;
  if (mode === "free") {
    return html`<button type="button" aria-pressed=${talk.muted ? "true" : "false"} onClick=${() => talk.mute()}><${Icon} name="sound" />${t("live.mute")}</button>`;
  }
  return html`<${Hold} talk=${talk} />`;
}

/** The button to hold; who can only press it, presses again to end. */
function Hold({ talk }) {
  const keys = useHold(talk);
  return html`<button type="button" class="primary hold" aria-pressed=${talk.holding ? "true" : "false"} aria-keyshortcuts="Space" ...${keys}>
    <${Icon} name="sound" />${t(talk.holding ? "live.holding" : "live.hold")}</button>`;
}

function Write({ talk }) {
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    const said = event.target.elements.said.value.trim();
    if (!said) return;
    setText("");
    talk.say(said);
  };
  return html`<form class="row write" onSubmit=${submit}>
    <input id="write" name="said" autocomplete="off" aria-label=${t("live.write")} placeholder=${t("live.write")} value=${text} onInput=${(event) => setText(event.target.value)} />
    <button type="submit" aria-label=${t("send")} disabled=${!text.trim()}><${Icon} name="send" /></button></form>`;
}

function Session({ talk, mode }) {
  const { state } = talk;
  const busy = isBusy(state);
  return html`<section class="card talk" aria-label=${t("live.talk")}>
    <div class="row head"><span class=${`pill ${state.phase === "lost" ? "warn" : state.phase === "open" ? "good" : ""}`} role="status">${sayStatus(state)}</span>
      <button type="button" class="danger" onClick=${() => talk.end()}><${Icon} name="close" />${t("live.end")}</button></div>
    ${state.problem && html`<p class="notice bad" role="alert">${sayProblem(state.problem)}</p>`}
    <${Captions} lines=${state.lines} />
    <${Meters} talk=${talk} />
    <div class="row acts"><${Microphone} talk=${talk} mode=${mode} />
      <button type="button" disabled=${!busy} aria-keyshortcuts="Escape" onClick=${() => talk.interrupt()}><${Icon} name="stop" />${t("live.interrupt")}</button></div>
    <${Write} talk=${talk} />
    <${Latency} times=${state.times} />
  </section>`;
}

/** What a session has left when it is over. */
function Last({ state }) {
  return html`${state.problem && html`<p class="notice bad" role="alert">${sayProblem(state.problem)}</p>`}
    ${state.lines.length > 0 && html`<section class="card talk" aria-label=${t("live.talk")}><${Captions} lines=${state.lines} /><${Latency} times=${state.times} /></section>`}`;
}

function useVoices(key) {
  const [voices, setVoices] = useState([]);
  useEffect(() => {
    // Without a key that is needed, models are chosen without their voices.
    answered("GET", "/v1/audio/voices", undefined, headers()).then(async (answer) => setVoices((await answer.json()).voices), () => setVoices([]));
  }, [key]);
  return voices;
}

function Live() {
  const [, again] = useReducer((count) => count + 1, 0);
  const held = useRef(null);
  const talk = (held.current ??= new Talk(again, headers));
  const [choices, setChoices] = useState(remembered);
  const [key, setKey] = useState(kept(KEY) ?? "");
  const [{ value, failed }] = usePoll("/api/models", MODELS_EVERY);
  const listed = useVoices(key);
  const { state } = talk;
  const models = value?.models ?? [];
  const able = (what) => models.filter((each) => each.capabilities.includes(what));
  const thinkers = able("text");
  const voices = voicesOf(models, listed);
  const model = (thinkers.find((each) => each.name === choices.model) ?? thinkers[0])?.name ?? "";
  const voice = voices.find((each) => each.value === choices.voice)?.value ?? "";
  const all = { ...choices, model, voice, system: choices.system ?? t("live.system.usual") };
  const open = ["opening", "open", "lost"].includes(state.phase);
  const lacking = value && ["text", "audio", "speech"].filter((what) => !able(what).length);
  const choose = (more) => setChoices((last) => {
    const next = { ...last, ...more };
    remember(next);
    return next;
  });
  const start = () => talk.start(all);

  useEffect(() => {
    const escape = (event) => event.key === "Escape" && !event.target.closest?.("dialog") && talk.interrupt();
    const online = () => talk.retry();
    addEventListener("keydown", escape);
    addEventListener("online", online);
    const forget = holdsKeys(talk);
    return () => {
      removeEventListener("keydown", escape);
      removeEventListener("online", online);
      forget();
    };
  }, []);
  // The button that was pressed goes: the focus stays with what has come in its place.
  useEffect(() => {
    if (state.phase === "opening") document.querySelector(".talk .captions")?.focus();
    if (state.phase === "over") document.querySelector(".begin")?.focus();
  }, [state.phase]);
  useCommands(() => [
    open && { id: "write", label: t("live.write"), key: "w", run: () => document.getElementById("write")?.focus() },
    { id: "hold", label: t("live.hold"), key: t("live.space") },
    { id: "interrupt", label: t("live.interrupt"), key: "Esc", run: isBusy(state) && (() => talk.interrupt()) },
    open ? { id: "end", label: t("live.end"), run: () => talk.end() } : lacking?.length === 0 && { id: "start", label: t("live.start"), run: start },
  ].filter(Boolean));

  return html`<div class=${`page live ${open ? "in" : ""}`}>
    <header><h1>${t("live.title")}</h1><p class="soft">${t("live.text")}</p></header>
    ${failed && !value && html`<p class="notice bad" role="alert">${t("offline")}</p>`}
    ${!failed && !value && html`<div class="bones" role="status" aria-label=${t("connecting")}></div>`}
    ${lacking?.length > 0 && html`<${Lacking} what=${lacking} />`}
    ${lacking?.length === 0 && html`<div class="two">
      <div class="main">
        ${!open && html`${talk.deaf && html`<p class="notice warn">${t(`live.deaf.${talk.deaf}`)} ${t("live.deaf.type")}</p>`}
          <button type="button" class="primary begin" onClick=${start}><${Icon} name="sound" />${t("live.start")}</button><${Last} state=${state} />`}
        ${open && html`<${Session} talk=${talk} mode=${choices.mode} />`}
      </div>
      <${Choices} all=${all} models=${thinkers} voices=${voices} choose=${choose} fixed=${open} given=${key} setKey=${(text) => {
        keep(KEY, text);
        setKey(text);
      }} />
    </div>`}
  </div>`;
}

show("live", Live);
