// Samples as a WAV file: 16 bits, one channel. Pure.

const HEAD = 44;

/** Return the bytes of a file with these samples, which are between -1 and 1. */
export function wavOf(samples, rate) {
  const view = new DataView(new ArrayBuffer(HEAD + samples.length * 2));
  const text = (at, word) => [...word].forEach((each, index) => view.setUint8(at + index, each.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEAD - 8 + samples.length * 2, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, samples.length * 2, true);
  samples.forEach((each, index) => view.setInt16(HEAD + index * 2, Math.round(Math.max(-1, Math.min(1, each)) * 0x7fff), true));
  return view.buffer;
}
