// The parts of a request's time. Pure.

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

/** Return tokens per second of an answer; null if that is not known. */
export function rate(row) {
  const { completion_tokens: tokens, decode_seconds: seconds } = row;
  return tokens > 1 && seconds > 0 ? tokens / seconds : null;
}
