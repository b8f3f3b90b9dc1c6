// The bars of the last 90 days. Pure.

const DAYS = 90;
const DAY_MS = 86400000;
// A restart takes some seconds: a day with one is a whole day still.
const WHOLE = 0.999;

/** Return a bar for each of the last 90 days up to `now`: its date, its uptime or null, its kind. */
export function bars(days, now) {
  const known = new Map(days.map((each) => [each.day, each.uptime]));
  return Array.from({ length: DAYS }, (_, index) => {
    const day = new Date(now - (DAYS - 1 - index) * DAY_MS).toISOString().slice(0, 10);
    const uptime = known.get(day) ?? null;
    return { day, uptime, kind: kindOf(uptime) };
  });
}

function kindOf(uptime) {
  if (uptime === null) return "";
  if (uptime >= WHOLE) return "full";
  return uptime > 0 ? "part" : "down";
}
