// Where a message is written: text, pictures, send and stop.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { Icon, t } from "../lib/page.js";
import { Refused } from "../lib/stream.js";
import { prepared } from "./images.js";
import { asWav, hears, record } from "./sounds.js";

const TOUCH = matchMedia("(pointer: coarse)");

function Thumbnail({ blob, remove }) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    const url = URL.createObjectURL(blob);
    setAddress(url);
    return () => URL.revokeObjectURL(url);
  }, [blob]);
  const isSound = blob.type.startsWith("audio/");
  return html`<span class=${`thumbnail ${isSound ? "sound" : ""}`}>${isSound ? html`<audio controls src=${address} aria-label=${t("sound.attached")}></audio>` : html`<img src=${address} alt=${t("image.attached")} />`}
    <button type="button" aria-label=${t(isSound ? "sound.remove" : "image.remove")} onClick=${remove}><${Icon} name="close" /></button></span>`;
}

/**
 * `draft` holds the text and what is attached; they are kept when the page shows something else.
 * `chats` are those that a message is sent to, one or two.
 */
export function Composer({ chats, draft, setDraft, seesImages, hearsSound }) {
  const area = useRef(null);
  const file = useRef(null);
  const voice = useRef(null);
  const { text, pictures } = draft;
  const busy = chats.some((each) => each.running);
  const chosen = chats.every((each) => each.model);
  const [stop, setStop] = useState(null);
  const ready = !busy && chosen && !stop && (text.trim() || pictures.length);

  const send = () => {
    // What stands in the field: it may not have been painted yet.
    const said = area.current.value.trim();
    if (busy || !chosen || stop || !(said || pictures.length)) return;
    setDraft({ text: "", pictures: [] });
    for (const chat of chats) chat.send(said, pictures);
  };
  const attach = async (files) => {
    const [seen, heard] = ["image/", "audio/"].map((kind) => [...files].filter((each) => each.type.startsWith(kind)));
    const found = await Promise.all([...(seesImages ? seen.map(prepared) : []), ...(hearsSound ? heard.map(asWav) : [])]);
    const whole = found.filter(Boolean);
    if (hearsSound && !found.slice(seesImages ? seen.length : 0).every(Boolean)) chats[0].failed(new Refused(t("sound.unread"), "page"));
    if (whole.length) setDraft((last) => ({ ...last, pictures: [...last.pictures, ...whole] }));
  };
  const hear = async () => {
    if (stop) {
      setStop(null);
      return attach([await stop()]);
    }
    try {
      const end = await record();
      setStop(() => end);
    } catch (error) {
      chats[0].failed(new Refused(t("sound.forbidden"), "page"));
    }
  };
  const keys = (event) => {
    const writes = event.isComposing || event.shiftKey || TOUCH.matches;
    if (event.key !== "Enter" || writes) return;
    event.preventDefault();
    send();
  };
  const takes = seesImages || hearsSound;
  const paste = (event) => takes && attach(event.clipboardData.files);
  const drop = (event) => {
    if (!takes || !event.dataTransfer.files.length) return;
    event.preventDefault();
    attach(event.dataTransfer.files);
  };
  const submit = (event) => {
    event.preventDefault();
    send();
  };
  const picked = (event) => {
    attach(event.target.files);
    event.target.value = "";
  };
  const without = (index) => setDraft((last) => ({ ...last, pictures: last.pictures.filter((_, at) => at !== index) }));

  return html`<form class="composer" onSubmit=${submit} onDragOver=${(event) => takes && event.preventDefault()} onDrop=${drop}>
    ${pictures.length > 0 && html`<div class="pictures">${pictures.map((blob, index) => html`<${Thumbnail} key=${index} blob=${blob} remove=${() => without(index)} />`)}</div>`}
    <div class="write">
      ${seesImages && html`<button type="button" class="plain" aria-label=${t("image.add")} onClick=${() => file.current.click()}><${Icon} name="image" /></button>
        <input ref=${file} type="file" accept="image/*" multiple hidden onChange=${picked} aria-label=${t("image.add")} />`}
      ${hearsSound && html`<button type="button" class="plain" aria-label=${t("sound.add")} onClick=${() => voice.current.click()}><${Icon} name="clip" /></button>
        <input ref=${voice} type="file" accept="audio/*" multiple hidden onChange=${picked} aria-label=${t("sound.add")} />`}
      ${hearsSound && hears && html`<button type="button" class=${stop ? "plain hears" : "plain"} aria-label=${t(stop ? "sound.stop" : "sound.record")} aria-pressed=${stop ? "true" : "false"} onClick=${hear}><${Icon} name=${stop ? "stop" : "sound"} /></button>`}
      <textarea ref=${area} id="write" rows="1" aria-label=${t("write")} placeholder=${t("write")} value=${text} onKeyDown=${keys} onPaste=${paste}
        onInput=${(event) => setDraft((last) => ({ ...last, text: event.target.value }))}></textarea>
      ${busy
        ? html`<button type="button" class="primary" aria-label=${t("stop")} onClick=${() => chats.forEach((each) => each.stop())}><${Icon} name="stop" /></button>`
        : html`<button type="submit" class="primary" aria-label=${t("send")} disabled=${!ready}><${Icon} name="send" /></button>`}
    </div>
  </form>`;
}
