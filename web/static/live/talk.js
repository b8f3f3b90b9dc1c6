// A conversation by voice: what is heard goes to the session, what the session tells is shown and played.

import { answered } from "../lib/ask.js";
import { bodyOf } from "./choices.js";
import { ear } from "./samples.js";
import { LiveSocket } from "./socket.js";
import { listen, mayHear, Player } from "./sound.js";
import { FRESH, isBusy, next } from "./state.js";

// Milliseconds; who holds the button for less has not spoken.
const SHORTEST = 250;
const REASONS = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "missing", OverconstrainedError: "missing" };
const ENDS = { 1000: null, 1001: { key: "live.over.away" }, 1006: { key: "offline" }, 4001: { key: "live.over.replaced" }, 4004: { key: "live.over.expired" } };

/** `show` is called after each change; `headers` says who asks. */
export class Talk {
  state = FRESH;
  /** What keeps the page from hearing: insecure, denied, missing, failed; null if nothing. */
  deaf = mayHear ? null : "insecure";
  muted = false;
  holding = false;
  /** How loud the microphone and the voice are now, and for how many pictures the voice was heard. */
  levels = { user: 0, voice: 0, heard: 0 };
  #show;
  #headers;
  #socket = null;
  #context = null;
  #player = null;
  #quiet = null;
  #free = true;
  #ear = ear();
  #loudAt = null;
  #heldAt = 0;
  // Whether the turn ends with the piece that comes; the newest turn, and the last one to be silent.
  #ends = false;
  #turn = 0;
  #silenced = 0;

  constructor(show, headers) {
    this.#show = show;
    this.#headers = headers;
  }

  /** Whether the microphone is open. */
  get hears() {
    return this.#quiet !== null;
  }

  /** Begin a session, and listen. The browser allows sounds only when a person has asked for it. */
  async start(choices) {
    this.#do({ type: "open" });
    this.#free = choices.mode === "free";
    this.#turn = this.#silenced = 0;
    this.muted = this.holding = this.#ends = false;
    const context = (this.#context = new AudioContext());
    this.#player = new Player(context, (plays) => this.#do({ type: "plays", plays }));
    const socket = (this.#socket = new LiveSocket((message) => this.#told(message), (change) => this.#changed(socket, change)));
    if (mayHear) this.#listen(context);
    try {
      const answer = await answered("POST", "/v1/audio/live", bodyOf(choices), this.#headers());
      const { session_token: token } = await answer.json();
      if (this.#socket === socket) socket.open(token);
    } catch (error) {
      if (this.#socket === socket) this.#over({ error });
    }
  }

  /** End the session. */
  end() {
    this.#socket?.close();
    this.#over(null);
  }

  /** Say something in writing. */
  say(text) {
    this.#hush();
    this.#send({ type: "end_turn", transcript: text });
    this.#do({ type: "ended", at: performance.now(), since: null });
  }

  /** Stop the answer. */
  interrupt() {
    if (!isBusy(this.state)) return;
    this.#hush();
    this.#send({ type: "interrupt" });
  }

  /** Begin to speak, where turns end at a key. */
  hold() {
    if (this.holding || this.#free || !this.hears || !this.#socket) return;
    this.interrupt();
    this.holding = true;
    this.#ends = false;
    this.#heldAt = performance.now();
    this.#do({ type: "problem", problem: null });
  }

  /** End the turn with the piece that is being heard. */
  release() {
    if (!this.holding) return;
    this.holding = false;
    if (performance.now() - this.#heldAt < SHORTEST) this.#do({ type: "problem", problem: { key: "live.short" } });
    else this.#ends = true;
    this.#show();
  }

  mute() {
    this.muted = !this.muted;
    this.#show();
  }

  /** The network is back. */
  retry() {
    this.#socket?.retry();
  }

  /** Look how loud it is now; called for each picture. */
  measure() {
    this.levels.voice = this.#player && this.state.plays ? this.#player.level() : 0;
    if (this.levels.voice > 0.1) this.levels.heard += 1;
    return this.levels;
  }

  async #listen(context) {
    try {
      const quiet = await listen(context, (piece, level) => this.#heard(piece, level), () => this.#deafened("missing"));
      if (this.#context !== context) {
        quiet();
        return;
      }
      this.#quiet = quiet;
      this.deaf = null;
    } catch (error) {
      if (this.#context === context) this.deaf = REASONS[error.name] ?? "failed";
    }
    this.#show();
  }

  #deafened(why) {
    this.#quiet?.();
    this.#quiet = null;
    this.deaf = why;
    this.holding = false;
    this.#show();
  }

  #heard(piece, level) {
    const open = this.#free ? !this.muted : this.holding || this.#ends;
    this.levels.user = this.muted ? 0 : level;
    if (this.#ear(level)) this.#loudAt = performance.now();
    // While it opens, or is lost, sound waits.
    if (!open || !this.#socket) return;
    this.#socket.send(piece);
    if (!this.#ends) return;
    this.#ends = false;
    this.#send({ type: "end_turn" });
    const now = performance.now();
    this.#do({ type: "ended", at: now, since: now });
  }

  #told(message) {
    const { type, turn_id: turn = 0 } = message;
    if (type !== "speech_started") this.#turn = Math.max(this.#turn, turn);
    if (type === "interrupted") this.#silence(turn);
    if (type === "audio") {
      if (turn <= this.#silenced) return;
      this.#player.play(message.audio);
    }
    this.#do({ type: "told", message, at: performance.now(), since: this.#loudAt });
  }

  #changed(socket, change) {
    if (socket !== this.#socket) return;
    if (change.type !== "over") this.#do(change);
    else this.#over(change.code in ENDS ? ENDS[change.code] : { text: change.reason, key: "offline" });
  }

  #over(problem) {
    if (!this.#socket) return;
    this.#socket = null;
    this.#player.stop();
    this.#quiet?.();
    this.#quiet = this.#player = null;
    this.#context.close();
    this.#context = null;
    this.holding = false;
    this.levels = { ...this.levels, user: 0, voice: 0 };
    this.#do({ type: "over", problem });
  }

  /** Nothing more of what was said is wanted. */
  #hush() {
    this.#silence(this.#turn);
  }

  #silence(turn) {
    this.#silenced = Math.max(this.#silenced, turn);
    this.#player?.stop();
  }

  #send(message) {
    this.#socket?.send(message);
  }

  #do(event) {
    this.state = next(this.state, event);
    this.#show();
  }
}
