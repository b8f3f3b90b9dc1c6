// A button whose order cannot be taken back: it asks once more, and the question goes by itself.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { t } from "../lib/page.js";
import { Order } from "../lib/table.js";

const PATIENCE = 8000;

export function Sure({ label, name, act, failed }) {
  const [asked, setAsked] = useState(false);
  const place = useRef(null);
  useEffect(() => {
    if (!asked) return undefined;
    place.current?.querySelector("button")?.focus();
    const timer = setTimeout(() => setAsked(false), PATIENCE);
    return () => clearTimeout(timer);
  }, [asked]);
  if (!asked) return html`<button type="button" class="danger" aria-label=${name} onClick=${() => setAsked(true)}>${label}</button>`;
  const carry = async () => {
    setAsked(false);
    await act();
  };
  return html`<span class="row" ref=${place}><${Order} kind="danger" label=${t("sure")} name=${`${name}: ${t("sure")}`} act=${carry} failed=${failed} />
    <button type="button" onClick=${() => setAsked(false)}>${t("cancel")}</button></span>`;
}
