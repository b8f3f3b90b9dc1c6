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

/**
 * Post JSON, or get what is there without a body; give each event and comment to `take`.
 * `head` gets the headers of the answer. Refused if it fails.
 */
export async function stream(path, body, { signal, headers = {}, take, head }) {
  const sent = body === undefined
    ? { headers }
    : { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) };
  const answer = await reached(fetch(path, { ...sent, signal }));
  if (!answer.ok) throw await refusal(answer);
  head(answer.headers);
  const read = eventReader();
  // Not through a pipe: if the connection is cut, a pipe drops what came just before.
  const reader = answer.body.getReader();
  const text = new TextDecoder();
  for (;;) {
    const { done, value } = await reached(reader.read());
    if (done) return;
    for (const each of read(text.decode(value, { stream: true }))) take(each);
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
