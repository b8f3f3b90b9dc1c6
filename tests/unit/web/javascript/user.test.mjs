// web/static/user: sums of usage.

import assert from "node:assert/strict";
import { test } from "node:test";
import { byModel, lasts } from "../../../../web/static/user/usage.js";

const row = (day, model, cost) => ({ day, model, key: "k", requests: 1, prompt_tokens: 10, completion_tokens: 5, cost });

test("keys are put together, and the newest day comes first", () => {
  const sums = byModel([row("2026-11-01", "b", "1"), row("2026-11-02", "a", "0.5"), row("2026-11-01", "b", "2"), row("2026-11-01", "a", "0")]);
  assert.deepEqual(sums.map(({ day, model, requests, cost }) => [day, model, requests, cost]), [
    ["2026-11-02", "a", 1, 0.5],
    ["2026-11-01", "a", 1, 0],
    ["2026-11-01", "b", 2, 3],
  ]);
});

test("a balance lasts as long as the last seven days tell", () => {
  const rows = [row("2026-11-01", "a", "100"), row("2026-11-16", "a", "3"), row("2026-11-22", "a", "4")];
  assert.equal(lasts("12", rows, "2026-11-22"), 12);
  assert.equal(lasts("-1", rows, "2026-11-22"), 0);
  assert.equal(lasts("12", [], "2026-11-22"), null);
});
