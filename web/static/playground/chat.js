// The state of the playground: the conversations, the one that is shown, the answer under way.
//
// What is shown is painted once in each frame, however many tokens arrive meanwhile.

import { Refused, stream } from "../lib/stream.js";
import { keep, kept } from "../lib/tab.js";
import { begun, extended, figures, told } from "./answer.js";
import { packed, unpacked } from "./archive.js";
import { add, change, fresh, line, siblings, through } from "./conversation.js";
import { blobOf, dataUrl } from "./images.js";
import { bodyOf } from "./request.js";

const PATH = "/v1/chat/completions";
const KEY = "key";
// Milliseconds.
const PART_EVERY = 1000;

function newId() {
  // Not randomUUID, which pages over plain http do not have.
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (each) => each.toString(16).padStart(2, "0")).join("");
}

export class Chat {
  /** `changed` is called, at most once in a frame, when there is something new to show. */
  constructor(store, changed) {
    this.store = store;
    this.talks = [];
    this.talk = null;
    this.model = "";
    // The answer under way: `{ id, talk, answer, waits }`.
    this.running = null;
    this.problem = null;
    this.paints = 0;
    this.#changed = changed;
  }

  #changed;
  #frame = 0;
  #abort = null;
  #kept = 0;

  async open(id) {
    this.talks = await this.store.talks();
    this.talk = this.talks.find((each) => each.id === id) ?? this.#blank();
    this.show();
  }

  /** Show what is new in the next frame; at once in a page that is not seen, as it has no frames. */
  show() {
    if (this.#frame) return;
    const paint = () => {
      this.#frame = 0;
      this.paints += 1;
      this.#changed();
    };
    this.#frame = document.hidden ? setTimeout(paint, 100) : requestAnimationFrame(paint);
  }

  #blank() {
    const { system, ...settings } = this.talks[0]?.settings ?? {};
    return fresh(newId(), Date.now(), settings);
  }

  create() {
    this.talk = this.#blank();
    this.problem = null;
    this.show();
  }

  select(id) {
    this.talk = this.talks.find((each) => each.id === id) ?? this.#blank();
    this.problem = null;
    this.show();
  }

  async remove(id) {
    const gone = this.talks.find((each) => each.id === id);
    if (this.running?.talk === id) this.stop();
    this.talks = this.talks.filter((each) => each.id !== id);
    if (this.talk.id === id) this.talk = this.#blank();
    this.show();
    if (gone) await this.store.remove(gone);
  }

  set(settings) {
    this.#keep({ ...this.talk, settings: { ...this.talk.settings, ...settings } });
  }

  /** Send a text with images (Blobs) as the next message. */
  async send(text, blobs = []) {
    const images = [];
    for (const blob of blobs) {
      images.push(newId());
      await this.store.putImage(images.at(-1), blob);
    }
    const message = { id: newId(), role: "user", text, ...(images.length ? { images } : {}) };
    this.#keep(add(this.talk, message));
    await this.#answer(message.id);
  }

  /** Ask again for an answer; the one that there is stays beside the new one. */
  again(id) {
    return this.#answer(this.talk.messages.find((each) => each.id === id).parent);
  }

  /** Ask with another text in place of a message; what followed the old one stays below it. */
  async edit(id, text) {
    const old = this.talk.messages.find((each) => each.id === id);
    const message = { ...old, id: newId(), text };
    this.#keep(add(this.talk, message, old.parent));
    await this.#answer(message.id);
  }

  /** Show the message that stands `step` places beside this one. */
  turn(id, step) {
    const all = siblings(this.talk, id);
    const next = all[all.indexOf(id) + step];
    if (next) this.#keep(through(this.talk, next));
  }

  stop() {
    this.#abort?.abort();
  }

  /** Return the body of the request that asks what is shown, with a text not sent yet. */
  async body(draft) {
    const last = line(this.talk);
    const said = last.at(-1)?.role === "assistant" && !draft ? last.slice(0, -1) : last;
    const more = draft || !said.length ? [{ role: "user", text: draft || "Hello!" }] : [];
    return this.#bodyOf([...said, ...more]);
  }

  async #bodyOf(messages) {
    const images = {};
    for (const id of messages.flatMap((each) => each.images ?? [])) {
      const blob = await this.store.image(id);
      if (blob) images[id] = await dataUrl(blob);
    }
    const whole = messages.map((each) => ({ ...each, images: each.images?.filter((id) => id in images) }));
    return bodyOf(this.model, this.talk.settings, whole, images);
  }

  async #answer(parent) {
    if (this.running) return;
    const id = newId();
    const talk = this.talk.id;
    this.problem = null;
    this.#abort = new AbortController();
    this.running = { id, talk, parent, model: this.model, answer: begun(performance.now()), waits: {} };
    this.#keep(add(this.talk, { id, role: "assistant", text: "", model: this.model }, parent));
    let problem = null;
    try {
      const body = await this.#bodyOf(line({ ...this.talk, leaf: parent }));
      await stream(PATH, body, {
        signal: this.#abort.signal,
        headers: this.key ? { Authorization: `Bearer ${this.key}` } : {},
        head: (headers) => this.#wait({ variant: headers.get("X-Gateway-Variant") ?? "" }),
        take: (each) => this.#take(each),
      });
    } catch (error) {
      if (error.name !== "AbortError") problem = error instanceof Refused ? error : new Refused(String(error), "page");
    }
    await this.#end(problem);
  }

  #take({ comment, data }) {
    const { running } = this;
    if (comment !== undefined) return this.#wait(told(comment));
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Refused(chunk.error.message ?? "", chunk.error.code ?? "");
    running.answer = extended(running.answer, chunk, performance.now());
    this.#keepPart(performance.now());
    this.show();
  }

  /** Keep what has come so far, now and then: the page may be closed before the end. */
  #keepPart(now) {
    if (now - this.#kept < PART_EVERY) return;
    this.#kept = now;
    const { id, talk: of } = this.running;
    const talk = this.talks.find((each) => each.id === of);
    if (talk) this.#keep(change(talk, id, { ...this.#fields(), finish: "stopped" }));
  }

  #fields() {
    const { answer, waits } = this.running;
    const { text, thought, calls } = answer;
    return { text, thought, calls, variant: waits.variant, figures: figures(answer) };
  }

  #wait(waits) {
    this.running.waits = { ...this.running.waits, ...waits };
    this.show();
  }

  /** Keep what has come of the answer, also if it was stopped or failed. */
  async #end(problem) {
    const { id, talk: of, answer } = this.running;
    const come = this.#fields();
    this.running = null;
    const talk = this.talks.find((each) => each.id === of);
    if (talk) {
      const fields = {
        ...come,
        finish: problem ? "error" : (answer.finish ?? "stopped"),
        ...(problem ? { problem: { code: problem.code, message: problem.message, status: problem.status, after: problem.after } } : {}),
      };
      await this.#keep(change(talk, id, fields));
    }
    this.show();
  }

  /** Put a conversation into the list and the store, once it has a message. */
  async #keep(talk) {
    const kept = { ...talk, changed: Date.now() };
    if (this.talk.id === talk.id) this.talk = kept;
    this.show();
    if (!kept.messages.length) return;
    this.talks = [kept, ...this.talks.filter((each) => each.id !== kept.id)];
    try {
      await this.store.put(kept);
    } catch {
      this.problem = { code: "store" };
      this.show();
    }
  }

  get key() {
    return kept(KEY) ?? "";
  }

  set key(text) {
    keep(KEY, text);
    this.show();
  }

  /** Return all conversations as the text of a file. */
  async exported() {
    const images = {};
    for (const id of this.talks.flatMap((talk) => talk.messages.flatMap((each) => each.images ?? []))) {
      const blob = await this.store.image(id);
      if (blob) images[id] = await dataUrl(blob);
    }
    return packed(this.talks, images);
  }

  /** Add the conversations of a file to those here; return how many, or null if it has none. */
  async imported(text) {
    const found = unpacked(text);
    if (!found) return null;
    for (const [id, url] of Object.entries(found.images)) await this.store.putImage(id, blobOf(url));
    for (const talk of found.talks) await this.store.put(talk);
    this.talks = await this.store.talks();
    this.show();
    return found.talks.length;
  }
}
