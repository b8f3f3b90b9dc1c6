// Samples of a microphone, as the gateway takes them, and what comes back. Pure.

/** Samples per second, in both directions. */
export const RATE = 24000;
const SILENT_DB = -60;
const FULL = 0x7fff;

/**
 * Return a function that takes samples at `from` per second, piece by piece, and gives them at `to`.
 * To fewer, each is the mean of those in its place, so that high tones do not become low ones; to
 * more, they lie on the line between two.
 */
export function resampler(from, to) {
  const step = from / to;
  let rest = new Float32Array(0);
  let at = 0;
  return (piece) => {
    const all = new Float32Array(rest.length + piece.length);
    all.set(rest);
    all.set(piece, rest.length);
    const made = [];
    const reach = Math.max(step, 1);
    for (; at + reach < all.length; at += step) made.push(step > 1 ? mean(all, at, at + step) : between(all, at));
    const done = Math.min(Math.floor(at), all.length);
    rest = all.slice(done);
    at -= done;
    return Float32Array.from(made);
  };
}

function mean(samples, from, to) {
  let sum = 0;
  for (let index = Math.floor(from); index < to; index += 1) {
    sum += samples[index] * (Math.min(to, index + 1) - Math.max(from, index));
  }
  return sum / (to - from);
}

function between(samples, at) {
  const index = Math.floor(at);
  return samples[index] + (samples[index + 1] - samples[index]) * (at - index);
}

/** Return the bytes of samples with 16 bits. */
export function packed(samples) {
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  samples.forEach((each, index) => view.setInt16(index * 2, Math.round(Math.max(-1, Math.min(1, each)) * FULL), true));
  return view.buffer;
}

/** Return the samples of 16 bits in a text of base64. */
export function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: Math.floor(bytes.length / 2) }, (_, index) => view.getInt16(index * 2, true) / (FULL + 1));
}

/** Return how loud samples are: 0 is silence, 1 as loud as can be. */
export function loudness(samples) {
  if (!samples.length) return 0;
  const power = samples.reduce((sum, each) => sum + each * each, 0) / samples.length;
  return power ? Math.max(0, Math.min(1, 1 - (10 * Math.log10(power)) / SILENT_DB)) : 0;
}

// Pieces begin so long after now where none plays: the next one then comes in time.
const LEAD = 0.1;

/** Return when a piece of so many seconds begins and ends, behind one that ends at `end`. */
export function placed(end, now, seconds) {
  const begin = end > now ? end : now + LEAD;
  return { begin, end: begin + seconds };
}

// How much louder than the room speech is, and how fast the room is taken for louder.
const ABOVE = 0.2;
const RISE = 0.002;

/** Return a function that takes how loud each piece is and says whether somebody speaks in it. */
export function ear() {
  let floor = 1;
  return (level) => {
    floor = Math.min(level, floor + RISE);
    return level > floor + ABOVE;
  };
}
