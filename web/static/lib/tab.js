// What is kept for this tab alone; where storage is forbidden, as long as the page.

const memory = new Map();

/** Return the text that is kept under the name, or null. */
export function kept(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return memory.get(name) ?? null;
  }
}

/** Keep a text under the name; nothing if it is empty. */
export function keep(name, text) {
  try {
    if (text) sessionStorage.setItem(name, text);
    else sessionStorage.removeItem(name);
  } catch {
    memory.set(name, text || null);
  }
}
