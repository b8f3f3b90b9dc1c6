// Ollama's library for JavaScript.

import assert from "node:assert/strict";
import { Ollama } from "ollama";
import * as zoo from "./zoo_client.mjs";

const api = new Ollama({ host: zoo.GATEWAY });
const request = (more) => ({
  model: zoo.MODEL,
  messages: zoo.HELLO,
  options: { num_predict: 8 },
  ...more,
});

async function names() {
  const { models } = await api.list();
  return models.map((model) => model.model.replace(/:latest$/, ""));
}

zoo.check("list", async () => {
  assert((await names()).includes(zoo.MODEL));
  const operator = new Ollama({ host: zoo.GATEWAY, headers: zoo.ADMIN });
  await operator.copy({ source: zoo.MODEL, destination: "copy-of-js" });
  assert((await names()).includes("copy-of-js"));
  await operator.delete({ model: "copy-of-js" });
  assert(!(await names()).includes("copy-of-js"));
  assert((await api.show({ model: zoo.MODEL })).capabilities.includes("tools"));
  assert((await api.ps()).models);
  assert((await api.version()).version);
});

zoo.check("whole", async () => {
  const answer = await api.chat(request());
  assert(answer.message.content);
  assert(answer.eval_count > 0);
  assert((await api.generate({ ...request(), prompt: "Hello" })).response);
  const { embeddings } = await api.embed({ model: "embed", input: "Hello" });
  assert(embeddings[0].length > 16);
});

zoo.check("stream", async () => {
  let text = "";
  let last;
  for await (const part of await api.chat(request({ stream: true }))) {
    text += part.message.content;
    last = part;
  }
  assert(text);
  assert.equal(last.done, true);
});

zoo.check("tools", async () => {
  // This API cannot force a call; the model that the gateway names "caller" makes one.
  const asked = { model: zoo.CALLER, messages: zoo.QUESTION, tools: [zoo.TOOL] };
  const answer = await api.chat(request({ ...asked, options: { num_predict: 96 } }));
  zoo.isCity(answer.message.tool_calls[0].function.arguments);
});

zoo.check("structured", async () => {
  const asked = { model: zoo.CALLER, messages: zoo.QUESTION, format: zoo.SCHEMA, options: { num_predict: 64 } };
  zoo.isCity((await api.chat(request(asked))).message.content);
});

zoo.check("too long", async () => {
  await zoo.tooLong(() => api.chat(request({ messages: zoo.TOO_LONG })));
  await zoo.tooLong(() => api.chat(request({ messages: zoo.TOO_LONG, stream: true })));
});

zoo.check("unknown model", async () => {
  await zoo.unknown(() => api.chat(request({ model: zoo.UNKNOWN })));
});

zoo.check("cancel", async () => {
  const asked = { model: zoo.ENDLESS, messages: zoo.STORY, options: { num_predict: 3000 }, stream: true };
  const stream = await api.chat(request(asked));
  for await (const _ of stream) break;
  stream.abort();
  await zoo.untilIdle();
});

await zoo.main();
