// The parts of a request's time, and what is known of why it took so long. Pure.

// Seconds of a wait that is worth a sentence.
const WAITED = 0.01;
const ENDS = ["client", "cancelled", "length"];

/** Return `{ name, seconds }` of each part that took time, in their order; together the total. */
export function parts(row) {
  const queue = row.queue_seconds ?? 0;
  const load = row.load_seconds ?? 0;
  const total = row.total_seconds ?? 0;
  const first = row.first_token_seconds;
  const prefill = row.prefill_seconds ?? (first == null ? 0 : Math.max(0, first - queue - load));
  const decode = row.decode_seconds ?? (first == null ? 0 : Math.max(0, total - first));
  const known = { queue, load, prefill, decode };
  const rest = total - queue - load - prefill - decode;
  return Object.entries({ ...known, rest })
    .map(([name, seconds]) => ({ name, seconds }))
    .filter(({ seconds }) => seconds > total / 1000 && seconds > 0);
}

/** Return the parts with `from`, the seconds since the request came, and their `left` and `width` in percent. */
export function steps(row) {
  const shown = parts(row);
  const total = shown.reduce((sum, each) => sum + each.seconds, 0);
  let from = 0;
  return shown.map(({ name, seconds }) => {
    const step = { name, seconds, from, left: (100 * from) / total, width: (100 * seconds) / total };
    from += seconds;
    return step;
  });
}

/** Return what the figures of a request say of its reasons: `{ key, values }` of each sentence. */
export function remarks(row) {
  const found = [];
  const loaded = row.load_seconds > WAITED;
  // The gateway itself tells more, if it was asked at the time.
  if (row.queue_seconds > WAITED && !row.reasons) found.push({ key: loaded ? "because.room" : "because.slot", values: { seconds: row.queue_seconds } });
  if (loaded) found.push({ key: "because.load", values: { variant: row.variant ?? row.model, seconds: row.load_seconds } });
  if (row.cached_tokens > 0) found.push({ key: "because.cached", values: { cached: row.cached_tokens, prompt: row.prompt_tokens } });
  if (ENDS.includes(row.reason)) found.push({ key: `because.${row.reason}`, values: {} });
  return found;
}

/** Return the decisions that are about the request, in the order in which they were made. */
export const decisionsOf = (id, decisions) => decisions.filter((each) => each.request === id || each.requests?.includes(id)).toReversed();

/** Return the reasons that the request has itself, and of the decisions about it those that it has not. */
export function reasonsOf(row, decisions) {
  const own = row?.reasons ?? [];
  const known = new Set(own.map(({ at, kind, variant }) => `${at} ${kind} ${variant}`));
  const others = decisions.filter(({ at, kind, variant }) => !known.has(`${at} ${kind} ${variant}`));
  return [...own, ...others].toSorted((one, other) => one.at - other.at);
}

/** Return tokens per second of an answer; null if that is not known. */
export function rate(row) {
  const { completion_tokens: tokens, decode_seconds: seconds } = row;
  return tokens > 1 && seconds > 0 ? tokens / seconds : null;
}
