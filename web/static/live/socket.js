// The websocket of a session, and the next one when it was lost.

import { PATIENCE } from "./choices.js";

const PATH = "/v1/audio/live/ws/";
// Milliseconds.
const FIRST_WAIT = 250;
const LONGEST_WAIT = 4000;
const PING_EVERY = 5000;
const SILENT = 12_000;
/** With this code neither side ends the session: another websocket follows. */
const REPLACED = 4001;
// Messages that the gateway may not have taken yet: some seconds of sound.
const MOST_KEPT = 500_000;

/** Return how long to wait before a try; the first is number 0. */
export const waitOf = (count) => Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** count);

/** Return the address of a websocket on the gateway that served this page. */
export function addressOf(place, token, received = 0) {
  const scheme = place.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${place.host}${PATH}${token}${received ? `?received=${received}` : ""}`;
}

/**
 * One session. `take` gets each message, `changed` what happens to the connection: ready, lost, or
 * over with the code and the reason.
 */
export class LiveSocket {
  #take;
  #changed;
  #place;
  #make;
  #socket = null;
  #token = "";
  #received = 0;
  // Messages of ours by their numbers: what was sent last, and what waits.
  #sent = [];
  #count = 0;
  #size = 0;
  #open = false;
  #lostAt = null;
  #tries = 0;
  #timer = 0;
  #pings = 0;
  #last = 0;

  constructor(take, changed, place = location, make = (address) => new WebSocket(address)) {
    this.#take = take;
    this.#changed = changed;
    this.#place = place;
    this.#make = make;
  }

  /** Open the session of a token. */
  open(token) {
    this.#connect(addressOf(this.#place, token));
  }

  /** Send an object, or samples as they are; while the connection is lost, they wait. */
  send(message) {
    const text = message instanceof ArrayBuffer ? message : JSON.stringify(message);
    this.#count += 1;
    this.#sent.push(text);
    this.#size += sizeOf(text);
    while (this.#size > MOST_KEPT && this.#sent.length > 1) this.#size -= sizeOf(this.#sent.shift());
    if (this.#open) this.#socket.send(text);
  }

  /** Try again now, as the network is back. */
  retry() {
    if (this.#token && this.#lostAt !== null && !this.#socket) this.#again();
  }

  /** End the session. */
  close() {
    this.#stop();
    if (this.#open) this.#socket.send('{"type":"close"}');
    this.#drop(1000);
  }

  #connect(address) {
    const socket = this.#make(address);
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#heard(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
  }

  #heard(message) {
    this.#last = Date.now();
    if (message.type !== "ready") {
      this.#received += 1;
      if (message.type !== "pong") this.#take(message);
      return;
    }
    this.#open = true;
    this.#token = message.resume_token ?? "";
    this.#lostAt = null;
    this.#tries = 0;
    const missing = message.resumed ? Math.min(this.#sent.length, Math.max(0, this.#count - (message.received ?? this.#count))) : this.#sent.length;
    for (const each of missing ? this.#sent.slice(-missing) : []) this.#socket.send(each);
    clearInterval(this.#pings);
    this.#pings = setInterval(() => this.#check(), PING_EVERY);
    this.#changed({ type: "ready" });
  }

  /** Ask whether the connection is alive; what does not answer is replaced. */
  #check() {
    if (Date.now() - this.#last > SILENT) {
      this.#drop(REPLACED);
      this.#closed(1006, "");
    } else this.send({ type: "ping" });
  }

  #closed(code, reason) {
    this.#open = false;
    this.#socket = null;
    clearInterval(this.#pings);
    const lost = code === 1006 && this.#token;
    const since = (this.#lostAt ??= Date.now());
    if (!lost || Date.now() - since > PATIENCE * 1000) {
      this.#stop();
      this.#changed({ type: "over", code, reason });
      return;
    }
    if (!this.#tries) this.#changed({ type: "lost" });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#again(), waitOf(this.#tries));
    this.#tries += 1;
  }

  #again() {
    clearTimeout(this.#timer);
    this.#connect(addressOf(this.#place, this.#token, this.#received));
  }

  #stop() {
    clearTimeout(this.#timer);
    clearInterval(this.#pings);
    this.#token = "";
  }

  /** Let go of the websocket: what it still says is not heard. */
  #drop(code) {
    const socket = this.#socket;
    this.#socket = null;
    this.#open = false;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close(code);
  }
}

const sizeOf = (message) => message.byteLength ?? message.length;
