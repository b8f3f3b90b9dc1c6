// An answer as it arrives: from chunks of a chat to a text, thoughts, tool calls and figures. Pure.

/** Return an answer of which nothing has come; `now` is in milliseconds. */
export function begun(now) {
  return { text: "", thought: "", calls: [], pieces: 0, before: 0, started: now, first: null, last: null, finish: null, variant: "" };
}

/** Return the answer with what a chunk of `/v1/chat/completions` adds to it. */
export function extended(answer, chunk, now) {
  const next = { ...answer };
  const choice = chunk.choices?.[0];
  const delta = choice?.delta ?? {};
  const thought = delta.reasoning_content ?? delta.reasoning ?? "";
  const text = delta.content ?? "";
  next.text += text;
  next.thought += thought;
  for (const call of delta.tool_calls ?? []) next.calls = withCall(next.calls, call);
  if (text || thought || delta.tool_calls?.length) {
    next.first ??= now;
    next.last = now;
    next.pieces += 1;
  }
  if (choice?.finish_reason) next.finish = choice.finish_reason;
  if (chunk.usage) next.usage = chunk.usage;
  if (chunk.timings) next.timings = chunk.timings;
  return next;
}

function withCall(calls, { index = 0, function: said = {} }) {
  const found = calls.map((each) => ({ ...each }));
  found[index] ??= { name: "", arguments: "" };
  found[index].name += said.name ?? "";
  found[index].arguments += said.arguments ?? "";
  return found;
}

/** Return the figures of an answer; what is not known is null. Times are in seconds. */
export function figures(answer) {
  const { usage, timings, first, last, started, pieces } = answer;
  const own = usage?.completion_tokens ?? timings?.predicted_n;
  const tokens = own == null ? pieces || null : own + answer.before;
  const measured = first !== null && last > first && pieces > 1 ? ((pieces - 1) * 1000) / (last - first) : null;
  return {
    tokens,
    prompt: usage?.prompt_tokens ?? (timings ? timings.prompt_n + (timings.cache_n ?? 0) : null),
    cached: usage?.prompt_tokens_details?.cached_tokens ?? timings?.cache_n ?? null,
    rate: timings?.predicted_n > 1 ? timings.predicted_per_second : measured,
    first: first === null ? null : (first - started) / 1000,
    cost: usage?.cost == null ? null : Number(usage.cost),
  };
}

/** Return whether an answer has filled its variant's context, and a larger variant could go on with it. */
export function outgrown(answer, settings, variant, model) {
  const contexts = (model?.variants ?? []).filter((each) => typeof each === "number");
  const limited = settings.max_tokens != null && settings.max_tokens !== "";
  if (answer.finish !== "length" || limited || !answer.text.trim() || answer.calls.length || !contexts.length) return false;
  return Number(variant.slice(variant.lastIndexOf("@") + 1)) < Math.max(...contexts);
}

/** Return what a comment of the stream tells: what is waited for, or a header that came late. */
export function told(comment) {
  const variant = /^X-Gateway-Variant: (.+)$/.exec(comment);
  if (variant) return { variant: variant[1], waits: null };
  const load = /^keep-alive, loading (.+?)(?:, (\d+) %, (\d+) s left)?$/.exec(comment);
  if (load) {
    const [, name, share, left] = load;
    return { waits: "load", variant: name, share: share ? Number(share) / 100 : null, left: left ? Number(left) : null };
  }
  return comment === "keep-alive, queued" ? { waits: "queue" } : {};
}
