// Server-sent events from the pieces of a stream (WHATWG HTML, 9.2.6), with their comments. Pure.

/**
 * Return a function that takes the next piece of text and gives what has become whole by it:
 * `{ comment }` for a line that begins with a colon, `{ event, data }` for an event.
 */
export function eventReader() {
  let rest = "";
  let event = "message";
  let data = [];

  function read(line, found) {
    if (line === "") {
      if (data.length) found.push({ event, data: data.join("\n") });
      event = "message";
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) {
      found.push({ comment: line.slice(1).trim() });
      return;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
  }

  return (piece) => {
    const found = [];
    rest += piece;
    // A line feed may follow a carriage return at the end of this piece: wait for what comes.
    const held = rest.endsWith("\r") ? 1 : 0;
    const lines = rest.slice(0, rest.length - held).split(/\r\n|\r|\n/);
    rest = lines.pop() + (held ? "\r" : "");
    for (const line of lines) read(line, found);
    return found;
  };
}
