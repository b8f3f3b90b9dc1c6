// A conversation as a tree of messages, so that another answer or an edit loses nothing. Pure.
//
// A conversation is never changed: each function returns a new one. A message is
// `{ id, parent, role, text, … }`; `leaf` is the last message of the line that is shown.

const TITLE = 60;

/** Return a conversation without messages; its settings are those given. */
export function fresh(id, now, settings = {}) {
  return { id, title: "", created: now, changed: now, settings, leaf: null, messages: [] };
}

/** Return the messages from the first to the leaf. */
export function line(talk) {
  const byId = new Map(talk.messages.map((each) => [each.id, each]));
  const found = [];
  for (let at = byId.get(talk.leaf); at; at = byId.get(at.parent)) found.unshift(at);
  return found;
}

/** Add a message below `parent`, or else below the leaf; it is the leaf then. */
export function add(talk, message, parent = talk.leaf) {
  const title = talk.title || (message.role === "user" ? titleOf(message.text) : "");
  return { ...talk, title, leaf: message.id, messages: [...talk.messages, { ...message, parent }] };
}

/** Change fields of a message. */
export function change(talk, id, fields) {
  const messages = talk.messages.map((each) => (each.id === id ? { ...each, ...fields } : each));
  return { ...talk, messages };
}

/** Return the ids of the messages in the same place, the oldest first. */
export function siblings(talk, id) {
  const { parent } = talk.messages.find((each) => each.id === id);
  return talk.messages.filter((each) => each.parent === parent).map((each) => each.id);
}

/** Show the line through a message: from it on, the newest message each time. */
export function through(talk, id) {
  let leaf = id;
  for (;;) {
    const next = talk.messages.findLast((each) => each.parent === leaf);
    if (!next) return { ...talk, leaf };
    leaf = next.id;
  }
}

/** Return the first line of a text, not too long. */
export function titleOf(text) {
  const first = text.trim().split("\n", 1)[0];
  return first.length > TITLE ? `${first.slice(0, TITLE - 1)}…` : first;
}

/** Return the conversations that have every word of the query, in their titles or their messages. */
export function matching(talks, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return talks;
  return talks.filter((talk) => {
    const text = [talk.title, ...talk.messages.map((each) => each.text)].join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** Return a copy that stands beside a conversation, for another model. */
export function twin(talk, id) {
  return { ...structuredClone(talk), id, beside: talk.id };
}

/** Return the conversation as one that stands beside none. */
export function alone({ beside: _, ...talk }) {
  return talk;
}

/** Return the ids of all pictures and sounds of a conversation. */
export function attachments(talk) {
  return talk.messages.flatMap((each) => [...(each.images ?? []), ...(each.sounds ?? [])]);
}
