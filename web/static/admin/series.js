// The points of the chart: the past as the gateway remembers it, then each second. Pure.

const LONGEST = 3600;

/** Return the columns of a chart from the answer of `/admin/api/history`: times, then values. */
export function columns(points) {
  return [
    points.map((each) => each.at),
    points.map((each) => each.tokens_per_second),
    points.map((each) => each.in_flight),
    points.map((each) => each.waiting),
  ];
}

/** Return the columns with a tick behind them; what is an hour older than it is left out. */
export function withTick(known, tick) {
  const [times, ...rest] = known;
  if (times.length && tick.time <= times.at(-1)) return known;
  let from = times.findIndex((time) => time > tick.time - LONGEST);
  if (from < 0) from = times.length;
  const values = [tick.tokens_per_second, tick.in_flight, tick.waiting];
  return [[...times.slice(from), tick.time], ...rest.map((column, index) => [...column.slice(from), values[index]])];
}

/** Return `{ id, used }` of each request that an engine answers: the tokens of its context that it uses. */
export function usedOf(engine, requests) {
  if (!engine.context) return [];
  const own = requests.filter((each) => each.variant === engine.variant && (each.state === "prefill" || each.state === "streaming"));
  return own.map((each) => ({ id: each.id, used: Math.min(engine.context, (each.prompt_tokens ?? 0) + (each.tokens ?? 0)) }));
}
