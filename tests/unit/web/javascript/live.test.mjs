// web/static/live: samples, the state of the page, choices, the websocket and what follows it.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { bodyOf, voicesOf, wordsOf } from "../../../../web/static/live/choices.js";
import { ear, loudness, packed, placed, resampler, unpacked } from "../../../../web/static/live/samples.js";
import { addressOf, LiveSocket, waitOf } from "../../../../web/static/live/socket.js";
import { FRESH, isBusy, next, total } from "../../../../web/static/live/state.js";

const tone = (hertz, rate, seconds) => Float32Array.from({ length: rate * seconds }, (_, index) => Math.sin((2 * Math.PI * hertz * index) / rate));
const power = (samples) => Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / samples.length);

test("samples come at another rate, whatever the pieces", () => {
  for (const rate of [48000, 44100, 24000, 16000]) {
    const whole = tone(440, rate, 1);
    const resample = resampler(rate, 24000);
    const made = [];
    for (let at = 0; at < whole.length; at += 2048) made.push(...resample(whole.slice(at, at + 2048)));
    assert.ok(Math.abs(made.length - 24000) < 4, `${rate}: ${made.length}`);
    assert.ok(Math.abs(power(made) - Math.SQRT1_2) < 0.02, String(rate));
    // No jumps between the pieces.
    assert.ok(made.every((each, index) => !index || Math.abs(each - made[index - 1]) < 0.13), String(rate));
  }
  // What 24 kHz cannot hold does not come back as another tone.
  assert.ok(power(resampler(48000, 24000)(tone(23_000, 48000, 0.1))) < 0.1);
});

test("samples of 16 bits come back as they were, and no louder than can be", () => {
  const bytes = packed(Float32Array.from([0, 0.5, -1, 1, 7]));
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  const back = [...unpacked(text)].map((each) => Math.round(each * 100) / 100);
  assert.deepEqual(back, [0, 0.5, -1, 1, 1]);
  assert.deepEqual([...unpacked("")], []);
});

test("a level is between silence and full, and speech is louder than the room", () => {
  assert.equal(loudness(new Float32Array(9)), 0);
  assert.equal(loudness(new Float32Array(0)), 0);
  assert.equal(loudness(Float32Array.from([1, -1])), 1);
  assert.ok(Math.abs(loudness(Float32Array.from([0.001])) - 0) < 1e-6);
  const speaks = ear();
  assert.deepEqual([0.3, 0.31, 0.7, 0.6, 0.3].map(speaks), [false, false, true, true, false]);
});

test("a piece begins when the one before ends, and else a moment from now", () => {
  assert.deepEqual(placed(0, 5, 2), { begin: 5.1, end: 7.1 });
  assert.deepEqual(placed(7.1, 6, 1), { begin: 7.1, end: 8.1 });
});

const told = (message, more) => ({ type: "told", message, ...more });
const after = (...events) => events.reduce(next, FRESH);
const texts = (state) => state.lines.map((each) => `${each.mine ? "I" : "it"}: ${each.text}${each.done ? "" : " …"}${each.mark && ` [${each.mark}]`}`);

const TURN = [
  { type: "open" },
  { type: "ready" },
  told({ type: "speech_started", turn_id: 1 }),
  told({ type: "transcript", turn_id: 1, text: "hel", is_input: true, is_final: false }),
  told({ type: "speech_stopped", turn_id: 1 }, { at: 1500, since: 1000 }),
  told({ type: "transcript", turn_id: 1, text: " hello ", is_input: true, is_final: true }, { at: 1700 }),
  told({ type: "text", turn_id: 1, text: " " }, { at: 1800 }),
  told({ type: "text", turn_id: 1, text: "Good " }, { at: 1810 }),
  told({ type: "audio", turn_id: 1 }, { at: 1950 }),
  told({ type: "text", turn_id: 1, text: "morning." }, { at: 1990 }),
];

test("a turn is captioned as it comes, and each of its steps has its time", () => {
  assert.deepEqual(texts(after(...TURN.slice(0, 4))), ["I: hel …"]);
  assert.equal(after(...TURN.slice(0, 3)).user, true);
  assert.equal(after(...TURN.slice(0, 5)).step, "hearing");
  assert.equal(after(...TURN.slice(0, 6)).step, "thinking");
  const speaking = after(...TURN);
  assert.deepEqual(texts(speaking), ["I: hello", "it: Good morning. …"]);
  assert.equal(speaking.step, "speaking");
  const { heard, understood, thought, spoken } = speaking.times;
  assert.deepEqual([heard, understood, thought, spoken], [500, 200, 100, 150]);
  const whole = next(speaking, told({ type: "turn_complete", turn_id: 1, timings: { understood_ms: 190, first_text_ms: 280, first_audio_ms: 400 } }));
  assert.deepEqual(texts(whole), ["I: hello", "it: Good morning."]);
  assert.equal(whole.step, "listening");
  // The gateway's own times.
  assert.equal(total(whole.times), 500 + 400);
  const exact = next(speaking, told({ type: "turn_complete", turn_id: 1, timings: { heard_ms: 510, understood_ms: 190, first_text_ms: null } }));
  assert.deepEqual([exact.times.heard, exact.times.thought, total(exact.times)], [510, null, null]);
  assert.equal(total(null), null);
  assert.equal(total({ heard: 1, understood: 2, thought: null, spoken: null }), null);
});

test("an answer that is interrupted keeps what was heard, and there is something to interrupt until it is silent", () => {
  const speaking = after(...TURN);
  assert.ok(isBusy(speaking));
  const cut = next(speaking, told({ type: "interrupted", turn_id: 1, partial_output: "Good" }));
  assert.deepEqual(texts(cut), ["I: hello", "it: Good [cut]"]);
  assert.ok(!isBusy(cut));
  assert.ok(isBusy({ ...cut, plays: true }));
  assert.ok(!isBusy(next(speaking, { type: "lost" })));
  // Speech that went on while it was being understood is heard as a whole, in the next turn.
  const half = next(after(...TURN.slice(0, 5)), told({ type: "interrupted", turn_id: 1, partial_output: "" }));
  assert.deepEqual(texts(half), []);
});

test("noise, nothing, no wake word, and errors end in listening", () => {
  const heard = after(...TURN.slice(0, 5));
  for (const message of [
    { type: "transcript", turn_id: 1, text: " ", is_input: true, is_final: true },
    { type: "error", turn_id: 1, message: "it broke" },
    { type: "error", message: "no sound" },
  ]) assert.equal(next(heard, told(message)).step, "listening", message.type);
  assert.deepEqual(next(heard, told({ type: "error", message: "no sound" })).problem, { text: "no sound" });
  assert.equal(next(after(...TURN.slice(0, 3)), told({ type: "speech_stopped" })).user, false);
  const uncalled = next(after(...TURN.slice(0, 6)), told({ type: "wake_word_required", turn_id: 1 }));
  assert.deepEqual(texts(uncalled), ["I: hello [uncalled]"]);
  assert.equal(uncalled.step, "listening");
  for (const type of ["pong", "speech", undefined]) assert.equal(next(heard, told({ type })), heard);
  // An error of an older turn does not end the newer one.
  const newer = next(after(...TURN), told({ type: "transcript", turn_id: 2, text: "more", is_input: true, is_final: true }));
  assert.equal(next(newer, told({ type: "turn_complete", turn_id: 1 })).step, "thinking");
});

test("a session that is over keeps its captions, and a new one begins without them", () => {
  const over = next(after(...TURN), { type: "over", problem: { key: "x" } });
  assert.deepEqual([over.phase, over.step, texts(over)[1]], ["over", "listening", "it: Good morning."]);
  const again = next(over, { type: "open" });
  assert.deepEqual([again.phase, again.lines, again.problem], ["opening", [], null]);
  // A turn that is written.
  const written = next(next(again, { type: "ready" }), { type: "ended", at: 5, since: null });
  assert.deepEqual([written.step, written.times.heard], ["hearing", null]);
});

test("the choices become the session that is asked for", () => {
  const models = [{ name: "chat", capabilities: ["text"] }, { name: "piper", capabilities: ["speech"] }, { name: "far", capabilities: ["speech"] }];
  const voices = voicesOf(models, [{ id: "joe", model: "piper", language: "en" }, { id: "x", model: "gone" }]);
  assert.deepEqual(voices.map((each) => [each.model, each.id]), [["piper", "joe"], ["far", ""]]);
  const usual = { model: "chat", voice: "", mode: "free", wake: "off", words: "", system: "Be brief." };
  const body = bodyOf(usual);
  assert.deepEqual(body.llm_config.model, "chat");
  assert.equal(body.audio_config.turn_detection, "server");
  assert.deepEqual([body.voice_config, body.wake_word_config], [{}, { enabled: false }]);
  const other = bodyOf({ ...usual, voice: voices[0].value, mode: "hold", wake: "post", words: "Hey you,  computer ," });
  assert.equal(other.audio_config.turn_detection, "none");
  assert.deepEqual(other.voice_config, { model: "piper", voice_id: "joe" });
  assert.deepEqual(other.wake_word_config, { enabled: true, words: ["Hey you", "computer"], mode: "post" });
  assert.deepEqual(bodyOf({ ...usual, voice: voices[1].value, wake: "pre", words: " , " }).wake_word_config, { enabled: false });
  assert.deepEqual(wordsOf(""), []);
});

function sockets() {
  const made = [];
  const told = [];
  const changes = [];
  const place = { protocol: "https:", host: "a:1" };
  const live = new LiveSocket(
    (message) => told.push(message.type),
    (change) => changes.push(change),
    place,
    (address) => {
      const socket = { address, sent: [], closed: null, send: (each) => socket.sent.push(each), close: (code) => (socket.closed = code) };
      socket.says = (message) => socket.onmessage({ data: JSON.stringify(message) });
      made.push(socket);
      return socket;
    },
  );
  return { live, made, told, changes };
}

test("a session that was lost is opened again, and nothing of either side is missing", () => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  try {
    const { live, made, told, changes } = sockets();
    live.open("t");
    assert.equal(made[0].address, "wss://a:1/v1/audio/live/ws/t");
    // What is said before it is open waits.
    live.send({ type: "a" });
    assert.deepEqual(made[0].sent, []);
    made[0].says({ type: "ready", resume_token: "r", resumed: false, received: 0 });
    assert.deepEqual(made[0].sent, ['{"type":"a"}']);
    made[0].says({ type: "text" });
    made[0].says({ type: "pong" });
    live.send({ type: "b" });
    const sound = new ArrayBuffer(4);
    made[0].onclose({ code: 1006, reason: "" });
    live.send(sound);
    mock.timers.tick(waitOf(0));
    assert.equal(made[1].address, "wss://a:1/v1/audio/live/ws/r?received=2");
    made[1].onclose({ code: 1006, reason: "" });
    // A try each when the time has come, or when the network is back.
    mock.timers.tick(waitOf(1) - 1);
    assert.equal(made.length, 2);
    live.retry();
    made[2].says({ type: "ready", resume_token: "s", resumed: true, received: 1 });
    // The gateway had taken one; the other was lost on its way.
    assert.deepEqual(made[2].sent, ['{"type":"b"}', sound]);
    assert.deepEqual(told, ["text"]);
    assert.deepEqual(changes.map((each) => each.type), ["ready", "lost", "ready"]);
    mock.timers.tick(waitOf(9));
    assert.equal(made.length, 3);
    live.close();
    assert.equal(made[2].sent.at(-1), '{"type":"close"}');
    assert.equal(made[2].closed, 1000);
    mock.timers.tick(60_000);
    assert.equal(made.length, 3);
  } finally {
    mock.timers.reset();
  }
});

test("a connection that does not answer is replaced, and in the end the session is over", () => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  try {
    const { live, made, changes } = sockets();
    live.open("t");
    made[0].says({ type: "ready", resume_token: "r" });
    mock.timers.tick(5000);
    assert.equal(made[0].sent.at(-1), '{"type":"ping"}');
    mock.timers.tick(10_000);
    assert.equal(made[0].closed, 4001);
    for (let count = 0; count < 40 && changes.at(-1).type !== "over"; count += 1) {
      mock.timers.tick(4000);
      made.at(-1).onclose?.({ code: 1006, reason: "" });
    }
    assert.deepEqual(changes.map((each) => each.type), ["ready", "lost", "over"]);
    const tries = made.length;
    mock.timers.tick(60_000);
    assert.equal(made.length, tries);
  } finally {
    mock.timers.reset();
  }
});

test("what the gateway ends is over at once, and so is what never began", () => {
  const { live, made, changes } = sockets();
  live.open("t");
  made[0].onclose({ code: 4004, reason: "gone" });
  assert.deepEqual(changes, [{ type: "over", code: 4004, reason: "gone" }]);
  live.send({ type: "interrupt" });
  live.retry();
  live.close();
  assert.equal(made.length, 1);
});

test("too much sound that waits is forgotten, the oldest first", () => {
  const { live, made } = sockets();
  live.open("t");
  for (let count = 0; count < 8; count += 1) live.send(new ArrayBuffer(100_000));
  made[0].says({ type: "ready" });
  assert.equal(made[0].sent.length, 5);
  live.close();
});

test("an address is that of the page, by the same kind of connection", () => {
  assert.equal(addressOf({ protocol: "http:", host: "h:8" }, "x", 3), "ws://h:8/v1/audio/live/ws/x?received=3");
  assert.deepEqual([0, 1, 9].map(waitOf), [250, 500, 4000]);
});
