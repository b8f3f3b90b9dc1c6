// OpenAI's own library for JavaScript, against the gateway whose address is in GATEWAY.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import OpenAI from "openai";
import { shown } from "./shown.mjs";

const gateway = process.env.GATEWAY;
const api = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "Hello" }];
// More than the time that a test takes to look; whoever asked leaves before the end.
const endless = { model: "smol", messages, max_tokens: 16000, stream: true, ignore_eos: true };
const tool = {
  type: "function",
  function: {
    name: "weather",
    description: "Tells the weather of a city.",
    parameters: {
      type: "object",
      properties: { city: { type: "string", enum: ["Paris", "Rome"] } },
      required: ["city"],
    },
  },
};

const health = async () => (await fetch(`${gateway}/health`)).json();

// Resolves once `happened` is true of the gateway's health.
async function until(happened) {
  for (let tries = 0; !happened(await health()); tries++) {
    assert(tries < 1500, "it did not happen in time");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const idle = ({ waiting, engines }) => waiting === 0 && engines.every(({ active }) => active === 0);

test("chat", async () => {
  const answer = await api.chat.completions.create({ model: "tiny", messages, max_tokens: 8 });
  assert(answer.choices[0].message.content);
  assert.equal(answer.model, "smol");
  assert(answer.usage.completion_tokens > 0);
});

test("stream", async () => {
  const stream = await api.chat.completions.create({
    ...endless,
    max_tokens: 8,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert(chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("").length > 0);
  assert.equal(chunks.at(-1).usage.completion_tokens, 8);
});

test("a stream that is aborted frees the engine", async () => {
  const stream = await api.chat.completions.create(endless);
  let seen = 0;
  for await (const chunk of stream) {
    seen += chunk.choices[0]?.delta?.content ? 1 : 0;
    if (seen === 2) stream.controller.abort();
  }
  await until(idle);
});

test("a tool is called", async () => {
  const answer = await api.chat.completions.create({
    model: "caller",
    messages: [{ role: "user", content: "What is the weather in Paris?" }],
    tools: [tool],
    tool_choice: "required",
    max_tokens: 96,
  });
  const [call, ...more] = answer.choices[0].message.tool_calls;
  assert.deepEqual(more, []);
  assert.equal(call.function.name, "weather");
  assert(["Paris", "Rome"].includes(JSON.parse(call.function.arguments).city));
});

test("responses", async () => {
  const limits = { max_output_tokens: 16, ignore_eos: true };
  const request = { model: "smol", input: "Say hello.", ...limits };
  const made = await api.responses.create(request);
  assert(made.output_text);
  assert.equal(made.status, "incomplete");
  const events = [];
  for await (const event of await api.responses.create({ ...request, stream: true })) {
    assert.equal(event.sequence_number, events.length);
    events.push(event.type);
  }
  assert.equal(events[0], "response.created");
  assert.equal(events.at(-1), "response.incomplete");
  const next = { ...request, input: "And then?", previous_response_id: made.id };
  const { usage } = await api.responses.create(next);
  assert(usage.input_tokens > made.usage.total_tokens);
});

const weather = { ...tool.function, type: "function", strict: true };

test("the stream of a response has a helper", async () => {
  const input = "Say hello to all the animals.";
  const stream = api.responses.stream({ model: "smol", input });
  let said = "";
  stream.on("response.output_text.delta", ({ delta }) => (said += delta));
  const final = await stream.finalResponse();
  assert.equal(final.status, "completed");
  assert.equal(final.output_text, said);
});

test("a response obeys a schema", async () => {
  const schema = { ...weather.parameters, additionalProperties: false };
  const format = { type: "json_schema", name: "weather", strict: true, schema };
  const request = { model: "smol", input: "Which city?", text: { format } };
  const parsed = await api.responses.parse(request);
  assert(["Paris", "Rome"].includes(JSON.parse(parsed.output_text).city));
  const final = await api.responses.stream(request).finalResponse();
  assert(["Paris", "Rome"].includes(JSON.parse(final.output_text).city));
});

test("a response calls a tool", async () => {
  const request = {
    model: "caller",
    input: "What is the weather in Paris?",
    tools: [weather],
    tool_choice: "required",
    max_output_tokens: 96,
  };
  const [call] = (await api.responses.stream(request).finalResponse()).output;
  assert.equal(call.type, "function_call");
  assert(["Paris", "Rome"].includes(JSON.parse(call.arguments).city));
});

test("a response in the background is read again", async () => {
  const input = "Say hello.";
  const background = { model: "smol", input, max_output_tokens: 16, ignore_eos: true, background: true };
  const stream = await api.responses.create({ ...background, stream: true });
  let first;
  for await (const event of stream) {
    first ??= event.response;
  }
  const numbers = [];
  const again = { stream: true, starting_after: 2 };
  for await (const event of await api.responses.retrieve(first.id, again)) {
    numbers.push(event.sequence_number);
  }
  assert.equal(numbers[0], 3);
  assert.equal((await api.responses.retrieve(first.id)).status, "incomplete");
  await api.responses.delete(first.id);
  await assert.rejects(api.responses.retrieve(first.id), OpenAI.NotFoundError);
});

test("embeddings", async () => {
  const { data } = await api.embeddings.create({ model: "embed", input: ["Hello", "world"] });
  assert.equal(data.length, 2);
  assert(data[0].embedding.length > 16);
  assert(data[0].embedding.every((number) => Number.isFinite(number)));
});

test("what the playground shows as code runs", async (context) => {
  const chat = await shown("chat", gateway, { model: "smol", messages, max_tokens: 8, stream: true });
  const { stdout } = await promisify(execFile)(process.execPath, [chat.file]);
  assert(stdout);
  const printed = context.mock.method(console, "log", () => {});
  await import((await shown("embed", gateway, { model: "embed", input: ["Hello", "world"] })).url);
  assert.deepEqual(printed.mock.calls[0].arguments[0].map((each) => each.length), [3, 3]);
});

test("models", async () => {
  const names = [];
  for await (const model of api.models.list()) names.push(model.id);
  assert.deepEqual(names, ["smol", "tiny", "caller", "embed"]);
  assert.equal((await api.models.retrieve("tiny")).alias_of, "smol");
});

test("errors have their classes", async () => {
  const ask = (more) => api.chat.completions.create({ model: "smol", messages, ...more });
  await assert.rejects(ask({ model: "gpt-9" }), (error) => {
    assert(error instanceof OpenAI.NotFoundError);
    return error.code === "model_not_found";
  });
  const content = "the quick brown fox ".repeat(5000);
  for (const stream of [false, true]) {
    await assert.rejects(ask({ messages: [{ role: "user", content }], stream }), (error) => {
      assert(error instanceof OpenAI.BadRequestError);
      return error.code === "context_length_exceeded";
    });
  }
});

test("a full queue is a rate limit", async () => {
  const ask = () => api.chat.completions.create({ model: "smol", messages, max_tokens: 4 });
  const first = await api.chat.completions.create(endless);
  const second = ask();
  await until(({ waiting }) => waiting === 1);
  await assert.rejects(ask(), (error) => {
    assert(error instanceof OpenAI.RateLimitError);
    return error.code === "queue_full" && Number(error.headers.get("retry-after")) > 0;
  });
  first.controller.abort();
  assert((await second).choices[0].message);
  await until(idle);
});
