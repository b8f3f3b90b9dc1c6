// Vercel's AI SDK, by the API that ZOO_API names.

import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import * as zoo from "./zoo_client.mjs";

const provider = {
  chat: () =>
    createOpenAICompatible({
      name: "gateway",
      baseURL: zoo.OPENAI,
      supportsStructuredOutputs: true,
    }),
  responses: () => createOpenAI({ baseURL: zoo.OPENAI, apiKey: "none" }),
  messages: () => createAnthropic({ baseURL: zoo.OPENAI, apiKey: "none" }),
}[process.env.ZOO_API]();
const Place = z.object({ city: z.enum(zoo.CITIES) });
const request = (more, name = zoo.MODEL) => ({
  model: provider(name),
  prompt: "Hello",
  maxOutputTokens: 16,
  maxRetries: 1,
  ...more,
});

zoo.check("whole", async () => {
  const { text, usage } = await generateText(request());
  assert(text);
  assert(usage.outputTokens > 0);
});

zoo.check("stream", async () => {
  const result = streamText(request());
  let text = "";
  for await (const delta of result.textStream) text += delta;
  assert(text);
  assert(await result.finishReason);
});

zoo.check("tools", async () => {
  const more = {
    prompt: zoo.QUESTION_TEXT,
    maxOutputTokens: 96,
    tools: {
      weather: tool({
        description: zoo.FUNCTION.description,
        inputSchema: Place,
        execute: ({ city }) => `Sunny in ${city}.`,
      }),
    },
    toolChoice: "required",
    stopWhen: stepCountIs(1),
  };
  const { toolCalls, toolResults } = await generateText(request(more, zoo.CALLER));
  zoo.isCity(toolCalls[0].input);
  assert(toolResults[0].output.startsWith("Sunny"));
  zoo.isCity((await streamText(request(more, zoo.CALLER)).toolCalls)[0].input);
});

zoo.check("structured", async () => {
  const output = Output.object({ schema: Place });
  const more = { prompt: zoo.QUESTION_TEXT, output, maxOutputTokens: 96 };
  // By Anthropic's API it forces a call of a tool with this schema.
  const name = process.env.ZOO_API === "messages" ? zoo.CALLER : zoo.MODEL;
  zoo.isCity((await generateText(request(more, name))).output);
});

zoo.check("too long", async () => {
  await zoo.tooLong(() => generateText(request({ prompt: zoo.TOO_LONG_TEXT })));
});

zoo.check("unknown model", async () => {
  await zoo.unknown(() => generateText(request({}, zoo.UNKNOWN)));
});

zoo.check("cancel", async () => {
  const leaving = new AbortController();
  const more = { prompt: zoo.STORY[0].content, maxOutputTokens: 3000 };
  const result = streamText(request({ ...more, abortSignal: leaving.signal }, zoo.ENDLESS));
  for await (const _ of result.textStream) break;
  leaving.abort();
  await zoo.untilIdle();
});

await zoo.main();
