// web/static/landing: snippets and uptime.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { snippets } from "../../../../web/static/landing/snippets.js";
import { bars } from "../../../../web/static/landing/uptime.js";
import { quoted } from "../../../../web/static/lib/quoting.js";

test("snippets have the visitor's address and the model, whatever it is called", () => {
  const texts = snippets("https://llm.example", "it's \"$(a)\"");
  for (const [name, text] of Object.entries(texts)) assert.ok(text.includes("https://llm.example"), name);
  assert.ok(texts.python.includes('model="it\'s \\"$(a)\\""'));
  const shown = execFileSync("sh", ["-c", `curl() { shift 3; printf %s "$2"; }\n${texts.curl}`]);
  assert.equal(JSON.parse(shown).model, "it's \"$(a)\"");
});

test("with accounts the key comes from the environment", () => {
  const texts = snippets("http://h:1", "m", true);
  const env = { ...process.env, OPENAI_API_KEY: "sk" };
  assert.equal(String(execFileSync("sh", ["-c", `curl() { shift 3; printf %s "$2"; }\n${texts.curl}`], { env })), "Authorization: Bearer sk");
  for (const text of Object.values(texts)) assert.ok(!/none/.test(text));
});

test("a word of a shell stays one word", () => {
  assert.equal(String(execFileSync("sh", ["-c", `printf %s ${quoted("a'b $c")}`])), "a'b $c");
});

test("each of the last 90 days has a bar, of days without a count too", () => {
  const now = Date.UTC(2026, 10, 22, 13);
  const days = [{ day: "2026-11-20", uptime: 0.4 }, { day: "2026-11-21", uptime: 0 }, { day: "2026-11-22", uptime: 1 }];
  const all = bars(days, now);
  assert.equal(all.length, 90);
  assert.equal(all[0].day, "2026-08-25");
  assert.deepEqual(all.slice(-4).map(({ kind }) => kind), ["", "part", "down", "full"]);
});
