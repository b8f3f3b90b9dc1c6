// The points of the charts: the past as the gateway remembers it, then each second. Pure.

const LONGEST = 3600;
// Seconds that a chart shows at least.
const SHORTEST = 300;
const USED = "_used";

/** Return the points with a tick behind them; what is an hour older than it is left out. */
export function withTick(points, tick) {
  if (points.length && tick.time <= points.at(-1).at) return points;
  let from = points.findIndex((each) => each.at > tick.time - LONGEST);
  if (from < 0) from = points.length;
  const { tokens_per_second, in_flight, waiting } = tick;
  return [...points.slice(from), { at: tick.time, tokens_per_second, in_flight, waiting, ...tick.machine, ...ofEngines(tick.memory) }];
}

const ofEngines = (memory) => Object.fromEntries(Object.entries(memory ?? {}).map(([name, bytes]) => [`engines_${name}`, bytes]));

/** Return the columns of a chart: times, then the values of each name; null where there is none. */
export function columns(points, names) {
  return [points.map((each) => each.at), ...names.map((name) => points.map((each) => each[name] ?? null))];
}

/** Return the memories that the points tell of: GPUs by their numbers, then main memory. */
export function memories(points) {
  const names = new Set(points.flatMap((each) => Object.keys(each).filter((name) => name.endsWith(USED))));
  return [...names].map((name) => name.slice(0, -USED.length)).sort((one, other) => (one === "ram") - (other === "ram") || one.localeCompare(other, "en", { numeric: true }));
}

/** Return the columns of the chart of memory: the share of each that is used, in percent. */
export function shares(points, names, totals) {
  const [times, ...values] = columns(points, names.map((name) => name + USED));
  return [times, ...values.map((used, index) => used.map((bytes) => (bytes === null ? null : (100 * bytes) / totals[names[index]])))];
}

/** Return the bytes of each memory of the machine, by the answer of `/admin/api/system`. */
export function totalsOf(system) {
  return Object.fromEntries([...system.gpus.filter((each) => each.total).map((each) => [each.id, each.total]), ["ram", system.memory.total]]);
}

/** Return the first and the last second that a chart shows; `now` is the time without points. */
export function range(first, last, now) {
  const end = last ?? now;
  return [Math.min(first ?? end, end - SHORTEST), end];
}

/** Return `{ id, used }` of each request that an engine answers: the tokens of its context that it uses. */
export function usedOf(engine, requests) {
  if (!engine.context) return [];
  const own = requests.filter((each) => each.variant === engine.variant && (each.state === "prefill" || each.state === "streaming"));
  return own.map((each) => ({ id: each.id, used: Math.min(engine.context, (each.prompt_tokens ?? 0) + (each.tokens ?? 0)) }));
}
