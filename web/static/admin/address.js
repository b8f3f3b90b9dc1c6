// What the address says of the page beside its tab: filters, and what is looked at. Pure but for the address.

/** Return the query string with these changes; a value that is empty leaves it. */
export function changed(search, changes) {
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value == null) query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** Return what the address says of the name; "" for nothing. */
export const said = (name) => new URLSearchParams(location.search).get(name) ?? "";

/** Have the address say this, with another tab if one is named; nothing is loaded for it. */
export function say(changes, tab = location.hash.slice(1)) {
  history.replaceState(null, "", `${location.pathname}${changed(location.search, changes)}${tab && `#${tab}`}`);
}
