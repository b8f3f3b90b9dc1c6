// Sums of what was used. Pure.

const DAYS = 7;
const SHOWN = 30;
const DAY_MS = 86400000;
// So many parts have a colour of their own; the others are one.
const PARTS = 5;

const MEASURES = {
  tokens: (row) => row.prompt_tokens + row.completion_tokens,
  requests: (row) => row.requests,
  cost: (row) => Number(row.cost),
};

/** Return the rows of usage as a table shows them: the newest day first, then by model and key. */
export function rowsOf(rows) {
  const parts = rows.map((row) => ({ day: row.day, model: row.model, key: row.key ?? null, requests: row.requests, prompt: row.prompt_tokens, completion: row.completion_tokens, cost: Number(row.cost) }));
  const text = (one, other) => one.localeCompare(other);
  return parts.sort((one, other) => text(other.day, one.day) || text(one.model, other.model) || text(one.key ?? "", other.key ?? ""));
}

/**
 * Return what a chart of the last 30 days up to `today` shows: `days` as seconds since 1970, and
 * parts, the largest first, each with its name (null: a row has none; "": all others) and a value
 * for each day. `by` is "model" or "key"; `measure` is "tokens", "requests" or "cost".
 */
export function chartOf(rows, by, measure, today) {
  const last = Date.parse(today);
  const days = Array.from({ length: SHOWN }, (_, index) => new Date(last - (SHOWN - 1 - index) * DAY_MS).toISOString().slice(0, 10));
  const at = new Map(days.map((day, index) => [day, index]));
  const found = new Map();
  for (const row of rows) {
    if (!at.has(row.day)) continue;
    const name = row[by] ?? null;
    const values = found.get(name) ?? new Array(SHOWN).fill(0);
    values[at.get(row.day)] += MEASURES[measure](row);
    found.set(name, values);
  }
  const total = (values) => values.reduce((sum, each) => sum + each, 0);
  const parts = [...found].map(([name, values]) => ({ name, values })).sort((one, other) => total(other.values) - total(one.values));
  const rest = parts.splice(parts.length > PARTS + 1 ? PARTS : parts.length);
  if (rest.length) parts.push({ name: "", values: days.map((_, index) => total(rest.map((each) => each.values[index]))) });
  return { days: days.map((day) => Date.parse(day) / 1000), parts };
}

/** Return the parts on top of each other: for each, what stands below its upper edge. */
export function stacked(parts) {
  const sums = [];
  for (const { values } of parts) sums.push(values.map((each, index) => each + (sums.at(-1)?.[index] ?? 0)));
  return sums;
}

/** Return for how many days the balance lasts, by the last seven; null if nothing was spent. */
export function lasts(balance, rows, today) {
  const first = new Date(Date.parse(today) - (DAYS - 1) * DAY_MS).toISOString().slice(0, 10);
  const spent = rows.filter((row) => row.day >= first).reduce((sum, row) => sum + Number(row.cost), 0);
  return spent > 0 ? Math.max(0, Number(balance)) / (spent / DAYS) : null;
}
