// One message: its text as Markdown, thoughts and tool calls folded, figures, and what can be done with it.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { blocks } from "../lib/blocks.js";
import { highlight, nodesOf } from "../lib/markdown.js";
import { copy, Copy, format, Icon, t } from "../lib/page.js";
import { figures } from "./answer.js";
import { hush, readAloud } from "./sounds.js";
import { Waiting } from "./waiting.js";

/** Give each code block a button that copies it. */
function withCopies(nodes) {
  for (const pre of nodes.querySelectorAll("pre")) {
    const box = document.createElement("div");
    box.className = "code";
    pre.replaceWith(box);
    pre.tabIndex = 0;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain copy";
    button.textContent = t("copy");
    button.addEventListener("click", async () => {
      const done = await copy(pre.textContent);
      button.textContent = t(done ? "copied" : "copy");
    });
    box.append(pre, button);
  }
  for (const table of nodes.querySelectorAll("table")) {
    const box = document.createElement("div");
    box.className = "table";
    box.tabIndex = 0;
    table.replaceWith(box);
    box.append(table);
  }
  return nodes;
}

function Block({ text, settled }) {
  const place = useRef(null);
  useLayoutEffect(() => place.current.replaceChildren(withCopies(nodesOf(text))), [text]);
  useEffect(() => {
    if (!settled) return;
    // Without the highlighter the code is readable all the same.
    for (const code of place.current.querySelectorAll("pre code")) highlight(code).catch(() => {});
  }, [text, settled]);
  return html`<div class="block" ref=${place}></div>`;
}

/** Markdown that may still grow: only its last block is rendered anew. */
export function Markdown({ text, growing }) {
  const parts = useMemo(() => blocks(text), [text]);
  return html`<div class="markdown">${parts.map((part, index) => html`<${Block} key=${index} text=${part} settled=${!growing || index < parts.length - 1} />`)}</div>`;
}

/** A picture or a sound that is kept in the store. */
function Attached({ id, store, sound }) {
  const [address, setAddress] = useState(null);
  useEffect(() => {
    let url = null;
    let gone = false;
    Promise.resolve(store.image(id)).then((blob) => {
      if (blob && !gone) setAddress((url = URL.createObjectURL(blob)));
    });
    return () => {
      gone = true;
      if (url) URL.revokeObjectURL(url);
    };
  }, [id]);
  if (!address) return null;
  return sound ? html`<audio controls src=${address} aria-label=${t("sound.attached")}></audio>` : html`<img src=${address} alt=${t("image.attached")} />`;
}

function Aloud({ text, chat }) {
  const [reads, setReads] = useState(false);
  useEffect(() => () => reads && hush(), [reads]);
  const click = async () => {
    if (reads) return hush();
    setReads(true);
    try {
      await readAloud(chat.speaker, text, chat.headers());
    } catch (error) {
      chat.failed(error);
    }
    setReads(false);
  };
  return html`<button type="button" class="plain" aria-label=${t(reads ? "aloud.stop" : "aloud")} onClick=${click}><${Icon} name=${reads ? "stop" : "loud"} /></button>`;
}

function Editor({ text, label, done, cancel }) {
  const area = useRef(null);
  useLayoutEffect(() => area.current.focus(), []);
  const keys = (event) => event.key === "Escape" && cancel();
  return html`<div class="editor">
    <textarea ref=${area} rows="4" aria-label=${t("edit")} onKeyDown=${keys} defaultValue=${text}></textarea>
    <div class="row"><button type="button" class="primary" onClick=${() => done(area.current.value)}>${label}</button>
      <button type="button" onClick=${cancel}>${t("cancel")}</button></div>
  </div>`;
}

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

export function sayProblem({ code, message, status, after }) {
  const later = after ? ` ${t("problem.later", { time: format.seconds(after) })}` : "";
  if (code === "network") return t("problem.network");
  if (code === "store") return t("problem.store");
  if (status === 401) return t("problem.key");
  return `${sentence(message || t("problem.other", { code: code || status }))}${later}`;
}

function Figures({ figures: known, variant, model, finish, currency }) {
  const parts = [
    variant || model,
    known.tokens && t("figures.tokens", { number: format.number(known.tokens) }),
    known.rate && t("figures.rate", { number: format.rate(known.rate) }),
    known.first != null && t("figures.first", { time: format.seconds(known.first) }),
    known.cost != null && t("figures.cost", { cost: format.cost(known.cost, currency) }),
    known.prompt && t(known.cached ? "figures.prompt.cached" : "figures.prompt", { number: format.number(known.prompt), cached: format.number(known.cached) }),
    finish === "length" && t("finish.length"),
    finish === "stopped" && t("finish.stopped"),
  ].filter(Boolean);
  return html`<p class="figures soft small">${parts.map((part) => html`<span>${part}</span>`)}</p>`;
}

function Folded({ message, growing }) {
  const { thought, calls = [], text } = message;
  return html`
    ${thought && html`<details class="folded"><summary>${t(growing && !text ? "thinking" : "thought")}</summary><${Markdown} text=${thought} growing=${growing} /></details>`}
    ${calls.map((call) => html`<details class="folded"><summary>${t("called", { name: call.name })}</summary><pre tabindex="0">${call.arguments}</pre></details>`)}`;
}

/** `running` is the answer under way if it is this message; `actions` is the chat. */
export function Message({ message, place, count, running, busy, actions, store }) {
  const [editing, setEditing] = useState(false);
  const shown = running ? { ...message, ...running.answer } : message;
  const key = running ? running.answer : message;
  return useMemo(() => {
    const own = message.role === "user";
    const waiting = running && running.answer.first === null;
    const turns = count > 1 && html`<span class="turns"><button type="button" class="plain" disabled=${place === 0 || busy} aria-label=${t("turn.back")} onClick=${() => actions.turn(message.id, -1)}>‹</button>
      <span aria-label=${t("turn.place", { place: place + 1, count })}>${place + 1}/${count}</span>
      <button type="button" class="plain" disabled=${place === count - 1 || busy} aria-label=${t("turn.on")} onClick=${() => actions.turn(message.id, 1)}>›</button></span>`;
    const edit = (text) => {
      setEditing(false);
      if (own) actions.edit(message.id, text);
      else actions.rewrite(message.id, text);
    };
    return html`<article class=${`message ${message.role}`} aria-label=${t(`role.${message.role}`)} aria-busy=${running ? "true" : null}>
      ${own && message.images?.length > 0 && html`<div class="pictures">${message.images.map((id) => html`<${Attached} key=${id} id=${id} store=${store} />`)}</div>`}
      ${own && message.sounds?.map((id) => html`<${Attached} key=${id} id=${id} store=${store} sound />`)}
      ${editing
        ? html`<${Editor} text=${message.text} label=${t(own ? "send" : "edit.save")} done=${edit} cancel=${() => setEditing(false)} />`
        : own
          ? html`<div class="said">${message.text}</div>`
          : html`<${Folded} message=${shown} growing=${Boolean(running)} /><${Markdown} text=${shown.text} growing=${Boolean(running)} />`}
      ${waiting && html`<${Waiting} name=${running.model} waits=${running.waits} since=${running.answer.started} />`}
      ${message.problem && html`<div class="notice bad" role="alert">${sayProblem(message.problem)}</div>`}
      ${running && !waiting && html`<${Figures} figures=${figures(running.answer)} variant=${running.waits.variant} model=${running.model} currency=${actions.currency} />`}
      ${!running && !own && message.figures && html`<${Figures} figures=${message.figures} variant=${message.variant} model=${message.model} finish=${message.finish} currency=${actions.currency} />`}
      ${!running && message.edited && html`<p class="figures soft small">${t("finish.edited")}</p>`}
      ${!running && !editing && html`<div class="tools">
        ${turns}
        <${Copy} text=${message.text} label=${t("copy.message")} kind="plain" />
        ${!own && message.text && actions.speaker && html`<${Aloud} text=${message.text} chat=${actions} />`}
        <button type="button" class="plain" disabled=${busy} aria-label=${t(own ? "edit" : "edit.answer")} onClick=${() => setEditing(true)}><${Icon} name="edit" /></button>
        ${!own && html`<button type="button" class="plain" disabled=${busy} aria-label=${t("again.answer")} onClick=${() => actions.again(message.id)}><${Icon} name="redo" /></button>`}
      </div>`}
    </article>`;
  }, [key, running?.waits, place, count, busy, editing, actions.speaker, actions.currency]);
}
