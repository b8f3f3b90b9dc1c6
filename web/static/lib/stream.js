// A request whose answer is a stream of events.

import { eventReader } from "./sse.js";

/** What the gateway or its engine refused, or why nothing came. `code` is the API's, or "network". */
export class Refused extends Error {
  constructor(message, code, status = 0, after = null) {
    super(message);
    this.code = code;
    this.status = status;
    this.after = after;
  }
}

/** Send JSON, and give each event and comment to `take`; `head` gets the headers. Refused if it fails. */
export async function stream(path, body, { signal, key, take, head }) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const answer = await reached(fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal }));
  if (!answer.ok) throw await refusal(answer);
  head(answer.headers);
  const read = eventReader();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reached(reader.read());
    if (done) return;
    for (const each of read(value)) take(each);
  }
}

async function reached(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("", "network");
  }
}

async function refusal(answer) {
  let told = {};
  try {
    told = (await answer.json()).error ?? {};
  } catch {
    // Not JSON: a proxy may have answered.
  }
  const after = Number(answer.headers.get("Retry-After")) || null;
  return new Refused(told.message ?? answer.statusText, told.code ?? "", answer.status, after);
}
