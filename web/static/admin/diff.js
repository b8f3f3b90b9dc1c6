// What a reload changes, as lines for a list. Pure.

/** Return `{ what, name, more }` of each change that the gateway tells of a reload. */
export function changesOf(found) {
  const lines = [];
  const add = (what, names) => {
    if (Array.isArray(names)) for (const name of names) lines.push({ what, name, more: "" });
    else for (const [name, keys] of Object.entries(names ?? {})) lines.push({ what, name, more: Array.isArray(keys) ? keys.join(", ") : String(keys) });
  };
  add("added", [...(found.models?.added ?? []), ...(found.variants?.added ?? [])]);
  add("removed", [...(found.models?.removed ?? []), ...(found.variants?.removed ?? [])]);
  add("changed", found.models?.changed);
  add("redefined", found.variants?.redefined);
  add("adjusted", found.variants?.adjusted);
  add("setting", found.settings);
  add("changed", ["groups", "routes", "peers"].filter((name) => found[name] === true));
  add("restart", found.needs_restart);
  return lines;
}
