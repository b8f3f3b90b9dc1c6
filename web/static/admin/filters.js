// The filters of the list of requests, as they stand in the address of the page. Pure.

export const NAMES = ["model", "status", "client", "reason"];

/** Return the filters of a query string, without those that are empty or not known. */
export function filtersOf(search) {
  const query = new URLSearchParams(search);
  return Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""]).filter(([, value]) => value));
}

/** Return the query string of filters, with what else the gateway is asked; "" for none. */
export function queryOf(filters, more = {}) {
  const all = [...Object.entries(filters), ...Object.entries(more)].filter(([, value]) => value !== "" && value != null);
  return all.length ? `?${new URLSearchParams(all)}` : "";
}
