// web/static/lib: events of a stream, and blocks of Markdown.

import assert from "node:assert/strict";
import { test } from "node:test";
import { blocks } from "../../../../web/static/lib/blocks.js";
import { eventReader } from "../../../../web/static/lib/sse.js";

const STREAM = ': keep-alive\n\ndata: {"a":1}\n\nevent: error\r\ndata:two\r\ndata: lines\r\n\r\nid: 4\ndata: [DONE]\r\rrest: x';
const EVENTS = [
  { comment: "keep-alive" },
  { event: "message", data: '{"a":1}' },
  { event: "error", data: "two\nlines" },
  { event: "message", data: "[DONE]" },
];

test("events are the same wherever the stream is cut", () => {
  for (let at = 0; at <= STREAM.length; at += 1) {
    const read = eventReader();
    assert.deepEqual([...read(STREAM.slice(0, at)), ...read(STREAM.slice(at))], EVENTS, String(at));
  }
  const read = eventReader();
  assert.deepEqual([...STREAM].flatMap((each) => read(each)), EVENTS);
});

const TEXTS = {
  "paragraphs": ["One\nline\n\n\nTwo", ["One\nline\n", "Two"]],
  "a fence with blank lines": ["```py\na\n\nb\n```\n\nAfter", ["```py\na\n\nb\n```\n", "After"]],
  "a longer fence around a shorter": ["````\n```\n\nx\n````\n\ny", ["````\n```\n\nx\n````\n", "y"]],
  "a loose list": ["1. a\n\n2. b\n\n   more\n\nText", ["1. a\n\n2. b\n\n   more\n", "Text"]],
  "inline code is no fence": ["```a``` b\n\nc", ["```a``` b\n", "c"]],
  "an open fence": ["a\n\n~~~\n\nb\n\n", ["a\n", "~~~\n\nb\n\n"]],
  "nothing": ["\n\n", []],
};

for (const [name, [text, expected]] of Object.entries(TEXTS)) {
  test(`blocks: ${name}`, () => assert.deepEqual(blocks(text).map((each) => each.trimEnd()), expected.map((each) => each.trimEnd())));
}

test("more lines change no block but the last", () => {
  const text = Object.values(TEXTS).map(([each]) => each).join("\n\nBetween\n\n");
  let before = [];
  for (let end = 0; end !== -1; end = text.indexOf("\n", end + 1)) {
    const now = blocks(text.slice(0, end));
    const settled = before.slice(0, -1).map((each) => each.trimEnd());
    assert.deepEqual(now.slice(0, settled.length).map((each) => each.trimEnd()), settled, String(end));
    before = now;
  }
});
