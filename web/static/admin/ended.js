// The list of ended requests, the newest first, as pages of it arrive. Pure.

/**
 * Return the list with its newest page taken in. Rows below that page stay, and known rows stay
 * the same objects; the list begins anew if the page does not reach it, or has other filters.
 */
export function withNewest(list, page, filters) {
  const known = list?.filters === filters ? list.requests : [];
  const byId = new Map(known.map((each) => [each.id, each]));
  const requests = page.requests.map((each) => byId.get(each.id) ?? each);
  const at = known.indexOf(requests.at(-1));
  if (at < 0) return { requests, next: page.next, filters };
  return { requests: [...requests, ...known.slice(at + 1)], next: list.next, filters };
}

/** Return the list with its next page below it; as it is if it has other filters by now. */
export function withMore(list, page, filters) {
  if (list.filters !== filters) return list;
  const known = new Set(list.requests.map((each) => each.id));
  const fresh = page.requests.filter((each) => !known.has(each.id));
  return { requests: [...list.requests, ...fresh], next: page.next, filters };
}
