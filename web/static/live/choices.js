// What the visitor chooses, what of it is kept, and the session that is asked for. Pure but for the keeping.

import { RATE } from "./samples.js";

const NAME = "live";
/** How long, in seconds, a session waits for this page after the connection was lost. */
export const PATIENCE = 30;
const USUAL = { model: "", voice: "", mode: "free", wake: "off", words: "", system: null };

/** Return the choices of last time. */
export function remembered() {
  try {
    return { ...USUAL, ...JSON.parse(localStorage.getItem(NAME)) };
  } catch {
    return { ...USUAL };
  }
}

export function remember(choices) {
  try {
    localStorage.setItem(NAME, JSON.stringify(choices));
  } catch {
    // Without storage the usual ones hold next time.
  }
}

/** Return the wake words in a text: between commas. */
export const wordsOf = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);

/** Return what can be chosen: voices by their models, and models that have none of their own. */
export function voicesOf(models, listed) {
  return models
    .filter((each) => each.capabilities.includes("speech"))
    .flatMap(({ name }) => {
      const own = listed.filter((each) => each.model === name);
      const all = own.length ? own.map(({ id, language }) => ({ id, language })) : [{ id: "", language: null }];
      return all.map((voice) => ({ ...voice, model: name, value: JSON.stringify([name, voice.id]) }));
    });
}

/** Return the body that asks for a session. */
export function bodyOf({ model, voice, mode, wake, words, system }) {
  const [speaker, id] = voice ? JSON.parse(voice) : ["", ""];
  const called = wake !== "off" && wordsOf(words).length > 0;
  return {
    llm_config: { model, system_prompt: system ?? "", max_tokens: 512 },
    audio_config: {
      input_format: "pcm",
      output_format: "pcm",
      sample_rate: RATE,
      turn_detection: mode === "free" ? "server" : "none",
    },
    voice_config: { ...(speaker ? { model: speaker } : {}), ...(id ? { voice_id: id } : {}) },
    wake_word_config: called ? { enabled: true, words: wordsOf(words), mode: wake } : { enabled: false },
    session_ttl_minutes: 20,
    reconnect_seconds: PATIENCE,
  };
}
