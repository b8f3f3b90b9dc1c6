// The settings that count: which a filter leaves, and how a value is written. Pure.

/** Return the tables with those of their settings that have the words, and with `own` those that are set; none without any. */
export function tablesWith(tables, wanted, own) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (each, title) => {
    const text = `${title} ${each.name} ${valueOf(each.value)}`.toLowerCase();
    return (each.set || !own) && words.every((word) => text.includes(word));
  };
  return tables
    .map(({ name, settings }) => ({ name, settings: settings.filter((each) => fits(each, name)) }))
    .filter(({ settings }) => settings.length);
}

/** Return a value as text. */
export function valueOf(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.length ? value.map((each) => (typeof each === "object" ? JSON.stringify(each) : String(each))).join(" ") : "–";
  if (typeof value === "object") return Object.keys(value).length ? Object.entries(value).map(([name, inner]) => `${name} = ${valueOf(inner)}`).join(", ") : "–";
  return value === "" ? "–" : String(value);
}

/** Return where a setting is set, as `file:line`; null for none that is set. */
export function placeOf(file, setting) {
  if (!setting.set || !file) return null;
  const name = file.split(/[\\/]/).at(-1);
  return setting.line === null ? name : `${name}:${setting.line}`;
}
