// What a page can do by the keyboard: commands to search, keys to press. Pure but for the list.
//
// A command is `{ id, label, run, key, group }`. One with a key runs when the key is pressed outside
// of text fields. One without `run` is only listed among the keys: a field handles it itself.

const lists = new Map();

/** Note the commands of one source, in place of those that it had; none if the list is empty. */
export function register(source, commands) {
  if (commands.length) lists.set(source, commands);
  else lists.delete(source);
}

/** Return all commands, those of the page before those that every page has. */
export function registered() {
  return [...lists.values()].toReversed().flat();
}

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

/** Return the commands that can be run and have every word of the query; those that begin with it first. */
export function found(commands, query) {
  const words = plain(query).split(/\s+/).filter(Boolean);
  const rated = [];
  for (const command of commands) {
    if (!command.run) continue;
    const text = plain(`${command.label} ${command.group ?? ""}`);
    if (!words.every((word) => text.includes(word))) continue;
    const begins = words.filter((word) => text.startsWith(word) || text.includes(` ${word}`)).length;
    rated.push({ command, rate: (words.length && text.startsWith(words[0]) ? 1 : 0) + begins });
  }
  return rated.sort((one, other) => other.rate - one.rate).map((each) => each.command);
}

/** Return the command whose key this is; null if there is none, or if the key belongs to a text. */
export function pressed(commands, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  if (event.target?.closest?.("input, textarea, select, dialog, [contenteditable]")) return null;
  return commands.find((each) => each.run && each.key === event.key) ?? null;
}
