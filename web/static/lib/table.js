// Tables, and buttons that send an order.

import { html, useState } from "../vendor/preact.js";
import { t } from "./page.js";
import { sayRefusal } from "./refusal.js";

/** A table that scrolls in its own box; `columns` are `[key, isNumber]`. */
export function Table({ label, columns, empty, children }) {
  if (!children.length) return html`<p class="soft">${empty}</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}><table>
    <thead><tr>${columns.map(([key, number]) => html`<th scope="col" class=${number ? "n" : ""}>${key ? t(key) : html`<span class="hidden-text">${t("col.act")}</span>`}</th>`)}</tr></thead>
    <tbody>${children}</tbody></table></div>`;
}

/** A button that is disabled while its order is carried out; `failed` hears why it was refused. */
export function Order({ label, name, kind = "", act, failed }) {
  const [busy, setBusy] = useState(false);
  const click = async () => {
    setBusy(true);
    try {
      await act();
    } catch (error) {
      failed(sayRefusal(error));
    }
    setBusy(false);
  };
  return html`<button type="button" class=${kind} disabled=${busy} aria-label=${name} onClick=${click}>${label}</button>`;
}
