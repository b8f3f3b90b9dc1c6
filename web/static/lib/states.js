// How the states of engines are shown. Pure.

const KINDS = { ready: "good", starting: "warn", draining: "warn", stopping: "warn", aborting: "warn", backoff: "bad", failed: "bad" };

/** Return the class of a pill for an engine's state. */
export const kindOf = (state) => KINDS[state] ?? "";

/** Return the shortest of the known load times, in seconds; null if none was measured. */
export function quickestLoad(loads) {
  const known = Object.values(loads ?? {}).filter((each) => each != null);
  return known.length ? Math.min(...known) : null;
}
