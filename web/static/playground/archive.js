// Conversations as a file, and back. Pure.

const KIND = "llm-gateway/conversations";
const ROLES = ["user", "assistant"];
const DATA = /^data:(?:image|audio)\/[\w.+-]+;base64,[A-Za-z0-9+/=]+$/;

/** Return the text of a file with these conversations; `images` are data URLs by their ids. */
export function packed(talks, images) {
  return JSON.stringify({ kind: KIND, version: 1, conversations: talks, images }, null, 1);
}

/** Return the conversations and images of a file, or null if it is none. What is not known is left out. */
export function unpacked(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (value?.kind !== KIND || value.version !== 1 || !Array.isArray(value.conversations)) return null;
  const talks = value.conversations.map(talkOf);
  if (talks.includes(null)) return null;
  const images = Object.entries(value.images ?? {}).filter(([, data]) => DATA.test(data));
  return { talks, images: Object.fromEntries(images) };
}

function talkOf(talk) {
  if (typeof talk?.id !== "string" || !Array.isArray(talk.messages)) return null;
  const messages = talk.messages.filter(
    (each) => typeof each?.id === "string" && ROLES.includes(each.role) && typeof each.text === "string",
  );
  const own = { system: "", ...talk.settings };
  const settings = Object.fromEntries(Object.entries(own).filter(([, each]) => ["string", "number"].includes(typeof each)));
  const now = Date.now();
  return {
    id: talk.id,
    title: String(talk.title ?? ""),
    created: Number(talk.created) || now,
    changed: Number(talk.changed) || now,
    settings,
    leaf: messages.some((each) => each.id === talk.leaf) ? talk.leaf : (messages.at(-1)?.id ?? null),
    messages: messages.map(messageOf),
    ...(typeof talk.beside === "string" ? { beside: talk.beside } : {}),
  };
}

function messageOf({ id, parent, role, text, thought, calls, images, sounds, model, figures }) {
  return {
    id,
    parent: typeof parent === "string" ? parent : null,
    role,
    text,
    ...(typeof thought === "string" ? { thought } : {}),
    ...(Array.isArray(calls) ? { calls: calls.map((each) => ({ name: String(each?.name), arguments: String(each?.arguments) })) } : {}),
    ...(Array.isArray(images) ? { images: images.filter((each) => typeof each === "string") } : {}),
    ...(Array.isArray(sounds) ? { sounds: sounds.filter((each) => typeof each === "string") } : {}),
    ...(typeof model === "string" ? { model } : {}),
    ...(figures && typeof figures === "object" ? { figures: numbersOf(figures) } : {}),
  };
}

function numbersOf(figures) {
  return Object.fromEntries(Object.entries(figures).filter(([, each]) => typeof each === "number" || each === null));
}
