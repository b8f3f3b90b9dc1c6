// web/static/user: sums of usage, fields of a key.

import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf } from "../../../../web/static/user/fields.js";
import { chartOf, lasts, rowsOf, stacked } from "../../../../web/static/user/usage.js";

const row = (day, model, cost) => ({ day, model, key: "k", requests: 1, prompt_tokens: 10, completion_tokens: 5, cost });

test("the newest day comes first, then models and keys by their names", () => {
  const rows = rowsOf([row("2026-11-01", "b", "1"), { ...row("2026-11-02", "a", "0.5"), key: null }, row("2026-11-01", "a", "0")]);
  assert.deepEqual(rows.map(({ day, model, key, cost }) => [day, model, key, cost]), [
    ["2026-11-02", "a", null, 0.5],
    ["2026-11-01", "a", "k", 0],
    ["2026-11-01", "b", "k", 1],
  ]);
});

test("a chart has a value for each day of each part, the largest part first", () => {
  const rows = [row("2026-11-22", "a", "1"), row("2026-11-22", "b", "3"), row("2026-11-21", "b", "2"), row("2026-10-01", "a", "99")];
  const { days, parts } = chartOf(rows, "model", "cost", "2026-11-22");
  assert.deepEqual([days.length, days.at(-1)], [30, Date.parse("2026-11-22") / 1000]);
  assert.deepEqual(parts.map(({ name, values }) => [name, values.slice(-2)]), [["b", [2, 3]], ["a", [0, 1]]]);
  assert.deepEqual(stacked(parts).map((each) => each.slice(-2)), [[2, 3], [2, 4]]);
  assert.deepEqual(chartOf(rows, "key", "tokens", "2026-11-22").parts[0].values.slice(-2), [15, 30]);
  assert.deepEqual(chartOf([], "key", "tokens", "2026-11-22").parts, []);
});

test("what is too much for the colours is one part", () => {
  const many = Array.from({ length: 9 }, (_, index) => row("2026-11-22", `m${index}`, String(index + 1)));
  const { parts } = chartOf(many, "model", "cost", "2026-11-22");
  assert.deepEqual(parts.map(({ name, values }) => [name, values.at(-1)]), [["m8", 9], ["m7", 8], ["m6", 7], ["m5", 6], ["m4", 5], ["", 10]]);
});

test("a form says what a key may do, and leaves out what is empty", () => {
  const on = { "scope.inference": "on", "scope.read": "on", may_load: "on" };
  assert.deepEqual(keyOf({ name: " laptop ", ...on, models: "", rpm: "" }), { name: "laptop", scopes: ["inference", "read"], may_load: true, may_evict: false });
  const full = keyOf({ name: "k", models: "a, qwen3-*", rpm: "60", max_context: "8192", budget: "2.50", budget_period: "week", expires: "2026-12-31" });
  assert.deepEqual([full.models, full.rpm, full.max_context, full.budget, full.budget_period], [["a", "qwen3-*"], 60, 8192, "2.50", "week"]);
  assert.equal(full.expires_at, new Date(2026, 11, 31, 23, 59, 59).getTime() / 1000);
});

test("a balance lasts as long as the last seven days tell", () => {
  const rows = [row("2026-11-01", "a", "100"), row("2026-11-16", "a", "3"), row("2026-11-22", "a", "4")];
  assert.equal(lasts("12", rows, "2026-11-22"), 12);
  assert.equal(lasts("-1", rows, "2026-11-22"), 0);
  assert.equal(lasts("12", [], "2026-11-22"), null);
});
