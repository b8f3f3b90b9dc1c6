// What all tasks beside conversations have: a form, what is waited for, the outcome, the code.

import { html, useEffect, useState } from "../vendor/preact.js";
import { answered } from "../lib/ask.js";
import { format, Icon, t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { CodeView } from "./codeview.js";
import { Waiting } from "./waiting.js";

const IDLE = { since: null, problem: null, result: null, seconds: null };

/** Return what became of the last request, and a function that sends one. `read` makes the result. */
export function useTask(headers) {
  const [state, setState] = useState(IDLE);
  const ask = async (path, body, read) => {
    const since = performance.now();
    setState({ ...IDLE, since });
    try {
      const result = await read(await answered("POST", path, body, headers));
      setState({ ...IDLE, result, seconds: (performance.now() - since) / 1000 });
    } catch (error) {
      setState({ ...IDLE, problem: error.status === undefined ? String(error) : sayRefusal(error) });
    }
  };
  return [state, ask];
}

/** Return the name of the chosen model, and the field in which it is chosen. */
export function useModel(models) {
  const [name, setName] = useState(models[0].name);
  const found = models.find((each) => each.name === name) ?? models[0];
  const choice = html`<label>${t("model")}<select value=${found.name} onChange=${(event) => setName(event.target.value)}>
    ${models.map((each) => html`<option value=${each.name} selected=${each === found}>${each.name}</option>`)}</select></label>`;
  return [found.name, choice];
}

export function Outcome({ state, model, children }) {
  return html`<div aria-busy=${state.since === null ? null : "true"}>
    ${state.since === null
      ? html`<p class="soft small" role="status">${state.seconds == null ? "" : t("task.took", { time: format.seconds(state.seconds) })}</p>`
      : html`<${Waiting} name=${model} since=${state.since} idle="work" />`}
    ${state.problem && html`<p class="notice bad" role="alert">${state.problem}</p>`}
    ${state.result && children(state.result)}</div>`;
}

/** A form with its title; `made` returns the body of the request, which is shown as code. */
export function Sheet({ name, about, send, kind, keyed, made, children }) {
  const [opened, setOpened] = useState(false);
  const submit = (event) => {
    event.preventDefault();
    send();
  };
  return html`<form class="card task" onSubmit=${submit}>
    <header><h1>${t(`task.${name}`)}</h1><button type="button" class="plain" aria-label=${t("code")} onClick=${() => setOpened(true)}><${Icon} name="code" /></button></header>
    <p class="soft">${about}</p>${children}</form>
    ${opened && html`<${CodeView} made=${made} kind=${kind} keyed=${keyed} close=${() => setOpened(false)} />`}`;
}

/** Return an address of the Blob as long as it is shown. */
export function useAddress(blob) {
  const [address, setAddress] = useState(null);
  useEffect(() => {
    if (!blob) return;
    const url = URL.createObjectURL(blob);
    setAddress(url);
    return () => URL.revokeObjectURL(url);
  }, [blob]);
  return address;
}
