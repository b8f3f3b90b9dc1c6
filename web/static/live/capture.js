// Runs beside the page, in the thread of sound: passes on what the microphone hears, in pieces.

const SIZE = 2048;

class Capture extends AudioWorkletProcessor {
  #piece = new Float32Array(SIZE);
  #at = 0;

  process([[channel]]) {
    if (!channel) return true;
    for (const each of channel) {
      this.#piece[this.#at] = each;
      this.#at += 1;
      if (this.#at < SIZE) continue;
      this.port.postMessage(this.#piece, [this.#piece.buffer]);
      this.#piece = new Float32Array(SIZE);
      this.#at = 0;
    }
    return true;
  }
}

registerProcessor("capture", Capture);
