// What can be chosen before a session, and what is missing for one.

import { html } from "../vendor/preact.js";
import { Code, t } from "../lib/page.js";
import { wordsOf } from "./choices.js";

const MODES = ["free", "hold"];
const WAKES = ["off", "pre", "post", "mid"];
const CONFIGURED = {
  text: '{ name = "chat", variants = { … } },',
  audio: '{ name = "whisper", engine = presets.engines.whisper },',
  speech: '{ name = "voice", engine = presets.engines.piper },',
};

function Choice({ label, value, set, options }) {
  return html`<label>${label}<select value=${value} onChange=${(event) => set(event.target.value)}>
    ${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}</select></label>`;
}

/** Choices hold for a whole session: while it is `fixed`, none can be changed. */
export function Choices({ all, models, voices, choose, fixed, given, setKey }) {
  const { model, voice, mode, wake, words, system } = all;
  const said = (each) => [each.id || each.model, each.language, voices.some((other) => other.model !== each.model) && each.id ? each.model : ""].filter(Boolean).join(" · ");
  const unset = wake !== "off" && !wordsOf(words).length;
  return html`<form class="card" onSubmit=${(event) => event.preventDefault()}><fieldset class="choices" disabled=${fixed}>
    <legend class="hidden-text">${t("live.choices")}</legend>
    ${fixed && html`<p class="soft small">${t("live.choices.fixed")}</p>`}
    <${Choice} label=${t("model")} value=${model} set=${(name) => choose({ model: name })} options=${models.map(({ name }) => [name, name])} />
    <${Choice} label=${t("live.voice")} value=${voice} set=${(name) => choose({ voice: name })} options=${[["", t("live.voice.usual")], ...voices.map((each) => [each.value, said(each)])]} />
    <${Choice} label=${t("live.mode")} value=${mode} set=${(name) => choose({ mode: name })} options=${MODES.map((each) => [each, t(`live.mode.${each}`)])} />
    <${Choice} label=${t("live.wake")} value=${wake} set=${(name) => choose({ wake: name })} options=${WAKES.map((each) => [each, t(`live.wake.${each}`)])} />
    ${wake !== "off" && html`<label>${t("live.words")}<input value=${words} autocomplete="off" aria-describedby=${unset ? "unset" : null} onInput=${(event) => choose({ words: event.target.value })} /></label>`}
    ${unset && html`<p class="small soft" id="unset">${t("live.words.none")}</p>`}
    <details><summary>${t("live.more")}</summary>
      <label>${t("settings.system")}<textarea rows="4" value=${system} onChange=${(event) => choose({ system: event.target.value.trim() ? event.target.value : null })}></textarea></label>
      <label>${t("settings.key")}<input type="password" autocomplete="off" spellcheck=${false} value=${given} onChange=${(event) => setKey(event.target.value.trim())} /></label>
      <p class="small soft">${t("settings.key.where")}</p></details>
  </fieldset></form>`;
}

/** Say which models a conversation needs, and how they are set up. */
export function Lacking({ what }) {
  return html`<section class="card lacking"><h2>${t("live.lacking")}</h2>
    <ul>${what.map((each) => html`<li>${t(`live.lacking.${each}`)}</li>`)}</ul>
    <p class="soft">${t("live.lacking.how")}</p>
    <${Code} text=${what.map((each) => CONFIGURED[each]).join("\n")} label=${t("live.lacking")} /></section>`;
}
