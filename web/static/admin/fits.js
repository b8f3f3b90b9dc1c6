// Whether a model fits this machine, and in which contexts.

import { html } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { fitOf } from "./pulling.js";

const KINDS = { yes: "good", no: "bad", unknown: "" };

export function Fits({ model }) {
  const fit = fitOf(model);
  const contexts = model.contexts ?? [];
  return html`<span class=${`pill ${KINDS[fit]}`}>${t(`fits.${fit}`)}</span>
    ${contexts.map((each) => html` <span key=${each.context} class="pill" title=${each.why}>${format.context(each.context)}: ${format.bytes(each.memory)}</span>`)}`;
}
