// One question to the gateway, and its answer as JSON.

import { Refused } from "./stream.js";

/** Return the answer; a body is sent as JSON, but a form as it is. Refused says why there is none, or why it is a refusal. */
export async function answered(method, path, body, headers = {}) {
  const isJson = body !== undefined && !(body instanceof FormData);
  const json = isJson ? { "Content-Type": "application/json" } : {};
  const sent = isJson ? JSON.stringify(body) : body;
  let answer;
  try {
    answer = await fetch(path, { method, headers: { ...json, ...headers }, body: sent });
  } catch {
    throw new Refused("", "network");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const after = Number(answer.headers.get("Retry-After")) || null;
  throw new Refused(told.error?.message ?? answer.statusText, told.error?.code ?? "", answer.status, after);
}

/** Send an order, or ask, as who is logged in; return the JSON of the answer. */
export async function ask(method, path, body) {
  return (await answered(method, path, body)).json();
}
