// A modal dialog: the browser keeps the focus in it, and gives it back.

import { html, useEffect, useRef } from "../vendor/preact.js";
import { Icon } from "./icon.js";
import { t } from "./language.js";

/** A modal dialog that is open as long as it is there; `close` is called by Esc too. */
export function Dialog({ title, close, kind = "", children }) {
  const own = useRef(null);
  useEffect(() => {
    own.current.showModal();
  }, []);
  const outside = (event) => event.target === own.current && close();
  return html`<dialog ref=${own} class=${kind} aria-label=${title} onClose=${close} onClick=${outside}>
    <div class="inside">
      <header><h2>${title}</h2><button type="button" class="plain" aria-label=${t("close")} onClick=${close}><${Icon} name="close" /></button></header>
      ${children}
    </div>
  </dialog>`;
}
