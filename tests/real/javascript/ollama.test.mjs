// Ollama's own library for JavaScript, against the gateway whose address is in GATEWAY.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ollama } from "ollama";

const api = new Ollama({ host: process.env.GATEWAY });
const messages = [{ role: "user", content: "Hello" }];
const options = { num_predict: 8 };
const schema = {
  type: "object",
  properties: { city: { enum: ["Paris", "Rome"] } },
  required: ["city"],
  additionalProperties: false,
};

test("chat", async () => {
  const answer = await api.chat({ model: "tiny", messages, options });
  assert(answer.message.content);
  assert.equal(answer.model, "tiny");
  assert(answer.done && answer.eval_count > 0 && answer.total_duration > 0);
});

test("stream", async () => {
  const parts = [];
  for await (const part of await api.chat({ model: "smol", messages, options, stream: true })) {
    parts.push(part);
  }
  assert(parts.map((part) => part.message.content).join("").length > 0);
  assert.deepEqual(parts.map((part) => part.done), [...parts.slice(1).map(() => false), true]);
});

test("generate and structured output", async () => {
  const text = await api.generate({ model: "smol", prompt: "Hello", options });
  assert(text.response);
  const wide = { num_predict: 250 };
  const found = await api.chat({ model: "smol", messages, format: schema, options: wide });
  assert(["Paris", "Rome"].includes(JSON.parse(found.message.content).city));
});

test("embeddings", async () => {
  const { embeddings } = await api.embed({ model: "embed", input: ["one", "two"] });
  assert.equal(embeddings.length, 2);
  assert(Math.abs(Math.hypot(...embeddings[0]) - 1) < 1e-6);
});

test("models", async () => {
  const names = (await api.list()).models.map((model) => model.model);
  assert(names.includes("smol:latest"));
  const shown = await api.show({ model: "smol" });
  assert(shown.capabilities.includes("completion"));
  assert((await api.ps()).models.some((model) => model.model === "smol:latest"));
});

test("errors", async () => {
  const unknown = api.chat({ model: "none", messages });
  await assert.rejects(unknown, ({ status_code, message }) => {
    assert.equal(status_code, 404);
    return /model 'none' not found/.test(message);
  });
  const long = [{ role: "user", content: "the quick brown fox ".repeat(5000) }];
  await assert.rejects(api.chat({ model: "smol", messages: long }), /maximum context length/);
});

test("a stream that is aborted", async () => {
  const own = new Ollama({ host: process.env.GATEWAY });
  const stream = await own.chat({ model: "smol", messages, options, stream: true });
  stream.abort();
  await assert.rejects(async () => {
    for await (const part of stream) assert(!part.error);
  });
});
