// Sounds: from files and the microphone, as engines read them, and answers read aloud.

import { answered } from "../lib/ask.js";
import { nodesOf } from "../lib/markdown.js";
import { wavOf } from "./wav.js";

// Samples per second; what speech models hear.
const RATE = 16000;

/** Return a Blob of a sound as WAV with one channel; null if the browser cannot read it. */
export async function asWav(blob) {
  try {
    const reading = new OfflineAudioContext(1, 1, RATE);
    const sound = await reading.decodeAudioData(await blob.arrayBuffer());
    const mixing = new OfflineAudioContext(1, Math.max(1, Math.ceil(sound.duration * RATE)), RATE);
    const source = mixing.createBufferSource();
    source.buffer = sound;
    source.connect(mixing.destination);
    source.start();
    const mixed = await mixing.startRendering();
    return new Blob([wavOf(mixed.getChannelData(0), RATE)], { type: "audio/wav" });
  } catch {
    return null;
  }
}

/** Whether this page may hear: browsers give the microphone to https and to this machine alone. */
export const hears = Boolean(navigator.mediaDevices?.getUserMedia);

// Milliseconds: how often a recording is given a piece, and how long its end waits for the first one.
const PIECE = 100, PATIENCE = 5000;

/** Begin to record; return a function that ends it and gives the sound. It throws if that is forbidden.
 * Who ends it at once waits until the microphone gave something: without any, nobody can read it. */
export async function record() {
  const heard = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(heard);
  const parts = [];
  const begun = new Promise((resolve) => {
    recorder.addEventListener("dataavailable", (event) => {
      parts.push(event.data);
      if (event.data.size) resolve();
    });
    // Where the microphone was taken away.
    recorder.addEventListener("stop", resolve);
  });
  recorder.start(PIECE);
  return async () => {
    await Promise.race([begun, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    if (recorder.state !== "inactive") {
      const ended = new Promise((resolve) => recorder.addEventListener("stop", resolve));
      recorder.stop();
      await ended;
    }
    for (const track of heard.getTracks()) track.stop();
    return new Blob(parts, { type: recorder.mimeType });
  };
}

let player = null;

/** Be silent. */
export function hush() {
  player?.pause();
  player = null;
}

/** Read a Markdown text aloud by a model; resolve when it was said, or when another is read. */
export async function readAloud(model, markdown, headers) {
  hush();
  const { textContent } = nodesOf(markdown);
  const own = (player = new Audio());
  const answer = await answered("POST", "/v1/audio/speech", { model, input: textContent.trim(), response_format: "wav" }, headers);
  const url = URL.createObjectURL(await answer.blob());
  if (player !== own) return;
  own.src = url;
  const ended = new Promise((resolve) => ["ended", "pause", "error"].forEach((name) => own.addEventListener(name, resolve)));
  await own.play();
  await ended;
  URL.revokeObjectURL(url);
}
