// The audio of OpenAI's library for JavaScript, against the gateway whose address is in GATEWAY.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { rename } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import OpenAI, { toFile } from "openai";
import { shown } from "./shown.mjs";

const api = new OpenAI({ baseURL: `${process.env.GATEWAY}/v1`, apiKey: "none", maxRetries: 0 });
const input = "Please turn on the light in the kitchen. Thank you.";

const speech = (response_format) =>
  api.audio.speech.create({ model: "speaks", voice: "alloy", input, response_format });

const wav = speech("wav").then((answer) => answer.arrayBuffer());
const sound = async () => toFile(Buffer.from(await wav), "speech.wav");

test("speech comes in pieces, and is heard again", async () => {
  const pieces = [];
  for await (const piece of (await speech("opus")).body) pieces.push(piece);
  assert(pieces.length > 1);
  const file = await toFile(Buffer.concat(pieces), "speech.ogg");
  const { text, usage } = await api.audio.transcriptions.create({ model: "hears", file });
  assert.match(text, /in the kitchen/i);
  assert.equal(usage.type, "duration");
});

test("a transcription as a stream", async () => {
  const file = await sound();
  const events = [];
  const stream = await api.audio.transcriptions.create({ model: "hears", file, stream: true });
  for await (const event of stream) events.push(event);
  assert.equal(events.at(-1).type, "transcript.text.done");
  const deltas = events.slice(0, -1).map((event) => event.delta);
  assert.equal(deltas.join(""), events.at(-1).text);
});

test("a translation with words and times", async () => {
  const file = await sound();
  const told = await api.audio.translations.create({
    model: "hears",
    file,
    response_format: "verbose_json",
  });
  assert(["transcribe", "translate"].includes(told.task));
  assert(told.segments.length > 0);
});

test("faults have their status", async () => {
  const file = await toFile(Buffer.from("#EXTM3U"), "list.m3u");
  const asked = api.audio.transcriptions.create({ model: "hears", file });
  await assert.rejects(asked, ({ status }) => status === 415);
  await assert.rejects(speech("midi"), ({ status, param }) => {
    return status === 400 && param === "response_format";
  });
});

test("what the playground shows as code speaks and hears", async (context) => {
  const speaks = { model: "speaks", input, voice: "alloy", response_format: "wav" };
  const speaking = await shown("speak", process.env.GATEWAY, speaks);
  await import(speaking.url);
  await rename("speech.wav", "sound.wav");
  const printed = context.mock.method(console, "log", () => {});
  const hearing = await shown("hear", process.env.GATEWAY, { model: "hears" });
  await import(hearing.url);
  assert.match(printed.mock.calls[0].arguments[0], /in the kitchen/i);
  const both = `${speaking.python}\nimport os\nos.rename("speech.wav", "sound.wav")\n${hearing.python}`;
  const { stdout } = await promisify(execFile)(process.env.PYTHON, ["-c", both]);
  assert.match(stdout, /in the kitchen/i);
});
