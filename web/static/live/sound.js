// The microphone and the loudspeaker.

import { loudness, packed, placed, RATE, resampler, unpacked } from "./samples.js";

/** Whether the browser gives this page a microphone: to https and to this machine alone. */
export const mayHear = Boolean(navigator.mediaDevices?.getUserMedia) && "AudioWorkletNode" in window;

const WANTED = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
// Seconds in which a voice that is interrupted fades, so that it does not click.
const FADE = 0.015;

/**
 * Listen; `take` gets each piece as bytes, and how loud it is. Return a function that ends it.
 * It throws a DOMException if there is no microphone, or none for this page.
 */
export async function listen(context, take, lost) {
  const heard = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
  try {
    await context.audioWorklet.addModule(new URL("./capture.js", import.meta.url));
  } catch (error) {
    for (const track of heard.getTracks()) track.stop();
    throw error;
  }
  const source = context.createMediaStreamSource(heard);
  const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  const resample = resampler(context.sampleRate, RATE);
  node.port.onmessage = ({ data }) => take(packed(resample(data)), loudness(data));
  source.connect(node);
  for (const track of heard.getTracks()) track.onended = lost;
  return () => {
    for (const track of heard.getTracks()) {
      track.onended = null;
      track.stop();
    }
    node.port.onmessage = null;
    source.disconnect();
  };
}

/** Plays pieces one after the other without a gap; `changed` is told when it begins and ends. */
export class Player {
  #context;
  #changed;
  #meter;
  #gain = null;
  #end = 0;
  #pieces = new Set();

  constructor(context, changed) {
    this.#context = context;
    this.#changed = changed;
    this.#meter = context.createAnalyser();
    this.#meter.fftSize = 1024;
    this.#meter.connect(context.destination);
  }

  /** Play samples of 16 bits, a text of base64, after what plays now. */
  play(text) {
    const samples = unpacked(text);
    if (!samples.length) return;
    const buffer = this.#context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(samples, 0);
    const piece = this.#context.createBufferSource();
    piece.buffer = buffer;
    if (!this.#gain) {
      this.#gain = this.#context.createGain();
      this.#gain.connect(this.#meter);
    }
    piece.connect(this.#gain);
    const { begin, end } = placed(this.#end, this.#context.currentTime, buffer.duration);
    piece.start(begin);
    this.#end = end;
    if (!this.#pieces.size) this.#changed(true);
    this.#pieces.add(piece);
    piece.onended = () => {
      this.#pieces.delete(piece);
      if (!this.#pieces.size) this.#changed(false);
    };
  }

  /** Be silent at once. */
  stop() {
    if (!this.#pieces.size) return;
    const now = this.#context.currentTime;
    this.#gain.gain.setValueAtTime(1, now);
    this.#gain.gain.linearRampToValueAtTime(0, now + FADE);
    for (const piece of this.#pieces) {
      piece.onended = null;
      piece.stop(now + FADE);
    }
    this.#pieces.clear();
    this.#gain = null;
    this.#end = 0;
    this.#changed(false);
  }

  /** Return how loud the voice is now, as `loudness` does. */
  level() {
    const now = new Float32Array(this.#meter.fftSize);
    this.#meter.getFloatTimeDomainData(now);
    return loudness(now);
  }
}
