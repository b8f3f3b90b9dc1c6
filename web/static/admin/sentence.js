// The decisions of the gateway, each as a sentence.

import { html, useCallback, useState } from "../vendor/preact.js";
import { format, t } from "../lib/page.js";
import { sayRefusal } from "../lib/refusal.js";
import { memoryName } from "./charts.js";
import { isWait, keyOf } from "./decisions.js";
import { ask } from "./gateway.js";
import { useLooks } from "./looks.js";

const BAD = ["refused", "failed"];

/** The sentence of a decision in the language of the page; what only the gateway can say, as it says it. */
export function sentence(each) {
  const key = keyOf(each);
  if (!key) return each.text;
  const short = Object.entries(each.short ?? {}).map(([name, bytes]) => t("why.missing", { name: memoryName(name), bytes: format.bytes(bytes) })).join(", ");
  if (!isWait(each)) return t(key, { variant: each.variant, wanted: each.wanted, more: short || each.more });
  const said = t(key, { wanted: each.wanted, engines: each.engines.join(", ") });
  return [said, short && t("waited.short", { short }), t("waited.place", { place: format.number(each.place) })].filter(Boolean).join(" ");
}

/** A decision: its kind, what kind of reason it has, its sentence, and how often it was made. */
export function Decision({ decision: each }) {
  return html`<span class=${`pill ${BAD.includes(each.kind) ? "bad" : ""}`}>${t(`why.kind.${each.kind}`)}</span>
    ${each.because && html` <strong>${t(`why.because.${each.because}`)}</strong>`} ${sentence(each)}${each.times > 1 && ` (${t("why.times", { count: each.times })})`}`;
}

/** The decisions, the newest first, asked for again when `decided` has changed; null as long as there is no answer. */
export function useDecisions(decided, failed) {
  const [list, setList] = useState(null);
  const look = useCallback(async () => {
    try {
      setList((await ask("GET", "/admin/api/why")).decisions);
    } catch (error) {
      failed(sayRefusal(error), look);
    }
  }, []);
  useLooks(look, decided);
  return list;
}
