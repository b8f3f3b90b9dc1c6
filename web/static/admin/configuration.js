// The configuration: what a reload of its file would change, and the reload.

import { html, useState } from "../vendor/preact.js";
import { t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { changesOf } from "./diff.js";
import { ask } from "./gateway.js";

export function Configuration() {
  const [state, setState] = useState({ busy: false, error: null, found: null });
  const send = (dry) => async () => {
    setState({ busy: true, error: null, found: null });
    try {
      setState({ busy: false, error: null, found: await ask("POST", `/admin/config/reload?dry_run=${dry ? 1 : 0}`) });
    } catch (error) {
      setState({ busy: false, error: sayRefusal(error), found: null });
    }
  };
  const { busy, error, found } = state;
  const lines = found ? changesOf(found) : [];
  const head = found && t(lines.length ? (found.dry_run ? "config.would" : "config.done") : "config.same");
  return html`<section class="card panel"><h2>${t("config.file")}</h2><p class="soft">${t("config.text")}</p>
    <div class="filters"><button type="button" class="primary" disabled=${busy} onClick=${send(true)}>${t("config.check")}</button>
      <button type="button" disabled=${busy} onClick=${send(false)}>${t("config.reload")}</button></div>
    <div role="status">${busy && html`<div class="bones" aria-label=${t("connecting")}></div>`}
      ${error && html`<div class="notice bad"><p>${t("config.faults")}</p><pre class="faults">${error}</pre></div>`}
      ${found && html`<div class=${`notice ${found.dry_run || !lines.length ? "" : "good"}`}><p>${head}</p>
        ${lines.length > 0 && html`<ul>${lines.map(({ what, name, more }) => html`<li key=${`${what} ${name}`}><strong>${t(`config.${what}`)}</strong> <span class="mono">${name}</span>${more && `: ${more}`}</li>`)}</ul>`}</div>`}</div></section>`;
}
