// What the checks of every client in JavaScript share; see clients/zoo_client.py.

import assert from "node:assert/strict";

export const GATEWAY = process.env.GATEWAY;
// What operators send.
export const ADMIN = { Authorization: `Bearer ${process.env.ZOO_TOKEN}` };
export const OPENAI = `${GATEWAY}/v1`;
export const [MODEL, ENDLESS, CALLER, UNKNOWN] = ["smol", "endless", "caller", "gpt-9"];
export const CITIES = ["Paris", "Rome"];
export const QUESTION_TEXT = "What is the weather in Paris?";
export const HELLO = [{ role: "user", content: "Hello" }];
export const QUESTION = [{ role: "user", content: QUESTION_TEXT }];
export const TOO_LONG_TEXT = "the quick brown fox ".repeat(3000);
export const TOO_LONG = [{ role: "user", content: TOO_LONG_TEXT }];
export const STORY = [{ role: "user", content: "Count from one to one thousand, in words." }];
export const SCHEMA = {
  type: "object",
  properties: { city: { type: "string", enum: CITIES } },
  required: ["city"],
  additionalProperties: false,
};
export const FUNCTION = {
  name: "weather",
  description: "Tells the weather of a city.",
  parameters: SCHEMA,
};
export const TOOL = { type: "function", function: FUNCTION };

const checks = new Map();

// Name a function that throws where the client does not work.
export const check = (name, run) => checks.set(name, run);

// Run the checks, or those that the command line names; print what came of each.
export async function main() {
  const named = process.argv.slice(2);
  for (const name of named.length ? named : checks.keys()) {
    const began = performance.now();
    let error = "";
    const before = await departures();
    try {
      await checks.get(name)();
      // The engine is idle a moment before the request is counted.
      if (name === "cancel")
        await until(async () => (await departures()) > before, "the engine wrote all of the answer");
    } catch (thrown) {
      error = `${thrown?.stack ?? thrown}`;
    }
    const seconds = Math.round(performance.now() - began) / 1000;
    console.log(JSON.stringify({ check: name, error, seconds }));
  }
  process.exit();
}

// Assert that the promise is rejected with one of these words in its message.
async function refused(asked, ...words) {
  const began = performance.now();
  let error;
  try {
    await asked();
  } catch (thrown) {
    error = thrown;
  }
  assert(error, "it was not refused");
  const message = `${error.name}: ${error.message}`.toLowerCase();
  assert(words.some((word) => message.includes(word)), message);
  assert(performance.now() - began < 60_000, "the client tried again and again");
  return error;
}

export const tooLong = (asked) =>
  refused(asked, "context_length", "context length", "too long", "context size");
export const unknown = (asked) => refused(asked, UNKNOWN);

export function isCity(value) {
  const found = typeof value === "string" ? JSON.parse(value) : value;
  assert(CITIES.includes(found.city), JSON.stringify(found));
}

// Resolves to how many requests have ended because their client left.
async function departures() {
  const page = await (await fetch(`${GATEWAY}/metrics`, { headers: ADMIN })).text();
  const lines = page.split("\n").filter((line) => line.includes('status="499"'));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

// Resolves when no engine answers a request and the queue is empty.
export const untilIdle = () =>
  until(async () => {
    const { waiting, engines } = await (await fetch(`${GATEWAY}/health`)).json();
    return waiting === 0 && engines.every(({ active }) => active === 0);
  }, "an engine still answers");

async function until(happened, otherwise) {
  const deadline = performance.now() + 120_000;
  while (!(await happened())) {
    assert(performance.now() < deadline, otherwise);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
