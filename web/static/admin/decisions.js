// Which text a decision has, and which decisions a filter leaves. Pure.

const OWN = ["switch", "address", "alone", "group", "memory", "count", "idle", "shrink", "grow", "operator", "configuration"];

/** Return the key of the decision's text; null if only the gateway has the words. */
export const keyOf = (each) => (OWN.includes(each.kind) ? `why.${each.kind}` : null);

/** Return whether the decision is about this text: of a model, a variant, a request, or its words. */
export function about(each, wanted) {
  const small = wanted.trim().toLowerCase();
  return [each.model, each.variant, each.wanted, each.request, ...(each.requests ?? []), each.text, each.kind].some((value) => value?.toLowerCase().includes(small));
}
