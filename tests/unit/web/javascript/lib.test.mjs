// web/static/lib: words, formats, states.

import assert from "node:assert/strict";
import { test } from "node:test";
import { found, pressed, register, registered } from "../../../../web/static/lib/commands.js";
import { formats } from "../../../../web/static/lib/format.js";
import { kindOf, quickestLoad } from "../../../../web/static/lib/states.js";
import { pick, speaker } from "../../../../web/static/lib/words.js";
import de from "../../../../web/static/texts/de.js";
import en from "../../../../web/static/texts/en.js";

const plain = (text) => text.replaceAll("\u00a0", " ");

test("the languages have the same texts with the same values", () => {
  const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(([all]) => all).sort();
  assert.deepEqual(Object.keys(de), Object.keys(en));
  for (const key of Object.keys(en)) assert.deepEqual(values(de[key]), values(en[key]), key);
  assert.deepEqual(Object.keys(en), Object.keys(en).toSorted());
});

test("the first language that the pages have is taken", () => {
  assert.equal(pick(["", "fr-FR", "de-AT", "en"]), "de");
  assert.equal(pick(["fr", "toString"]), "en");
});

test("a text has its values, and one that is missing is taken from the other language", () => {
  const t = speaker({ a: "{x} of {y}" }, { b: "B" });
  assert.equal(t("a", { x: 1, y: "{x}" }), "1 of {x}");
  assert.equal(t("a"), "{x} of {y}");
  assert.equal(t("b"), "B");
  assert.equal(t("c"), "c");
});

test("times, sizes and contexts are short", () => {
  const { bytes, context, number, percent, seconds } = formats("en");
  assert.deepEqual([null, 0.0312, 1.26, 75, 7300, 200000].map(seconds), ["–", "31 ms", "1.3 s", "1 min", "2 h", "2 d"]);
  assert.deepEqual([null, 0, 1023, 1536, 5 * 2 ** 30, 70 * 2 ** 40].map(bytes), ["–", "0 B", "1,023 B", "1.5 KiB", "5 GiB", "70 TiB"]);
  assert.deepEqual([null, 512, 8192, 32769].map(context), ["–", "512", "8k", "32,769"]);
  assert.equal(number(1234567), "1,234,567");
  assert.equal(percent(0.99951), "99.95%");
  assert.equal(plain(formats("de").percent(0.99951)), "99,95 %");
  assert.equal(formats("de").seconds(1.26), "1,3 s");
});

test("money is told in its currency, or in a word", () => {
  assert.equal(formats("en").amount("12.5", "EUR"), "€12.50");
  assert.equal(plain(formats("de").amount("-0.0001", "EUR")), "-0,0001 €");
  assert.equal(formats("en").amount("3", "credits"), "3.00 credits");
  const costs = ["EUR", "credits", undefined].map((currency) => formats("en").cost(0.00012345, currency));
  assert.deepEqual(costs, ["€0.000123", "0.000123 credits", "0.000123"]);
});

test("a state that is not known has no colour", () => {
  assert.deepEqual(["ready", "starting", "backoff", "stopped", "?"].map(kindOf), ["good", "warn", "bad", "", ""]);
});

test("of the load times that are known, the shortest is told", () => {
  assert.equal(quickestLoad({ 512: null, 1024: 3.5, 8192: 2 }), 2);
  assert.equal(quickestLoad({ 512: null }), null);
  assert.equal(quickestLoad(undefined), null);
});

test("a command is found by the beginnings of its words, whatever the accents", () => {
  const run = () => {};
  const commands = [
    { id: "a", label: "Ask the model", run },
    { id: "b", label: "Modèle smol", group: "Talk", run },
    { id: "c", label: "Send", key: "Enter" },
  ];
  const ids = (query) => found(commands, query).map((each) => each.id);
  assert.deepEqual(ids(""), ["a", "b"]);
  assert.deepEqual(ids("mode"), ["b", "a"]);
  assert.deepEqual(ids("SMOL talk"), ["b"]);
  assert.deepEqual(ids("send"), []);
});

test("a key is a command's outside of texts, and without Ctrl alone", () => {
  const command = { id: "w", key: "w", run: () => {} };
  const at = (inside, more = {}) => pressed([{ key: "w" }, command], { key: "w", target: { closest: () => inside }, ...more });
  assert.equal(at(null), command);
  assert.equal(at({}), null);
  assert.equal(at(null, { ctrlKey: true }), null);
  assert.equal(at(null, { key: "x" }), null);
});

test("the commands of a page come before those of every page, and go with it", () => {
  const [every, page] = [{}, {}];
  register(every, [{ id: "theme" }]);
  register(page, [{ id: "new" }]);
  register(every, [{ id: "theme" }]);
  assert.deepEqual(registered().map((each) => each.id), ["new", "theme"]);
  register(page, []);
  assert.deepEqual(registered().map((each) => each.id), ["theme"]);
});
