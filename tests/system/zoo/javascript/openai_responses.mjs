// OpenAI's library for JavaScript, by its Responses API.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import * as zoo from "./zoo_client.mjs";

const api = new OpenAI({ baseURL: zoo.OPENAI, apiKey: "none" });
const request = (more) => ({ model: zoo.MODEL, input: "Hello", max_output_tokens: 16, ...more });
const tools = [{ type: "function", strict: true, ...zoo.FUNCTION }];

zoo.check("whole", async () => {
  const first = await api.responses.create(request());
  assert(first.output_text);
  const more = { input: "Once more.", previous_response_id: first.id };
  const second = await api.responses.create(request(more));
  assert(second.usage.input_tokens > first.usage.input_tokens);
  assert.equal((await api.responses.retrieve(first.id)).id, first.id);
  await api.responses.delete(first.id);
});

zoo.check("stream", async () => {
  const stream = api.responses.stream(request());
  const events = [];
  for await (const event of stream) events.push(event);
  assert((await stream.finalResponse()).output_text);
  assert.deepEqual(
    events.map((event) => event.sequence_number),
    [...events.keys()],
  );
});

zoo.check("tools", async () => {
  const more = { model: zoo.CALLER, tools, tool_choice: "required", max_output_tokens: 96 };
  for (const finished of [
    await api.responses.create(request({ input: zoo.QUESTION_TEXT, ...more })),
    await api.responses.stream(request({ input: zoo.QUESTION_TEXT, ...more })).finalResponse(),
  ]) {
    const [call] = finished.output.filter(({ type }) => type === "function_call");
    zoo.isCity(call.arguments);
    const input = [{ type: "function_call_output", call_id: call.call_id, output: "Sunny." }];
    const after = request({ input, tools, previous_response_id: finished.id });
    assert((await api.responses.create(after)).output_text);
  }
});

zoo.check("structured", async () => {
  const Place = z.object({ city: z.enum(zoo.CITIES) });
  const text = { format: zodTextFormat(Place, "place") };
  const asked = request({ input: zoo.QUESTION_TEXT, text, max_output_tokens: 64 });
  zoo.isCity((await api.responses.parse(asked)).output_parsed);
});

zoo.check("too long", async () => {
  await zoo.tooLong(() => api.responses.create(request({ input: zoo.TOO_LONG_TEXT })));
  const streamed = request({ input: zoo.TOO_LONG_TEXT, stream: true });
  const error = await zoo.tooLong(() => api.responses.create(streamed));
  assert(error instanceof OpenAI.BadRequestError);
});

zoo.check("unknown model", async () => {
  const error = await zoo.unknown(() => api.responses.create(request({ model: zoo.UNKNOWN })));
  assert(error instanceof OpenAI.NotFoundError);
});

zoo.check("cancel", async () => {
  const more = { model: zoo.ENDLESS, input: zoo.STORY, max_output_tokens: 3000, stream: true };
  const stream = await api.responses.create(request(more));
  for await (const _ of stream) break;
  await zoo.untilIdle();
});

await zoo.main();
