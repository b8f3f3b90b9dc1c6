// OpenAI's library for JavaScript, by its chat API.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import * as zoo from "./zoo_client.mjs";

const api = new OpenAI({ baseURL: zoo.OPENAI, apiKey: "none" });
const ask = (more) =>
  api.chat.completions.create({ model: zoo.MODEL, messages: zoo.HELLO, max_tokens: 8, ...more });

zoo.check("list", async () => {
  const names = [];
  for await (const model of api.models.list()) names.push(model.id);
  assert(names.includes(zoo.MODEL));
});

zoo.check("whole", async () => {
  const answer = await ask();
  assert(answer.choices[0].message.content);
  assert(answer.usage.completion_tokens > 0);
});

zoo.check("stream", async () => {
  const stream = api.chat.completions.stream({
    model: zoo.MODEL,
    messages: zoo.HELLO,
    max_tokens: 1900,
    stop: ["e", "a", "o"],
  });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  assert.equal((await stream.finalChatCompletion()).choices[0].message.content ?? "", text);
});

zoo.check("tools", async () => {
  const more = { model: zoo.CALLER, messages: zoo.QUESTION, max_tokens: 96 };
  const answer = await ask({ ...more, tools: [zoo.TOOL], tool_choice: "required" });
  zoo.isCity(answer.choices[0].message.tool_calls[0].function.arguments);
  let city;
  const runner = api.chat.completions.runTools(
    {
      ...more,
      tools: [
        {
          type: "function",
          function: { ...zoo.FUNCTION, parse: JSON.parse, function: (said) => void (city = said) },
        },
      ],
      tool_choice: "required",
      stream: true,
    },
    { maxChatCompletions: 1 },
  );
  await runner.done();
  zoo.isCity(city);
});

zoo.check("structured", async () => {
  const Place = z.object({ city: z.enum(zoo.CITIES) });
  const answer = await api.chat.completions.parse({
    model: zoo.MODEL,
    messages: zoo.QUESTION,
    max_tokens: 64,
    response_format: zodResponseFormat(Place, "place"),
  });
  zoo.isCity(answer.choices[0].message.parsed);
});

zoo.check("too long", async () => {
  await zoo.tooLong(() => ask({ messages: zoo.TOO_LONG }));
  const error = await zoo.tooLong(() => ask({ messages: zoo.TOO_LONG, stream: true }));
  assert(error instanceof OpenAI.BadRequestError);
});

zoo.check("unknown model", async () => {
  const error = await zoo.unknown(() => ask({ model: zoo.UNKNOWN }));
  assert(error instanceof OpenAI.NotFoundError);
});

zoo.check("cancel", async () => {
  const stream = await ask({ model: zoo.ENDLESS, messages: zoo.STORY, max_tokens: 3000, stream: true });
  for await (const _ of stream) break;
  await zoo.untilIdle();
});

await zoo.main();
