// What an answer waits for: its turn, a load, or the model's work.

import { html, useEffect, useState } from "../vendor/preact.js";
import { format, t, usePoll } from "../lib/page.js";
import { told } from "./answer.js";

// Seconds between two looks at the model.
const LOOK_EVERY = 1;
const TEXTS = { queue: "waiting.queue", work: "task.busy" };

/**
 * Return what is waited for, by `last`, which the stream told, and what is known of the model now; the
 * stream tells it every few seconds only. `idle` is what a loaded model is waited for.
 */
export function waitsFor(last, model, idle) {
  if (model?.loading) return told(`keep-alive, loading ${model.loading}`);
  if (model && model.state !== "ready") return { waits: "queue" };
  return last?.waits === "queue" ? last : { waits: idle };
}

/** `waits` is what the stream told, if there is one; `since` is when it was asked, in milliseconds. */
export function Waiting({ name, waits, since, idle }) {
  const [{ value }] = usePoll("/api/models", LOOK_EVERY);
  const [now, setNow] = useState(performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 250);
    return () => clearInterval(timer);
  }, []);
  const shown = value ? waitsFor(waits, value.models.find((each) => each.name === name), idle) : (waits ?? {});
  const seconds = format.seconds(Math.max(0, Math.round((now - since) / 1000)));
  const said = shown.waits === "load" ? t("waiting.load", { variant: shown.variant }) : t(TEXTS[shown.waits] ?? "waiting");
  const left = shown.left == null ? "" : ` · ${t("waiting.left", { time: format.seconds(shown.left) })}`;
  return html`<div class="waiting soft" role="status"><progress value=${shown.share} max="1" aria-label=${said}></progress>
    <span>${said}${left} · ${seconds}</span></div>`;
}
