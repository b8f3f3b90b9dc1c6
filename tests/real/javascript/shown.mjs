// The programs that the playground shows, as files beside the library; CODE is the module that makes them.

import { writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";

/** Write the program for a request of this kind; return its path, its address, and the one in Python. */
export async function shown(kind, origin, body) {
  const { codes } = await import(pathToFileURL(process.env.CODE));
  const { javascript, python } = codes(origin, body, kind);
  const file = path.resolve(`shown-${kind}.mjs`);
  await writeFile(file, javascript);
  return { file, url: pathToFileURL(file), python };
}
