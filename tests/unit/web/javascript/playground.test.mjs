// web/static/playground: conversations, answers, requests, code, files.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { begun, extended, figures, outgrown, told } from "../../../../web/static/playground/answer.js";
import { packed, unpacked } from "../../../../web/static/playground/archive.js";
import { codes, pythonOf, shortened } from "../../../../web/static/playground/code.js";
import { add, alone, attachments, change, fresh, line, matching, siblings, through, titleOf, twin } from "../../../../web/static/playground/conversation.js";
import { cosine, likeness, lines, shade } from "../../../../web/static/playground/vectors.js";
import { wavOf } from "../../../../web/static/playground/wav.js";
import { bodyOf } from "../../../../web/static/playground/request.js";

const said = (id, text = id) => ({ id, role: "user", text });
const answered = (id, text = id) => ({ id, role: "assistant", text });
const ids = (talk) => line(talk).map((each) => each.id);

function branched() {
  let talk = add(fresh("t", 1), said("q1", "First question\nmore"));
  talk = add(talk, answered("a1"));
  talk = add(talk, said("q2"));
  talk = add(talk, answered("a2"));
  // Another answer to the first question, and an edit of it.
  talk = add(talk, answered("a1b"), "q1");
  return add(talk, said("q1b"), null);
}

test("another answer and an edit lose nothing", () => {
  const talk = branched();
  assert.equal(talk.title, "First question");
  assert.deepEqual(ids(talk), ["q1b"]);
  assert.deepEqual(siblings(talk, "q1b"), ["q1", "q1b"]);
  assert.deepEqual(siblings(talk, "a1"), ["a1", "a1b"]);
  // From a message on, the newest line.
  assert.deepEqual(ids(through(talk, "q1")), ["q1", "a1b"]);
  assert.deepEqual(ids(through(talk, "a1")), ["q1", "a1", "q2", "a2"]);
  assert.deepEqual(ids(fresh("t", 1)), []);
});

test("a conversation is never changed in place", () => {
  const talk = branched();
  const before = structuredClone(talk);
  assert.equal(line(through(change(talk, "a2", { text: "new" }), "a2")).at(-1).text, "new");
  add(talk, said("x"));
  assert.deepEqual(talk, before);
});

test("a title is short", () => {
  assert.equal(titleOf(`  ${"x".repeat(100)}`).length, 60);
  assert.equal(titleOf("a\nb"), "a");
});

const chunk = (delta, more = {}) => ({ choices: [{ delta, ...more }] });

test("an answer grows by its chunks", () => {
  let answer = begun(1000);
  const steps = [
    chunk({ role: "assistant", content: null }),
    chunk({ reasoning_content: "Hm" }),
    chunk({ content: "Yes" }),
    chunk({ tool_calls: [{ index: 0, function: { name: "f", arguments: '{"a"' } }] }),
    chunk({ tool_calls: [{ index: 0, function: { arguments: ":1}" } }] }),
    chunk({}, { finish_reason: "tool_calls" }),
    { choices: [], usage: { completion_tokens: 9, prompt_tokens: 30 } },
  ];
  const before = answer;
  steps.forEach((step, index) => (answer = extended(answer, step, 2000 + index * 500)));
  assert.deepEqual([answer.text, answer.thought, answer.finish], ["Yes", "Hm", "tool_calls"]);
  assert.deepEqual(answer.calls, [{ name: "f", arguments: '{"a":1}' }]);
  assert.deepEqual(figures(answer), { tokens: 9, prompt: 30, cached: null, rate: 2, first: 1.5, cost: null });
  assert.deepEqual(before, begun(1000));
});

test("figures are the engine's where it tells them, and null where nothing is known", () => {
  const timings = { prompt_n: 4, cache_n: 20, predicted_n: 7, predicted_per_second: 88.5 };
  const answer = extended(begun(0), { ...chunk({ content: "a" }), timings }, 250);
  assert.deepEqual(figures(answer), { tokens: 7, prompt: 24, cached: 20, rate: 88.5, first: 0.25, cost: null });
  assert.deepEqual(figures(begun(0)), { tokens: null, prompt: null, cached: null, rate: null, first: null, cost: null });
});

test("comments tell what is waited for", () => {
  assert.deepEqual(told("keep-alive, loading org/m@8192, 40 %, 3 s left"), { waits: "load", variant: "org/m@8192", share: 0.4, left: 3 });
  assert.deepEqual(told("keep-alive, loading m@512"), { waits: "load", variant: "m@512", share: null, left: null });
  assert.deepEqual(told("keep-alive, queued"), { waits: "queue" });
  assert.deepEqual(told("X-Gateway-Variant: m@512"), { variant: "m@512", waits: null });
  assert.deepEqual(told("keep-alive"), {});
});

test("a request has what was set, and no empty answer", () => {
  const settings = { system: " Be brief. ", temperature: "0.5", top_p: "", max_tokens: "abc", seed: 0, stop: "END\n\n" };
  const messages = [said("Hi"), { ...answered("x"), text: "", thought: "?" }, { ...said("Look"), images: ["i"] }];
  assert.deepEqual(bodyOf("m", settings, messages, { i: "data:image/png;base64,AA==" }), {
    model: "m",
    messages: [
      { role: "system", content: " Be brief. " },
      { role: "user", content: "Hi" },
      { role: "user", content: [{ type: "text", text: "Look" }, { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } }] },
    ],
    stream: true,
    stream_options: { include_usage: true },
    temperature: 0.5,
    seed: 0,
    stop: ["END"],
  });
});

test("the code of a request is whole, whatever the text is", () => {
  const body = bodyOf("m", {}, [said("q", `it's "x" \\ $(y)\n`)]);
  const texts = codes("http://h:1", body);
  const sent = (text) => execFileSync("sh", ["-s"], { input: `curl() { for last; do :; done; [ "$last" = @- ] && cat || printf %s "$last"; }\n${text}\n` });
  assert.deepEqual(JSON.parse(sent(texts.curl)), body);
  // What is longer than an argument may be.
  const long = bodyOf("m", {}, [said("q", `it's "x"\nJSON\n${"y".repeat(200_000)}`)]);
  assert.deepEqual(JSON.parse(sent(codes("http://h:1", long).curl)), long);
  assert.ok(texts.python.includes('{"role": "user", "content": "it\'s \\"x\\" \\\\ $(y)\\n"}'));
  assert.equal(pythonOf({ a: [true, null, 1.5], b: [] }, 0), '{"a": [\n    True,\n    None,\n    1.5,\n], "b": []}');
  assert.ok(texts.javascript.includes('baseURL: "http://h:1/v1"'));
});

test("each kind of request has its code, with a key where one is needed", () => {
  const of = (kind, body, keyed = true) => codes("http://h:1", body, kind, keyed);
  const args = (text) => execFileSync("sh", ["-c", `curl() { printf '%s\\n' "$@"; }\n${text}`], { env: { ...process.env, OPENAI_API_KEY: "sk" } }).toString().trim().split("\n");
  assert.deepEqual(args(of("hear", { model: "it's" }).curl), ["http://h:1/v1/audio/transcriptions", "-H", "Authorization: Bearer sk", "-F", "model=it's", "-F", "file=@sound.wav"]);
  assert.deepEqual(args(of("speak", { model: "m", input: "Hi" }, false).curl).slice(0, 6), ["http://h:1/v1/audio/speech", "-H", "Content-Type: application/json", "-o", "speech.wav", "-d"]);
  const bodies = { chat: { messages: [] }, embed: { input: ["a"] }, rerank: { documents: ["a"] }, hear: { model: "m" }, speak: { input: "a" } };
  const code = Object.entries(bodies).map(([kind, body]) => of(kind, body));
  // Python and JavaScript read them.
  const checks = "import ast, json, sys; [ast.parse(each) for each in json.load(sys.stdin)]";
  execFileSync("python3", ["-c", checks], { input: JSON.stringify(code.map((each) => each.python)) });
  for (const { javascript, python } of code) {
    new Function(`return async () => { ${javascript.replace(/^import .*$/gm, "")} }`);
    assert.ok(!javascript.includes("apiKey") && !python.includes("api_key"));
  }
});

test("pictures are cut short in code", () => {
  const body = { url: `data:image/png;base64,${"A".repeat(999)}`, text: "A".repeat(999) };
  assert.equal(shortened(body).url.length, 49);
  assert.equal(shortened(body).text.length, 999);
});

test("a file gives back what was put into it", () => {
  const talk = change(branched(), "a2", { figures: { tokens: 3, rate: null }, model: "m", images: ["i"], calls: [{ name: "f", arguments: "{}" }] });
  const images = { i: "data:image/png;base64,AA==" };
  const found = unpacked(packed([talk], images));
  assert.deepEqual(found.images, images);
  assert.deepEqual(found.talks, [{ ...talk, settings: { system: "" } }]);
});

test("a file that is something else is refused, and what is strange in one is left out", () => {
  for (const text of ["", "[]", "null", '{"kind":"x"}', packed([{ id: 1, messages: [] }], {}), packed([null], {})]) {
    assert.equal(unpacked(text), null, text);
  }
  const strange = { id: "t", title: 5, leaf: "gone", settings: { a: {} }, messages: [said("q"), { id: "s", role: "system", text: "" }, { ...said("r"), images: "x", figures: { a: "<b>" } }] };
  const { talks, images } = unpacked(packed([strange], { i: "https://evil.example/x.png" }));
  assert.deepEqual(images, {});
  assert.equal(talks[0].leaf, "r");
  assert.deepEqual(talks[0].messages, [{ ...said("q"), parent: null }, { ...said("r"), parent: null, figures: {} }]);
});

test("a conversation is found by its title and by what was said", () => {
  const talks = [branched(), add(fresh("u", 1), said("q", "Something else"))];
  const found = (query) => matching(talks, query).map((each) => each.id);
  assert.deepEqual(found(" "), ["t", "u"]);
  assert.deepEqual(found("question FIRST"), ["t"]);
  assert.deepEqual(found("nowhere"), []);
});

test("an answer has the tokens of all its parts, and its price", () => {
  const part = { ...begun(0), before: 100 };
  const usage = { completion_tokens: 5, prompt_tokens: 9, cost: "0.00125" };
  const known = figures(extended(part, { choices: [], usage }, 1));
  assert.deepEqual([known.tokens, known.cost], [105, 0.00125]);
});

test("an answer goes on in a larger variant, unless it was limited or is more than text", () => {
  const full = { ...begun(0), text: "a", finish: "length" };
  const model = { variants: [512, 8192] };
  assert.equal(outgrown(full, {}, "org/m@512", model), true);
  assert.equal(outgrown(full, { max_tokens: "" }, "m@512", model), true);
  assert.equal(outgrown(full, { max_tokens: "9" }, "m@512", model), false);
  assert.equal(outgrown(full, {}, "m@8192", model), false);
  assert.equal(outgrown({ ...full, finish: "stop" }, {}, "m@512", model), false);
  assert.equal(outgrown({ ...full, text: " " }, {}, "m@512", model), false);
  assert.equal(outgrown({ ...full, calls: [{}] }, {}, "m@512", model), false);
  assert.equal(outgrown(full, {}, "m@fast", { variants: ["fast"] }), false);
  assert.equal(outgrown(full, {}, "m@512", undefined), false);
});

test("a conversation beside another has its messages, and can stand alone", () => {
  const talk = add(fresh("t", 1), { ...said("q"), images: ["i"], sounds: ["s"] });
  const copy = twin(talk, "u");
  assert.deepEqual([copy.id, copy.beside, ids(copy)], ["u", "t", ["q"]]);
  assert.notEqual(copy.messages, talk.messages);
  assert.deepEqual(attachments(copy), ["i", "s"]);
  assert.equal("beside" in alone(copy), false);
  assert.deepEqual(unpacked(packed([talk, copy], { s: "data:audio/wav;base64,UklG" })).talks[1].beside, "t");
});

test("a sound is sent as engines read it", () => {
  const heard = { ...said("q", ""), sounds: ["s"] };
  const { messages } = bodyOf("m", {}, [heard], { s: "data:audio/wav;base64,UklG" });
  assert.deepEqual(messages[0].content, [{ type: "input_audio", input_audio: { data: "UklG", format: "wav" } }]);
});

test("samples become a WAV file", () => {
  const file = Buffer.from(wavOf(new Float32Array([0, 1, -2]), 16000));
  assert.equal(file.length, 50);
  assert.equal(file.toString("latin1", 0, 4) + file.toString("latin1", 8, 16), "RIFFWAVEfmt ");
  assert.equal(file.readUInt32LE(24), 16000);
  assert.deepEqual([44, 46, 48].map((at) => file.readInt16LE(at)), [0, 32767, -32767]);
});

test("vectors are alike by their direction", () => {
  assert.equal(cosine([1, 0], [3, 0]), 1);
  assert.equal(cosine([1, 0], [0, 2]), 0);
  assert.equal(cosine([0, 0], [1, 1]), 0);
  assert.deepEqual(likeness([[1, 0], [-1, 0]]), [[1, -1], [-1, 1]]);
  assert.deepEqual([0.1, 0.5, 0.9].map((each) => shade(each, [0.1, 0.5, 0.9])), [0, 3, 5]);
  assert.equal(shade(1, [1, 1]), 0);
  assert.deepEqual(lines(" a \n\nb"), ["a", "b"]);
});
