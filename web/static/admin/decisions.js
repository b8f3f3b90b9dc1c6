// Which text a decision has, and which decisions a filter leaves. Pure.

const OWN = ["switch", "address", "alone", "group", "memory", "count", "idle", "shrink", "grow", "operator", "configuration"];

const WAITS = ["load", "slot", "turn", "busy", "room", "ending"];

/** Return whether the entry says why a request waited; else it is a decision. */
export const isWait = (each) => WAITS.includes(each.kind);

/** Return the key of the text of a decision or a wait; null if only the gateway has the words. */
export function keyOf(each) {
  if (isWait(each)) return `waited.${each.kind}`;
  return OWN.includes(each.kind) ? `why.${each.kind}` : null;
}

/** Return whether the decision is about this text: of a model, a variant, a request, or its words. */
export function about(each, wanted) {
  const small = wanted.trim().toLowerCase();
  return [each.model, each.variant, each.wanted, each.request, ...(each.requests ?? []), each.text, each.kind].some((value) => value?.toLowerCase().includes(small));
}
