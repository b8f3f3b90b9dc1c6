// Anthropic's library for JavaScript.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import * as zoo from "./zoo_client.mjs";

const api = new Anthropic({ baseURL: zoo.GATEWAY, apiKey: "none" });
const request = (more) => ({ model: zoo.MODEL, messages: zoo.HELLO, max_tokens: 8, ...more });
const { name, description, parameters } = zoo.FUNCTION;
const tools = [{ name, description, input_schema: parameters }];

zoo.check("list", async () => {
  const names = [];
  for await (const model of api.models.list()) names.push(`${model.type} ${model.id}`);
  assert(names.includes(`model ${zoo.MODEL}`), names.join());
});

zoo.check("whole", async () => {
  assert((await api.messages.create(request())).content[0].text);
  const counted = await api.messages.countTokens({ model: zoo.MODEL, messages: zoo.HELLO });
  assert(counted.input_tokens > 0);
});

zoo.check("stream", async () => {
  const stream = api.messages.stream(request({ max_tokens: 16 }));
  let text = "";
  stream.on("text", (delta) => (text += delta));
  const final = await stream.finalMessage();
  assert(text);
  assert.equal(final.content[0].text, text);
});

zoo.check("tools", async () => {
  const asked = request({ model: zoo.CALLER, messages: zoo.QUESTION, tools, max_tokens: 96 });
  for (const tool_choice of [{ type: "any" }, { type: "tool", name }]) {
    for (const message of [
      await api.messages.create({ ...asked, tool_choice }),
      await api.messages.stream({ ...asked, tool_choice }).finalMessage(),
    ]) {
      assert.equal(message.stop_reason, "tool_use");
      zoo.isCity(message.content.find(({ type }) => type === "tool_use").input);
    }
  }
});

zoo.check("structured", async () => {
  const output_config = { format: { type: "json_schema", schema: zoo.SCHEMA } };
  const asked = request({ model: zoo.CALLER, messages: zoo.QUESTION, output_config, max_tokens: 64 });
  zoo.isCity((await api.messages.create(asked)).content[0].text);
});

zoo.check("too long", async () => {
  await zoo.tooLong(() => api.messages.create(request({ messages: zoo.TOO_LONG })));
  const streamed = request({ messages: zoo.TOO_LONG });
  const error = await zoo.tooLong(() => api.messages.stream(streamed).finalMessage());
  assert(error instanceof Anthropic.BadRequestError);
});

zoo.check("unknown model", async () => {
  const error = await zoo.unknown(() => api.messages.create(request({ model: zoo.UNKNOWN })));
  assert(error instanceof Anthropic.NotFoundError);
});

zoo.check("cancel", async () => {
  const stream = api.messages.stream(request({ model: zoo.ENDLESS, messages: zoo.STORY, max_tokens: 3000 }));
  for await (const _ of stream) break;
  await zoo.untilIdle();
});

await zoo.main();
