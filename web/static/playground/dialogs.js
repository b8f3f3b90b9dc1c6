// Settings of a conversation, in a dialog.

import { html } from "../vendor/preact.js";
import { Dialog } from "../lib/dialog.js";
import { t } from "../lib/page.js";

const NUMBERS = [
  ["temperature", { min: 0, max: 2, step: 0.05 }],
  ["top_p", { min: 0, max: 1, step: 0.01 }],
  ["max_tokens", { min: 1, step: 1 }],
  ["seed", { step: 1 }],
];

export function Settings({ chats, close }) {
  const [chat] = chats;
  const { settings } = chat.talk;
  const set = (name) => (event) => chats.forEach((each) => each.set({ [name]: event.target.value }));
  const submit = (event) => {
    event.preventDefault();
    close();
  };
  return html`<${Dialog} title=${t("settings")} close=${close} kind="drawer">
    <form class="fields" onSubmit=${submit}>
      <label>${t("settings.system")}<textarea rows="5" value=${settings.system ?? ""} onInput=${set("system")}></textarea></label>
      <div class="pairs">${NUMBERS.map(([name, limits]) => html`<label>${t(`settings.${name}`)}
        <input type="number" inputmode="decimal" ...${limits} value=${settings[name] ?? ""} placeholder=${t("settings.usual")} onInput=${set(name)} /></label>`)}</div>
      <label>${t("settings.stop")}<textarea rows="2" value=${settings.stop ?? ""} onInput=${set("stop")}></textarea></label>
      <label>${t("settings.key")}<input type="password" autocomplete="off" spellcheck=${false} value=${chat.key} onChange=${(event) => (chat.key = event.target.value.trim())} /></label>
      <p class="small soft">${t("settings.key.where")}</p>
    </form>
  <//>`;
}
