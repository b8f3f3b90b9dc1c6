// A field of a filter: it counts when it is left, or on Enter; news meanwhile do not change its text.

import { html, useState } from "../vendor/preact.js";

export function Field({ label, value, set, ...more }) {
  const [draft, setDraft] = useState(null);
  const change = (event) => {
    setDraft(null);
    set(event.target.value.trim());
  };
  return html`<label>${label}<input ...${more} value=${draft ?? value} onInput=${(event) => setDraft(event.target.value)} onChange=${change} /></label>`;
}
