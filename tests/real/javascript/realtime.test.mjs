// OpenAI's Realtime API by its library for JavaScript, as a program uses it and as a browser does.
// The library speaks only wss, so TLS stands before the gateway whose address is in GATEWAY.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import net from "node:net";
import { after, test } from "node:test";
import tls from "node:tls";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const gateway = new URL(process.env.GATEWAY);
const pair = process.env.CERTIFICATE;
const cert = readFileSync(`${pair}.crt`);
const proxy = tls.createServer({ cert, key: readFileSync(`${pair}.key`) }, (client) => {
  const engine = net.connect(gateway.port, gateway.hostname);
  for (const [from, to] of [[client, engine], [engine, client]]) {
    from.pipe(to);
    from.on("error", () => to.destroy());
  }
});
await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
after(() => proxy.close());

const baseURL = `https://127.0.0.1:${proxy.address().port}/v1`;
const plain = new OpenAI({ baseURL: `${gateway.origin}/v1`, apiKey: "none", maxRetries: 0 });
const SECOND = 48000;

// Resolves to the events up to the first of this type, and fails by an error of the library.
const until = (realtime, type) =>
  new Promise((resolve, reject) => {
    const events = [];
    realtime.on("error", reject);
    realtime.on("event", (event) => {
      events.push(event);
      if (event.type === type) resolve(events);
    });
  });
const of = (type, events) => events.filter((event) => event.type === type);

test("a program speaks, and is answered", async () => {
  const input = "Please turn on the light in the kitchen.";
  const wanted = { model: "speaks", voice: "alloy", input, response_format: "pcm" };
  const speech = Buffer.from(await (await plain.audio.speech.create(wanted)).arrayBuffer());
  const client = new OpenAI({ baseURL, apiKey: "none" });
  const realtime = new OpenAIRealtimeWS({ model: "thinks", options: { ca: cert } }, client);
  const done = until(realtime, "response.done");
  await until(realtime, "session.created");
  const session = { type: "realtime", instructions: "Be brief.", max_output_tokens: 16 };
  realtime.send({ type: "session.update", session });
  const sound = Buffer.concat([speech, Buffer.alloc(SECOND)]);
  for (let at = 0; at < sound.length; at += SECOND / 5) {
    const audio = sound.subarray(at, at + SECOND / 5).toString("base64");
    realtime.send({ type: "input_audio_buffer.append", audio });
  }
  const events = await done;
  const kind = "conversation.item.input_audio_transcription.completed";
  assert.match(of(kind, events)[0].transcript, /kitchen/i);
  const { response } = events.at(-1);
  assert.equal(response.status, "completed");
  const deltas = of("response.output_audio_transcript.delta", events).map(({ delta }) => delta);
  assert.equal(response.output[0].content[0].transcript, deltas.join(""));
  assert(of("response.output_audio.delta", events).length > 0);
  realtime.close();
});

test("a browser with a client secret writes, and is answered", async () => {
  const described = { type: "realtime", model: "thinks", output_modalities: ["text"] };
  const { value } = await plain.realtime.clientSecrets.create({ session: described });
  const client = new OpenAI({ baseURL, apiKey: value });
  const realtime = new OpenAIRealtimeWebSocket({ model: "thinks" }, client);
  const done = until(realtime, "response.done");
  await until(realtime, "session.created");
  const content = [{ type: "input_text", text: "Hello" }];
  const item = { type: "message", role: "user", content };
  realtime.send({ type: "conversation.item.create", item });
  realtime.send({ type: "response.create", response: { max_output_tokens: 8 } });
  const events = await done;
  assert(of("response.output_text.delta", events).length > 0);
  assert.equal(events.at(-1).response.status, "completed");
  // What is wrong is told as the library expects it.
  const fault = new Promise((resolve) => realtime.on("error", resolve));
  realtime.send({ type: "response.cancel" });
  assert.match((await fault).message, /no answer to cancel/);
  realtime.close();
});
