// Words of a shell. Pure.

/** Return a text as one word of a POSIX shell. */
export function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
