// How to use the gateway from programs, with the visitor's own address. Pure.

import { quoted } from "../lib/quoting.js";

/**
 * Return the texts by the keys of their tabs; `origin` is as in the address bar. With `keyed` the
 * libraries and curl take the key from their own variables.
 */
export function snippets(origin, model, keyed = false) {
  const [python, javascript] = keyed ? ["", ""] : [', api_key="none"', ', apiKey: "none"'];
  const name = JSON.stringify(model);
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hello!" }] });
  return {
    curl: `curl ${origin}/v1/chat/completions \\
  -H "Content-Type: application/json" \\${keyed ? '\n  -H "Authorization: Bearer $OPENAI_API_KEY" \\' : ""}
  -d ${quoted(body)}`,
    python: `from openai import OpenAI

client = OpenAI(base_url="${origin}/v1"${python})
answer = client.chat.completions.create(
    model=${name},
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)`,
    javascript: `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${origin}/v1"${javascript} });
const stream = await client.chat.completions.create({
  model: ${name},
  messages: [{ role: "user", content: "Hello!" }],
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");`,
    anthropic: `import anthropic

client = anthropic.Anthropic(base_url="${origin}"${python})
answer = client.messages.create(
    model=${name},
    max_tokens=256,
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.content[0].text)`,
    ollama: `OLLAMA_HOST=${origin} ollama run ${quoted(model)}`,
  };
}
