// What models do beside conversations: vectors of texts, ranks of documents, words of sounds.

import { html, useRef, useState } from "../vendor/preact.js";
import { answered } from "../lib/ask.js";
import { Copy, format, t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { asWav, hears, record } from "./sounds.js";
import { likeness, lines, shade } from "./vectors.js";

function useTask(headers) {
  const [state, setState] = useState({ busy: false, problem: null, result: null, seconds: null });
  const ask = async (path, body, read) => {
    const began = performance.now();
    setState({ busy: true, problem: null, result: null, seconds: null });
    try {
      const answer = await answered("POST", path, body, headers);
      const result = read(await answer.json());
      setState({ busy: false, problem: null, result, seconds: (performance.now() - began) / 1000 });
    } catch (error) {
      setState({ busy: false, problem: error.status === undefined ? String(error) : sayRefusal(error), result: null, seconds: null });
    }
  };
  return [state, ask];
}

function useModel(models) {
  const [name, setName] = useState(models[0].name);
  const found = models.find((each) => each.name === name) ?? models[0];
  const choice = html`<label>${t("model")}<select value=${found.name} onChange=${(event) => setName(event.target.value)}>
    ${models.map((each) => html`<option value=${each.name} selected=${each === found}>${each.name}</option>`)}</select></label>`;
  return [found.name, choice];
}

function Outcome({ state, children }) {
  return html`<div aria-busy=${state.busy ? "true" : null}>
    <p class="soft small" role="status">${state.busy ? t("task.busy") : state.seconds != null ? t("task.took", { time: format.seconds(state.seconds) }) : ""}</p>
    ${state.problem && html`<p class="notice bad" role="alert">${state.problem}</p>`}
    ${state.result && children(state.result)}</div>`;
}

const sending = (act) => (event) => {
  event.preventDefault();
  act();
};

export function Embeddings({ models, headers }) {
  const [model, choice] = useModel(models);
  const [text, setText] = useState(t("embed.sample"));
  const [state, ask] = useTask(headers);
  const texts = lines(text);
  const send = () => ask("/v1/embeddings", { model, input: texts }, ({ data, usage }) => {
    const vectors = data.toSorted((one, other) => one.index - other.index).map((each) => each.embedding);
    return { texts, table: likeness(vectors), size: vectors[0].length, tokens: usage?.prompt_tokens };
  });
  return html`<form class="card task" onSubmit=${sending(send)}><h1>${t("task.embed")}</h1><p class="soft">${t("embed.text")}</p>${choice}
    <label>${t("embed.lines")}<textarea rows="5" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></label>
    <div class="row"><button type="submit" class="primary" disabled=${state.busy || !texts.length}>${t("embed.send")}</button></div>
    <${Outcome} state=${state}>${(found) => {
      const apart = found.table.flatMap((row, index) => row.filter((_, other) => other !== index));
      return html`<p class="soft small">${t("embed.size", { size: format.number(found.size), tokens: format.number(found.tokens) })}</p>
        <div class="table" tabindex="0" role="region" aria-label=${t("embed.table")}><table><thead><tr><td></td>${found.texts.map((_, index) => html`<th scope="col">${index + 1}</th>`)}</tr></thead>
        <tbody>${found.table.map((row, index) => html`<tr><th scope="row">${index + 1} · ${found.texts[index]}</th>
          ${row.map((each, other) => html`<td class=${index === other ? "same" : `shade-${shade(each, apart)}`}>${format.score(each)}</td>`)}</tr>`)}</tbody></table></div>`;
    }}<//></form>`;
}

export function Rerank({ models, headers }) {
  const [model, choice] = useModel(models);
  const [query, setQuery] = useState(t("rerank.sample.query"));
  const [text, setText] = useState(t("rerank.sample"));
  const [state, ask] = useTask(headers);
  const documents = lines(text);
  const send = () => ask("/v1/rerank", { model, query, documents }, ({ results }) =>
    results.toSorted((one, other) => other.relevance_score - one.relevance_score).map((each) => ({ text: documents[each.index], score: each.relevance_score })));
  return html`<form class="card task" onSubmit=${sending(send)}><h1>${t("task.rerank")}</h1><p class="soft">${t("rerank.text")}</p>${choice}
    <label>${t("rerank.query")}<input value=${query} onInput=${(event) => setQuery(event.target.value)} /></label>
    <label>${t("rerank.lines")}<textarea rows="5" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></label>
    <div class="row"><button type="submit" class="primary" disabled=${state.busy || !documents.length || !query.trim()}>${t("rerank.send")}</button></div>
    <${Outcome} state=${state}>${(found) => html`<ol class="ranks" aria-label=${t("rerank.ranks")}>${found.map((each) => html`<li><span class="n">${format.score(each.score)}</span> ${each.text}</li>`)}</ol>`}<//></form>`;
}

export function Transcription({ models, headers }) {
  const [model, choice] = useModel(models);
  const [sound, setSound] = useState(null);
  const [stop, setStop] = useState(null);
  const [refused, setRefused] = useState(null);
  const [state, ask] = useTask(headers);
  const file = useRef(null);
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
  const send = () => {
    const form = new FormData();
    form.set("model", model);
    form.set("file", sound.blob, "sound.wav");
    return ask("/v1/audio/transcriptions", form, ({ text }) => ({ text }));
  };
  return html`<form class="card task" onSubmit=${sending(send)}><h1>${t("task.hear")}</h1><p class="soft">${t(hears ? "hear.text" : "hear.text.file")}</p>${choice}
    <label>${t("hear.file")}<input ref=${file} type="file" accept="audio/*,video/*" onChange=${(event) => event.target.files[0] && take(event.target.files[0], event.target.files[0].name)} /></label>
    <div class="row">${hears && html`<button type="button" aria-pressed=${stop ? "true" : "false"} onClick=${hear}>${t(stop ? "sound.stop" : "sound.record")}</button>`}
      <button type="submit" class="primary" disabled=${state.busy || !sound || Boolean(stop)}>${t("hear.send")}</button>
      <span class="soft small" role="status">${stop ? t("sound.recording") : sound ? sound.name : ""}</span></div>
    ${refused && html`<p class="notice bad" role="alert">${refused}</p>`}
    <${Outcome} state=${state}>${(found) => html`<div class="heard"><p>${found.text.trim() || t("hear.nothing")}</p><${Copy} text=${found.text.trim()} label=${t("copy.message")} /></div>`}<//></form>`;
}
