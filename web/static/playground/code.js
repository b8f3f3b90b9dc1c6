// A request as code that a person can run. Pure.

import { quoted } from "../lib/quoting.js";

const SHOWN = 48;
// The system takes no longer argument; a longer body goes through a pipe.
const LONGEST_ARGUMENT = 100_000;
// A sound as a request has it.
const ENCODED = /^UklGR[A-Za-z0-9+/]{200}/;
const PATHS = { chat: "/chat/completions", embed: "/embeddings", rerank: "/rerank", hear: "/audio/transcriptions", speak: "/audio/speech" };
const SOUND = "sound.wav";
const SPOKEN = "speech.wav";

/**
 * Return the texts by the keys of their tabs, for the body of a request; `kind` is one of `PATHS`.
 * A sound to transcribe is taken from a file. With `keyed` the key is that in OPENAI_API_KEY.
 */
export function codes(origin, body, kind = "chat", keyed = false) {
  return { curl: curl(origin, body, kind, keyed), python: python(origin, body, kind, keyed), javascript: javascript(origin, body, kind, keyed) };
}

function curl(origin, body, kind, keyed) {
  const key = keyed ? ['-H "Authorization: Bearer $OPENAI_API_KEY"'] : [];
  const first = `curl${kind === "chat" ? " -N" : ""} ${origin}/v1${PATHS[kind]}`;
  if (kind === "hear") return [first, ...key, ...Object.entries(body).map(([name, value]) => `-F ${quoted(`${name}=${value}`)}`), `-F file=@${SOUND}`].join(" \\\n  ");
  const json = JSON.stringify(body, null, 2);
  const data = json.length > LONGEST_ARGUMENT ? `--data-binary @- <<'JSON'\n${json}\nJSON` : `-d ${quoted(json)}`;
  return [first, ...key, '-H "Content-Type: application/json"', ...(kind === "speak" ? [`-o ${SPOKEN}`] : []), data].join(" \\\n  ");
}

const PYTHON = {
  chat: (fields) => `stream = client.chat.completions.create(
${fields(4)}
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`,
  embed: (fields) => `answer = client.embeddings.create(
${fields(4)}
)
print([each.embedding[:3] for each in answer.data])`,
  rerank: (_, body) => `answer = client.post("/rerank", cast_to=object, body=${pythonOf(body, 0)})
print(answer["results"])`,
  hear: (fields) => `with open("${SOUND}", "rb") as sound:
    answer = client.audio.transcriptions.create(
${fields(8)}
        file=sound,
    )
print(answer.text)`,
  speak: (fields) => `with client.audio.speech.with_streaming_response.create(
${fields(4)}
) as answer:
    answer.stream_to_file("${SPOKEN}")`,
};

function python(origin, body, kind, keyed) {
  const fields = (indent) => Object.entries(body).map(([name, value]) => `${" ".repeat(indent)}${name}=${pythonOf(value, indent)},`).join("\n");
  return `from openai import OpenAI

client = OpenAI(base_url="${origin}/v1"${keyed ? "" : ', api_key="none"'})
${PYTHON[kind](fields, body)}`;
}

const JAVASCRIPT = {
  chat: (json) => `const stream = await client.chat.completions.create(${json});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`,
  embed: (json) => `const answer = await client.embeddings.create(${json});
console.log(answer.data.map((each) => each.embedding.slice(0, 3)));`,
  rerank: (json) => `const answer = await client.post("/rerank", { body: ${json} });
console.log(answer.results);`,
  hear: (json) => `const file = fs.createReadStream("${SOUND}");
const answer = await client.audio.transcriptions.create({ ...${json}, file });
console.log(answer.text);`,
  speak: (json) => `const answer = await client.audio.speech.create(${json});
await fs.promises.writeFile("${SPOKEN}", Buffer.from(await answer.arrayBuffer()));`,
};

function javascript(origin, body, kind, keyed) {
  const files = kind === "hear" || kind === "speak" ? 'import fs from "node:fs";\n' : "";
  return `${files}import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${origin}/v1"${keyed ? "" : ', apiKey: "none"'} });
${JAVASCRIPT[kind](JSON.stringify(body, null, 2))}`;
}

/** Return a JSON value as Python writes it. */
export function pythonOf(value, indent) {
  const pad = " ".repeat(indent);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) {
    return value.length ? `[\n${value.map((each) => `${pad}    ${pythonOf(each, indent + 4)},`).join("\n")}\n${pad}]` : "[]";
  }
  if (typeof value === "object") {
    const parts = Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${pythonOf(each, indent)}`);
    return `{${parts.join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** Return the value with pictures and sounds cut short: a page of letters helps nobody. */
export function shortened(value) {
  if (typeof value === "string") return value.startsWith("data:") || ENCODED.test(value) ? `${value.slice(0, SHOWN)}…` : value;
  if (Array.isArray(value)) return value.map(shortened);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shortened(each)]));
  }
  return value;
}
