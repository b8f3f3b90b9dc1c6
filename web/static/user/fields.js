// What a form says of a new key, as the API takes it. Pure.

export const SCOPES = ["inference", "read", "admin"];
const NUMBERS = ["rpm", "tpm", "concurrency", "max_context"];
const END_OF_DAY = "T23:59:59";

/** Return the fields of a key for the entries of a form; what is empty is left out. */
export function keyOf(entries) {
  const text = (name) => String(entries[name] ?? "").trim();
  const models = text("models").split(/[\s,]+/).filter(Boolean);
  const numbers = NUMBERS.filter((name) => text(name)).map((name) => [name, Number(text(name))]);
  return {
    name: text("name"),
    scopes: SCOPES.filter((each) => entries[`scope.${each}`]),
    may_load: Boolean(entries.may_load),
    may_evict: Boolean(entries.may_evict),
    ...(models.length ? { models } : {}),
    ...Object.fromEntries(numbers),
    ...(text("budget") ? { budget: text("budget"), ...(text("budget_period") ? { budget_period: text("budget_period") } : {}) } : {}),
    ...(text("expires") ? { expires_at: Date.parse(`${text("expires")}${END_OF_DAY}`) / 1000 } : {}),
  };
}
