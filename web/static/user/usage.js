// Sums of what was used. Pure.

const DAYS = 7;

/** Return the rows of usage by day and model, the newest first; keys are put together. */
export function byModel(rows) {
  const found = new Map();
  for (const row of rows) {
    const id = `${row.day} ${row.model}`;
    const sum = found.get(id) ?? { day: row.day, model: row.model, requests: 0, prompt: 0, completion: 0, cost: 0 };
    sum.requests += row.requests;
    sum.prompt += row.prompt_tokens;
    sum.completion += row.completion_tokens;
    sum.cost += Number(row.cost);
    found.set(id, sum);
  }
  return [...found.values()].sort((one, other) => other.day.localeCompare(one.day) || one.model.localeCompare(other.model));
}

/** Return for how many days the balance lasts, by the last seven; null if nothing was spent. */
export function lasts(balance, rows, today) {
  const first = new Date(Date.parse(today) - (DAYS - 1) * 86400000).toISOString().slice(0, 10);
  const spent = rows.filter((row) => row.day >= first).reduce((sum, row) => sum + Number(row.cost), 0);
  return spent > 0 ? Math.max(0, Number(balance)) / (spent / DAYS) : null;
}
