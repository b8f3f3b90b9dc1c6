// A request as code that a person can run. Pure.

import { quoted } from "../lib/quoting.js";

const SHOWN = 48;
// A sound as a request has it.
const ENCODED = /^UklGR[A-Za-z0-9+/]{200}/;

/** Return the texts by the keys of their tabs, for the body of a chat. */
export function codes(origin, body) {
  const short = shortened(body);
  return { curl: curl(origin, short), python: python(origin, short), javascript: javascript(origin, short) };
}

function curl(origin, body) {
  return `curl -N ${origin}/v1/chat/completions \\
  -H "Content-Type: application/json" \\
  -d ${quoted(JSON.stringify(body, null, 2))}`;
}

function python(origin, body) {
  const fields = Object.entries(body).map(([name, value]) => `    ${name}=${pythonOf(value, 4)},`);
  return `from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key="none")
stream = client.chat.completions.create(
${fields.join("\n")}
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`;
}

function javascript(origin, body) {
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${origin}/v1", apiKey: "none" });
const stream = await client.chat.completions.create(${JSON.stringify(body, null, 2)});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`;
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
