// From a conversation to the body of a request. Pure.

const NUMBERS = ["temperature", "top_p", "max_tokens", "seed"];

/** Return the body for these messages; `images` are data URLs of pictures and sounds by their ids. */
export function bodyOf(model, settings, messages, images = {}) {
  const said = messages.filter((each) => each.role === "user" || each.text).map((each) => messageOf(each, images));
  const system = settings.system?.trim() ? [{ role: "system", content: settings.system }] : [];
  const chosen = NUMBERS.filter((name) => isNumber(settings[name])).map((name) => [name, Number(settings[name])]);
  const stop = (settings.stop ?? "").split("\n").filter(Boolean);
  return {
    model,
    messages: [...system, ...said],
    stream: true,
    stream_options: { include_usage: true },
    ...Object.fromEntries(chosen),
    ...(stop.length ? { stop } : {}),
  };
}

function messageOf({ role, text, images: pictures = [], sounds = [] }, data) {
  if (!pictures.length && !sounds.length) return { role, content: text };
  const seen = pictures.map((id) => ({ type: "image_url", image_url: { url: data[id] } }));
  const heard = sounds.map((id) => ({ type: "input_audio", input_audio: { data: data[id].split(",", 2)[1], format: "wav" } }));
  return { role, content: [...(text ? [{ type: "text", text }] : []), ...seen, ...heard] };
}

function isNumber(value) {
  return value !== "" && value != null && Number.isFinite(Number(value));
}
