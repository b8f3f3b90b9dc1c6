// Where a message is written: text, pictures, send and stop.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { Icon, t } from "../lib/page.js";
import { prepared } from "./images.js";

const TOUCH = matchMedia("(pointer: coarse)");

function Thumbnail({ blob, remove }) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    const url = URL.createObjectURL(blob);
    setAddress(url);
    return () => URL.revokeObjectURL(url);
  }, [blob]);
  return html`<span class="thumbnail"><img src=${address} alt=${t("image.attached")} />
    <button type="button" aria-label=${t("image.remove")} onClick=${remove}><${Icon} name="close" /></button></span>`;
}

/** `draft` holds the text and the pictures; they are kept when the page shows something else. */
export function Composer({ chat, draft, setDraft, seesImages }) {
  const area = useRef(null);
  const file = useRef(null);
  const { text, pictures } = draft;
  const busy = Boolean(chat.running);
  const ready = !busy && chat.model && (text.trim() || pictures.length);

  const send = () => {
    // What stands in the field: it may not have been painted yet.
    const said = area.current.value.trim();
    if (busy || !chat.model || !(said || pictures.length)) return;
    setDraft({ text: "", pictures: [] });
    chat.send(said, pictures);
  };
  const attach = async (files) => {
    const found = await Promise.all([...files].filter((each) => each.type.startsWith("image/")).map(prepared));
    const whole = found.filter(Boolean);
    if (whole.length) setDraft((last) => ({ ...last, pictures: [...last.pictures, ...whole] }));
  };
  const keys = (event) => {
    const writes = event.isComposing || event.shiftKey || TOUCH.matches;
    if (event.key !== "Enter" || writes) return;
    event.preventDefault();
    send();
  };
  const paste = (event) => seesImages && attach(event.clipboardData.files);
  const drop = (event) => {
    if (!seesImages || !event.dataTransfer.files.length) return;
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

  return html`<form class="composer" onSubmit=${submit} onDragOver=${(event) => seesImages && event.preventDefault()} onDrop=${drop}>
    ${pictures.length > 0 && html`<div class="pictures">${pictures.map((blob, index) => html`<${Thumbnail} key=${index} blob=${blob} remove=${() => without(index)} />`)}</div>`}
    <div class="write">
      ${seesImages && html`<button type="button" class="plain" aria-label=${t("image.add")} onClick=${() => file.current.click()}><${Icon} name="image" /></button>
        <input ref=${file} type="file" accept="image/*" multiple hidden onChange=${picked} aria-label=${t("image.add")} />`}
      <textarea ref=${area} id="write" rows="1" aria-label=${t("write")} placeholder=${t("write")} value=${text} onKeyDown=${keys} onPaste=${paste}
        onInput=${(event) => setDraft((last) => ({ ...last, text: event.target.value }))}></textarea>
      ${busy
        ? html`<button type="button" class="primary" aria-label=${t("stop")} onClick=${() => chat.stop()}><${Icon} name="stop" /></button>`
        : html`<button type="submit" class="primary" aria-label=${t("send")} disabled=${!ready}><${Icon} name="send" /></button>`}
    </div>
  </form>`;
}
