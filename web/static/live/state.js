// What the page knows of a conversation, and how each event changes it. Pure.
//
// `phase` is that of the connection: off, opening, open, lost (it is sought again), over.
// `step` is that of the newest turn: listening, hearing, thinking, speaking.
// `lines` are the captions: `{ turn, mine, text, done, mark }`; a mark is "cut" or "uncalled".
// `times` are milliseconds of the last turn, each step by itself; null until it is over.

export const FRESH = { phase: "off", step: "listening", lines: [], user: false, plays: false, times: null, problem: null };

const NO_TIMES = { heard: null, understood: null, thought: null, spoken: null };

/** Return the state after an event; `event.at` is when it came, in milliseconds. */
export function next(state, event) {
  switch (event.type) {
    case "open":
      return { ...FRESH, phase: "opening", plays: state.plays };
    case "ready":
      return { ...state, phase: "open", problem: null };
    case "lost":
      return { ...state, phase: "lost", user: false };
    case "over":
      return { ...state, phase: "over", step: "listening", user: false, problem: event.problem, lines: ended(state.lines) };
    case "problem":
      return { ...state, problem: event.problem };
    case "plays":
      return { ...state, plays: event.plays };
    case "ended":
      return { ...state, user: false, step: "hearing", times: begun(event.at, event.since) };
    case "told":
      return told(state, event.message, event.at, event.since);
    default:
      return state;
  }
}

/** Return whether there is something to interrupt. */
export const isBusy = (state) => state.phase === "open" && (state.plays || state.step !== "listening");

/** Return how long the last turn took from the end of speech to the answer's; null if not known. */
export function total(times) {
  const steps = times && [times.understood, times.thought, times.spoken];
  return steps?.every((each) => each != null) ? steps.reduce((sum, each) => sum + each, times.heard ?? 0) : null;
}

function told(state, message, at, since) {
  const { turn_id: turn } = message;
  switch (message.type) {
    case "speech_started":
      return { ...state, user: true, problem: null };
    case "speech_stopped":
      return turn ? { ...state, user: false, step: "hearing", times: begun(at, since) } : { ...state, user: false };
    case "transcript":
      return understood(state, message, at);
    case "text":
      return message.text ? { ...passed(state, "thought", at), step: later(state.step, "thinking"), lines: added(state.lines, turn, message.text) } : state;
    case "audio":
      return { ...passed(state, "spoken", at), step: "speaking" };
    case "interrupted":
      return { ...state, step: "listening", lines: cut(state.lines, turn, message.partial_output) };
    case "turn_complete":
      return { ...state, step: newest(state, turn) ? "listening" : state.step, lines: ended(state.lines, turn), times: measured(state.times, message.timings) };
    case "wake_word_required":
      return { ...state, step: "listening", lines: state.lines.map((each) => (each.turn === turn ? { ...each, mark: "uncalled" } : each)) };
    case "error":
      return { ...state, step: turn === undefined || newest(state, turn) ? "listening" : state.step, problem: { text: message.message }, lines: ended(state.lines, turn) };
    default:
      return state;
  }
}

function understood(state, { turn_id: turn, text, is_input: isInput, is_final: isFinal }, at) {
  if (isInput === false) return state;
  const others = state.lines.filter((each) => !(each.turn === turn && each.mine));
  const line = { turn, mine: true, text: text.trim(), done: isFinal, mark: "" };
  const lines = line.text ? inPlace(others, line) : others;
  if (!isFinal) return { ...state, lines };
  return { ...passed(state, "understood", at), step: line.text ? "thinking" : "listening", lines };
}

/** What a person says stands before its answer. */
function inPlace(lines, line) {
  const at = lines.findIndex((each) => each.turn >= line.turn);
  return at < 0 ? [...lines, line] : lines.toSpliced(at, 0, line);
}

function added(lines, turn, text) {
  const known = lines.findIndex((each) => each.turn === turn && !each.mine);
  if (known < 0) return [...lines, { turn, mine: false, text: text.trimStart(), done: false, mark: "" }];
  return lines.with(known, { ...lines[known], text: (lines[known].text + text).trimStart() });
}

/** What was not heard of an answer was not said, and what was half understood goes on. */
function cut(lines, turn, heard) {
  return lines
    .filter((each) => each.turn !== turn || !each.mine || each.done)
    .map((each) => (each.turn === turn && !each.mine ? { ...each, text: heard ?? "", done: true, mark: "cut" } : each));
}

/** End the lines of a turn, or all of them. */
const ended = (lines, turn) => lines.map((each) => (turn === undefined || each.turn === turn ? { ...each, done: true } : each));

const newest = (state, turn) => state.lines.every((each) => each.turn <= turn);

const later = (step, other) => (step === "speaking" ? step : other);

const begun = (at, since) => ({ ...NO_TIMES, heard: since == null ? null : Math.max(0, Math.round(at - since)), at });

/** Note that a step of the turn is over, once. */
function passed(state, step, at) {
  const { times } = state;
  if (!times || times.at == null || times[step] != null) return state;
  return { ...state, times: { ...times, [step]: Math.round(at - times.at), at } };
}

/** Take the gateway's own times, which have no way of the network in them. */
function measured(times, timings) {
  if (!times || timings?.understood_ms == null) return times;
  const { heard_ms: heard, understood_ms: understood, first_text_ms: text, first_audio_ms: audio } = timings;
  const since = (end, begin) => (end == null || begin == null ? null : Math.max(0, end - begin));
  return { heard: heard ?? times.heard, understood, thought: since(text, understood), spoken: since(audio, text), at: null };
}
