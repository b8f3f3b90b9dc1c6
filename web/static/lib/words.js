// The texts of the page: which language, and a text with its values. Pure but for `chosen`.

export const LANGUAGES = { en: "English", de: "Deutsch" };

/** Return the first language in `wanted` that the pages have; English if there is none. */
export function pick(wanted) {
  for (const each of wanted) {
    const short = String(each).toLowerCase().split("-")[0];
    if (short in LANGUAGES) return short;
  }
  return "en";
}

/** Return a function that gives a text by its key; `{name}` in it is replaced by the value. */
export function speaker(words, otherwise = {}) {
  return (key, values = {}) =>
    (words[key] ?? otherwise[key] ?? key).replace(/\{(\w+)\}/g, (all, name) => String(values[name] ?? all));
}

/** Return the language that the visitor chose, or else that of the browser. */
export function chosen() {
  let kept = null;
  try {
    kept = localStorage.getItem("language");
  } catch {
    // Storage may be forbidden.
  }
  return pick([kept ?? "", ...navigator.languages]);
}
