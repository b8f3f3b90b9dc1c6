// Markdown cut into blocks that later lines cannot change, but for the last. Pure.
//
// While an answer arrives, only its last block is rendered again. A cut is made at a blank line
// outside of fenced code, where the next line can neither belong to a list nor be indented.

const FENCE = /^ {0,3}(`{3,}|~{3,})(.*)$/;
const LIST = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)/;
const INDENTED = /^(?: {2,}|\t)/;

/** Return the blocks of the text; joined by blank lines they render as the text does. */
export function blocks(text) {
  const done = [];
  let block = [];
  let fence = null;
  let blank = false;
  let list = false;
  for (const line of text.split("\n")) {
    const isBlank = line.trim() === "";
    const continues = INDENTED.test(line) || (list && LIST.test(line));
    if (!fence && blank && !isBlank && block.length && !continues) {
      done.push(block.join("\n"));
      block = [];
      list = false;
    }
    if (isBlank && !block.length) continue;
    if (!fence && LIST.test(line)) list = true;
    fence = fenceAfter(line, fence);
    block.push(line);
    blank = isBlank && !fence;
  }
  if (block.length) done.push(block.join("\n"));
  return done;
}

/** Return the fence that is open after the line: its characters; null if none is. */
function fenceAfter(line, fence) {
  const found = FENCE.exec(line);
  if (!found) return fence;
  const [, marks, rest] = found;
  if (fence) {
    const closes = marks[0] === fence[0] && marks.length >= fence.length && rest.trim() === "";
    return closes ? null : fence;
  }
  return marks[0] === "`" && rest.includes("`") ? null : marks;
}
