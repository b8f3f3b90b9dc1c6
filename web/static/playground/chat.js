// The state of the playground: the conversations, the one that is shown, the answer under way.
//
// What is shown is painted once in each frame, however many tokens arrive meanwhile.

import { answered } from "../lib/ask.js";
import { Refused, stream } from "../lib/stream.js";
import { keep, kept } from "../lib/tab.js";
import { begun, extended, figures, outgrown, told } from "./answer.js";
import { packed, unpacked } from "./archive.js";
import { add, alone, attachments, change, fresh, line, siblings, through, twin } from "./conversation.js";
import { blobOf, dataUrl } from "./images.js";
import { bodyOf } from "./request.js";

const PATH = "/v1/chat/completions";
const STREAM = "/v1/stream";
const LOOKUP = "/v1/streams/lookup";
const KEY = "key";
// The answer that this tab asked for last in a conversation; after a reload it asks again for one
// that had not begun.
const RUN = "run";
// Milliseconds.
const PART_EVERY = 1000;
// Seconds for which the engine goes on when the page is gone: a reload takes less.
const PATIENCE = 60;

function newId() {
  // Not randomUUID, which pages over plain http do not have.
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (each) => each.toString(16).padStart(2, "0")).join("");
}

export class Chat {
  /**
   * `changed` is called, at most once in a frame, when there is something new to show. `all` holds
   * the conversations; two chats side by side have the same.
   */
  constructor(store, changed, all = { talks: [] }) {
    this.store = store;
    this.all = all;
    this.talk = null;
    this.models = [];
    // The model that reads aloud; null if there is none.
    this.speaker = null;
    this.model = "";
    // The answer under way: `{ id, talk, answer, waits }`.
    this.running = null;
    this.problem = null;
    this.paints = 0;
    this.#changed = changed;
    // The browser cuts the stream when the page goes: that is no failure to keep.
    addEventListener("pagehide", () => (this.#leaving = true));
    addEventListener("pageshow", () => (this.#leaving = false));
  }

  get talks() {
    return this.all.talks;
  }

  set talks(talks) {
    this.all.talks = talks;
  }

  #changed;
  #frame = 0;
  #abort = null;
  #kept = 0;
  #leaving = false;

  async open(id) {
    this.talks = await this.store.talks();
    this.select(id);
  }

  /** Be the chat beside another one: with the conversation that stands beside the other's, or a copy of that. */
  beside(other) {
    if (this.running) return;
    const { talk } = other;
    this.talk = this.talks.find((each) => each.beside === talk.id) ?? twin(talk, newId());
    this.model = line(this.talk).findLast((each) => each.model)?.model ?? this.model;
    this.show();
    this.#resume();
  }

  /** Stand beside nothing any more: what was said here is a conversation of its own. */
  async part() {
    this.stop();
    if (this.talks.some((each) => each.id === this.talk.id)) await this.#keep(alone(this.talk));
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
    this.#resume();
  }

  /** Remove a conversation, the one beside it, and what is attached to them alone. */
  async remove(id) {
    const gone = this.talks.filter((each) => each.id === id || each.beside === id);
    if (this.running && gone.some((each) => each.id === this.running.talk)) this.stop();
    this.talks = this.talks.filter((each) => !gone.includes(each));
    if (this.talk.id === id) this.talk = this.#blank();
    this.show();
    const used = new Set(this.talks.flatMap(attachments));
    for (const talk of gone) await this.store.remove(talk, attachments(talk).filter((each) => !used.has(each)));
  }

  set(settings) {
    this.#keep({ ...this.talk, settings: { ...this.talk.settings, ...settings } });
  }

  /** Send a text with pictures and sounds (Blobs) as the next message. */
  async send(text, blobs = []) {
    const images = [];
    const sounds = [];
    for (const blob of blobs) {
      const id = newId();
      (blob.type.startsWith("audio/") ? sounds : images).push(id);
      await this.store.putImage(id, blob);
    }
    const message = { id: newId(), role: "user", text, ...(images.length ? { images } : {}), ...(sounds.length ? { sounds } : {}) };
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

  /** Put another text beside an answer, as if the model had written it. */
  rewrite(id, text) {
    const { model, parent } = this.talk.messages.find((each) => each.id === id);
    this.#keep(add(this.talk, { id: newId(), role: "assistant", text, model, edited: true }, parent));
  }

  /** Show the message that stands `step` places beside this one. */
  turn(id, step) {
    const all = siblings(this.talk, id);
    const next = all[all.indexOf(id) + step];
    if (next) this.#keep(through(this.talk, next));
  }

  stop() {
    if (!this.running) return;
    this.#abort.abort();
    // The engine would go on for a client that only leaves.
    fetch(`${STREAM}?conv_id=${this.running.stream}`, { method: "DELETE", headers: this.headers(), keepalive: true }).catch(() => {});
  }

  /** Show why something beside an answer failed. */
  failed(error) {
    this.problem = error instanceof Refused ? error : new Refused(String(error), "page");
    this.show();
  }

  /** Return the headers of who asks. */
  headers() {
    return this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }

  /** Return the body of the request that asks what is shown, with a text not sent yet. */
  async body(draft) {
    const last = line(this.talk);
    const said = last.at(-1)?.role === "assistant" && !draft ? last.slice(0, -1) : last;
    const more = draft || !said.length ? [{ role: "user", text: draft || "Hello!" }] : [];
    return this.#bodyOf([...said, ...more], this.model);
  }

  async #bodyOf(messages, model) {
    const images = {};
    for (const id of attachments({ messages })) {
      const blob = await this.store.image(id);
      if (blob) images[id] = await dataUrl(blob);
    }
    const there = (ids) => ids?.filter((id) => id in images);
    const whole = messages.map((each) => ({ ...each, images: there(each.images), sounds: there(each.sounds) }));
    return bodyOf(model, this.talk.settings, whole, images);
  }

  async #answer(parent) {
    if (this.running) return;
    const id = newId();
    this.problem = null;
    this.#begin(id, parent, this.model);
    this.#keep(add(this.talk, { id, role: "assistant", text: "", model: this.model, finish: "running", stream: id }, parent));
    await this.#whole(() => this.#ask(parent));
  }

  #begin(id, parent, model, stream = id) {
    this.#abort = new AbortController();
    this.running = { id, talk: this.talk.id, parent, model, stream, from: 0, answer: begun(performance.now()), waits: {} };
    keep(`${RUN} ${this.talk.id}`, id);
  }

  /** Do what brings the answer, and keep how it ended. */
  async #whole(come) {
    let problem = null;
    try {
      await come();
    } catch (error) {
      if (this.#leaving) return;
      if (error.name !== "AbortError") problem = error instanceof Refused ? error : new Refused(String(error), "page");
    }
    await this.#end(problem);
  }

  /** Ask for the answer, and for its rest in a larger variant as long as it fills the one that it has. */
  async #ask(parent) {
    const { running } = this;
    const messages = line({ ...this.talk, leaf: parent });
    const { settings } = this.talk;
    await this.#stream(await this.#bodyOf(messages, running.model));
    while (outgrown(running.answer, settings, running.waits.variant, this.models.find((each) => each.name === running.model))) {
      running.from = running.answer.text.length;
      running.stream = newId();
      running.answer = { ...running.answer, before: figures(running.answer).tokens ?? 0, usage: undefined, timings: undefined, finish: null };
      try {
        await this.#stream(await this.#bodyOf([...messages, { role: "assistant", text: running.answer.text }], running.model));
      } catch (error) {
        // Not every template takes the beginning of an answer. Then it ends as the engine ended it.
        if (!(error instanceof Refused) || error.status < 400) throw error;
        running.answer = { ...running.answer, finish: "length" };
        return;
      }
    }
  }

  #stream(body) {
    const { stream: id } = this.running;
    return stream(body ? PATH : `${STREAM}?conv_id=${id}`, body, {
      signal: this.#abort.signal,
      headers: { ...this.headers(), ...(body ? { "X-Conversation-Id": id, "X-Conversation-Patience": PATIENCE } : {}) },
      head: (headers) => this.#wait({ variant: headers.get("X-Gateway-Variant") ?? "" }),
      take: (each) => this.#take(each),
    });
  }

  /** Go on with an answer that was under way when the page was closed: the engine has all of it. */
  async #resume() {
    const found = !this.running && this.talk.messages.findLast((each) => each.finish === "running");
    if (!found) return;
    const mine = kept(`${RUN} ${this.talk.id}`) === found.id;
    this.#begin(found.id, found.parent, found.model, found.stream);
    const { running } = this;
    running.from = found.from ?? 0;
    running.answer = { ...running.answer, text: found.text.slice(0, running.from), before: found.before ?? 0 };
    running.waits = { variant: found.variant ?? "" };
    this.show();
    await this.#whole(async () => {
      try {
        // Asked first, as a browser tells its console of each answer that is not there.
        if (await this.#isThere(found.stream)) return await this.#stream();
      } catch (error) {
        if (error.code !== "stream_not_found") {
          this.#restore(found);
          throw error;
        }
      }
      if (mine && !found.text && !found.thought) return this.#ask(found.parent);
      this.#restore(found);
    });
  }

  /** What was kept of an answer stays if its stream does not bring it again. */
  #restore({ text, thought = "", calls = [] }) {
    const { running } = this;
    if (running.answer.text.length < text.length || !running.answer.thought) running.answer = { ...running.answer, text, thought, calls };
  }

  async #isThere(id) {
    const answer = await answered("POST", LOOKUP, { conversation_ids: [id] }, this.headers());
    return (await answer.json()).length > 0;
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
    if (talk) this.#keep(change(talk, id, { ...this.#fields(), finish: "running" }));
  }

  #fields() {
    const { answer, waits, stream: id, from } = this.running;
    const { text, thought, calls, before } = answer;
    return { text, thought, calls, variant: waits.variant, figures: figures(answer), stream: id, from, before };
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
    keep(`${RUN} ${of}`, "");
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
    for (const id of this.talks.flatMap(attachments)) {
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
