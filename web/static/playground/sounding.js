// What models do with sounds beside conversations: words of a sound, a voice for a text.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { Copy, format, t, usePoll } from "../lib/page.js";
import { asWav, hears, record } from "./sounds.js";
import { Outcome, Sheet, useAddress, useModel, useTask } from "./task.js";

const VOICES_EVERY = 60;

/** Return for how many whole seconds it has been on. */
function useSeconds(on) {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    setSeconds(0);
    if (!on) return;
    const timer = setInterval(() => setSeconds((last) => last + 1), 1000);
    return () => clearInterval(timer);
  }, [on]);
  return seconds;
}

export function Transcription({ models, headers, keyed }) {
  const [model, choice] = useModel(models);
  const [sound, setSound] = useState(null);
  const [stop, setStop] = useState(null);
  const [refused, setRefused] = useState(null);
  const [state, ask] = useTask(headers);
  const file = useRef(null);
  const seconds = useSeconds(stop !== null);
  const take = async (blob, name) => {
    const wav = await asWav(blob);
    setSound(wav && { blob: wav, name });
    setRefused(wav ? null : t("sound.unread"));
  };
  const hear = async () => {
    if (stop) {
      setStop(null);
      await take(await stop(), t("sound.microphone"));
      return;
    }
    try {
      const end = await record();
      setRefused(null);
      setStop(() => end);
    } catch {
      setRefused(t("sound.forbidden"));
    }
  };
  const made = () => ({ model });
  const send = () => {
    const form = new FormData();
    for (const [name, value] of Object.entries(made())) form.set(name, value);
    form.set("file", sound.blob, "sound.wav");
    return ask("/v1/audio/transcriptions", form, (answer) => answer.json());
  };
  return html`<${Sheet} name="hear" about=${t(hears ? "hear.text" : "hear.text.file")} send=${send} kind="hear" keyed=${keyed} made=${made}>${choice}
    <label>${t("hear.file")}<input ref=${file} type="file" accept="audio/*,video/*" onChange=${(event) => event.target.files[0] && take(event.target.files[0], event.target.files[0].name)} /></label>
    <div class="row">${hears && html`<button type="button" aria-pressed=${stop ? "true" : "false"} onClick=${hear}>${t(stop ? "sound.stop" : "sound.record")}</button>`}
      <button type="submit" class="primary" disabled=${state.since !== null || !sound || Boolean(stop)}>${t("hear.send")}</button>
      <span class="soft small" role="status">${stop ? t("sound.recording", { time: format.seconds(seconds) }) : sound ? sound.name : ""}</span></div>
    ${refused && html`<p class="notice bad" role="alert">${refused}</p>`}
    <${Outcome} state=${state} model=${model}>${({ text }) => html`<div class="heard"><p>${text.trim() || t("hear.nothing")}</p><${Copy} text=${text.trim()} label=${t("copy.message")} /></div>`}<//><//>`;
}

function Spoken({ blob }) {
  const address = useAddress(blob);
  return address && html`<audio controls src=${address} aria-label=${t("speak.sound")}></audio>
    <p><a href=${address} download="speech.wav">${t("speak.save")}</a></p>`;
}

export function Speech({ models, headers, keyed }) {
  const [model, choice] = useModel(models);
  const [text, setText] = useState(t("speak.sample"));
  const [chosen, setChosen] = useState("");
  const [{ value }] = usePoll("/v1/audio/voices", VOICES_EVERY, headers);
  const [state, ask] = useTask(headers);
  const voices = (value?.voices ?? []).filter((each) => each.model === model);
  const voice = voices.find((each) => each.id === chosen)?.id ?? voices[0]?.id;
  const made = () => ({ model, input: text.trim(), ...(voice ? { voice } : {}), response_format: "wav" });
  const send = () => ask("/v1/audio/speech", made(), (answer) => answer.blob());
  return html`<${Sheet} name="speak" about=${t("speak.text")} send=${send} kind="speak" keyed=${keyed} made=${made}>${choice}
    ${voices.length > 0 && html`<label>${t("speak.voice")}<select value=${voice} onChange=${(event) => setChosen(event.target.value)}>
      ${voices.map((each) => html`<option value=${each.id} selected=${each.id === voice}>${each.id}</option>`)}</select></label>`}
    <label>${t("speak.input")}<textarea rows="4" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></label>
    <div class="row"><button type="submit" class="primary" disabled=${state.since !== null || !text.trim()}>${t("speak.send")}</button></div>
    <${Outcome} state=${state} model=${model}>${(blob) => html`<${Spoken} blob=${blob} />`}<//><//>`;
}
