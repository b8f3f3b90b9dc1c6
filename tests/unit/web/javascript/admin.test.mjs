// web/static/admin: the parts of a request's time, filters, the chart's points.

import assert from "node:assert/strict";
import { test } from "node:test";
import { changed } from "../../../../web/static/admin/address.js";
import { about, isWait, keyOf } from "../../../../web/static/admin/decisions.js";
import { changesIn } from "../../../../web/static/admin/changes.js";
import { changesOf } from "../../../../web/static/admin/diff.js";
import { placeOf, tablesWith, valueOf } from "../../../../web/static/admin/effective.js";
import { withMore, withNewest } from "../../../../web/static/admin/ended.js";
import { filtersOf, queryOf } from "../../../../web/static/admin/filters.js";
import { actsOf, fitOf, kindOfPull, modelPath, moving } from "../../../../web/static/admin/pulling.js";
import { columns, memories, range, shares, totalsOf, usedOf, withTick } from "../../../../web/static/admin/series.js";
import { decisionsOf, parts, rate, reasonsOf, remarks, steps } from "../../../../web/static/admin/timeline.js";

const ROW = { queue_seconds: 0.5, load_seconds: 1, prefill_seconds: 0.25, decode_seconds: 2, first_token_seconds: 1.75, total_seconds: 4, completion_tokens: 40 };

test("the parts of a request's time are its total", () => {
  const shown = parts(ROW);
  assert.deepEqual(shown.map(({ name, seconds }) => [name, seconds]), [["queue", 0.5], ["load", 1], ["prefill", 0.25], ["decode", 2], ["rest", 0.25]]);
  assert.equal(rate(ROW), 20);
});

test("what the engine did not tell is taken from the first token, and what was not is left out", () => {
  const untold = { ...ROW, prefill_seconds: null, decode_seconds: null };
  assert.deepEqual(parts(untold).map(({ name }) => name), ["queue", "load", "prefill", "decode"]);
  const refused = { queue_seconds: null, load_seconds: null, first_token_seconds: null, total_seconds: 0.002 };
  assert.deepEqual(parts(refused), [{ name: "rest", seconds: 0.002 }]);
  assert.equal(rate(refused), null);
});

test("filters stand in the address, and nothing else does", () => {
  assert.deepEqual(filtersOf("?model=org%2Fm&status=&x=1&client=a%26b"), { model: "org/m", client: "a&b" });
  assert.equal(queryOf({ model: "org/m" }, { limit: 5, cursor: null }), "?model=org%2Fm&limit=5");
  assert.equal(queryOf({}), "");
  assert.deepEqual(filtersOf(queryOf({ client: "a&b=c" })), { client: "a&b=c" });
});

test("the charts go on with each second, for an hour", () => {
  const past = [{ at: 100, tokens_per_second: 5, in_flight: 1, waiting: 0 }, { at: 110, tokens_per_second: 6, in_flight: 2, waiting: 1 }];
  const tick = (time) => ({ time, tokens_per_second: 7, in_flight: 3, waiting: 2 });
  const shown = (points) => columns(points, ["tokens_per_second", "in_flight", "waiting"]);
  assert.deepEqual(shown(withTick(past, tick(111))), [[100, 110, 111], [5, 6, 7], [1, 2, 3], [0, 1, 2]]);
  assert.equal(withTick(past, tick(110)), past);
  assert.deepEqual(shown(withTick(past, tick(3705))), [[110, 3705], [6, 7], [2, 3], [1, 2]]);
  assert.deepEqual(shown(withTick([], tick(1))), [[1], [7], [3], [2]]);
});

test("a chart shows five minutes at least, up to now where there are no points", () => {
  assert.deepEqual(range(undefined, undefined, 5000), [4700, 5000]);
  assert.deepEqual(range(990, 1000, 5000), [700, 1000]);
  assert.deepEqual(range(100, 3700, 5000), [100, 3700]);
});

test("the memory of the machine is drawn in percent, GPUs before main memory", () => {
  const points = withTick([{ at: 1, ram_used: 5, gpu10_used: 1, gpu2_used: 2 }], { time: 2, machine: { ram_used: 10, gpu2_used: 4, cpu_percent: 9 }, memory: { ram: 3 } });
  assert.deepEqual(memories(points), ["gpu2", "gpu10", "ram"]);
  assert.equal(points.at(-1).engines_ram, 3);
  const totals = totalsOf({ gpus: [{ id: "gpu2", total: 8 }, { id: "gpu10" }], memory: { total: 20 } });
  assert.deepEqual(totals, { gpu2: 8, ram: 20 });
  assert.deepEqual(shares(points, ["gpu2", "ram"], totals), [[1, 2], [25, 50], [25, 50]]);
  assert.deepEqual(columns(points, ["gpu10_used"])[1], [1, null]);
});

const page = (...ids) => ({ requests: ids.map((id) => ({ id })), next: `after ${ids.at(-1)}` });
const ids = ({ requests }) => requests.map(({ id }) => id).join("");

test("the newest requests come above those that are shown, which stay the same objects", () => {
  const filters = {};
  const shown = withMore(withNewest(null, page("d", "c"), filters), page("c", "b", "a"), filters);
  assert.equal(ids(shown), "dcba");
  const later = withNewest(shown, page("f", "e", "d"), filters);
  assert.equal(ids(later), "fedcba");
  assert.equal(later.requests[2], shown.requests[0]);
  assert.equal(later.next, "after a");
});

test("the list of ended requests begins anew where the newest page does not reach it", () => {
  const filters = {};
  const shown = withNewest(null, page("b", "a"), filters);
  for (const anew of [withNewest(shown, page("z", "y"), filters), withNewest(shown, page("z", "y", "b"), {})]) {
    assert.equal(anew.requests.length, anew.next === "after b" ? 3 : 2);
    assert.equal(anew.next, `after ${anew.requests.at(-1).id}`);
  }
  assert.deepEqual(withNewest(shown, { requests: [], next: null }, filters).requests, []);
  assert.equal(withMore(shown, page("x"), {}), shown);
});

test("each change of a reload is a line", () => {
  assert.deepEqual(changesOf({ dry_run: true, models: { added: ["a"], removed: [], changed: { b: ["aliases"] } }, variants: { added: [], removed: ["b@1"], redefined: {}, adjusted: { "b@2": ["idle", "stop"] } }, settings: { log_level: "info -> debug" }, groups: true, routes: false, needs_restart: ["ports"] }), [
    { what: "added", name: "a", more: "" },
    { what: "removed", name: "b@1", more: "" },
    { what: "changed", name: "b", more: "aliases" },
    { what: "adjusted", name: "b@2", more: "idle, stop" },
    { what: "setting", name: "log_level", more: "info -> debug" },
    { what: "changed", name: "groups", more: "" },
    { what: "restart", name: "ports", more: "" },
  ]);
});

test("a download takes the orders of its state", () => {
  assert.deepEqual(["waiting", "fetching", "verifying", "paused", "failed", "done"].map((state) => [moving({ state }), kindOfPull(state), actsOf(state)[0]]), [
    [true, "", "pause"], [true, "", "pause"], [true, "", "pause"], [false, "warn", "resume"], [false, "bad", "resume"], [false, "good", "forget"],
  ]);
  assert.deepEqual([true, false, null, undefined].map((fits) => fitOf({ fits })), ["yes", "no", "unknown", "unknown"]);
  assert.equal(modelPath("org/a b:Q8"), "/admin/models/org/a%20b%3AQ8");
});

test("a decision is found by its model, its request or its words", () => {
  const each = { kind: "idle", model: "m", variant: "m@4096", text: "m@4096 had no request for 9 seconds.", request: null };
  assert.deepEqual(["", "M@4", "no request", "other"].map((wanted) => about(each, wanted)), [true, true, true, false]);
  assert.deepEqual([keyOf(each), keyOf({ kind: "refused" })], ["why.idle", null]);
});

test("a request uses its prompt and its answer of the context, and no more than that", () => {
  const engine = { variant: "m@100", context: 100 };
  const requests = [{ id: "a", variant: "m@100", state: "streaming", prompt_tokens: 90, tokens: 20 }, { id: "b", variant: "m@100", state: "prefill", prompt_tokens: 5 }, { id: "c", variant: "m@100", state: "queued" }];
  assert.deepEqual(usedOf(engine, requests), [{ id: "a", used: 100 }, { id: "b", used: 5 }]);
  assert.deepEqual(usedOf({ ...engine, context: null }, requests), []);
});

test("the steps of a request follow each other over its whole time", () => {
  const shown = steps(ROW);
  assert.deepEqual(shown.map(({ from }) => from), [0, 0.5, 1.5, 1.75, 3.75]);
  assert.equal(shown.at(-1).left + shown.at(-1).width, 100);
  assert.deepEqual(steps({ total_seconds: 0 }), []);
});

test("the figures of a request say why it took so long, and why it ended", () => {
  const keys = (row) => remarks(row).map(({ key }) => key);
  assert.deepEqual(keys({ ...ROW, reason: "length", cached_tokens: 5 }), ["because.room", "because.load", "because.cached", "because.length"]);
  assert.deepEqual(keys({ queue_seconds: 0.2, load_seconds: 0, cached_tokens: 0, reason: "stop" }), ["because.slot"]);
  assert.deepEqual(keys({ queue_seconds: null, load_seconds: null, cached_tokens: null, reason: "client" }), ["because.client"]);
});

test("a request is found in the decisions that name it, the first one first", () => {
  const decisions = [{ at: 3, request: "c", requests: ["a", "c"] }, { at: 2, request: "b" }, { at: 1, request: "a" }];
  assert.deepEqual(decisionsOf("a", decisions).map(({ at }) => at), [1, 3]);
  assert.equal(about(decisions[0], "A"), true);
});

test("what a request keeps of its reasons comes once, in the order of time, and with words of their own", () => {
  const wait = { at: 1, kind: "slot", engines: ["m@4096"], place: 2 };
  const evicted = { at: 2, kind: "memory", variant: "n@512", request: "a" };
  const decisions = [{ at: 3, kind: "failed", request: "a" }, { ...evicted }];
  const row = { reasons: [wait, evicted], queue_seconds: 4 };
  assert.deepEqual(reasonsOf(row, decisions).map(({ at }) => at), [1, 2, 3]);
  assert.deepEqual(reasonsOf(null, decisions).map(({ at }) => at), [2, 3]);
  assert.deepEqual([wait, evicted].map((each) => [isWait(each), keyOf(each)]), [[true, "waited.slot"], [false, "why.memory"]]);
  assert.deepEqual(remarks(row), []);
});

test("the address keeps what else it says", () => {
  assert.equal(changed("?model=m&why=x", { why: "", request: "r 1" }), "?model=m&request=r+1");
  assert.equal(changed("?why=x", { why: null }), "");
});

test("settings are found by their words, their values, and whether they are set", () => {
  const setting = (name, value, set) => ({ name, value, set, line: set ? 3 : null });
  const tables = [{ name: "server", settings: [setting("server.max_queue", 5, true), setting("server.tls", null, false)] }, { name: "models[1] m", settings: [setting("models[1].name", "m", true)] }];
  const names = (...asked) => tablesWith(tables, ...asked).flatMap(({ settings }) => settings.map((each) => each.name));
  assert.deepEqual(names("", true), ["server.max_queue", "models[1].name"]);
  assert.deepEqual(names("QUEUE 5", false), ["server.max_queue"]);
  assert.deepEqual(names("nothing", false), []);
  assert.equal(placeOf("/etc/gw.cfg.lua", tables[0].settings[0]), "gw.cfg.lua:3");
  assert.equal(placeOf("/etc/gw.cfg.lua", tables[0].settings[1]), null);
  assert.equal(valueOf({ a: [1, "x"], b: [] }), "a = 1 x, b = –");
  assert.deepEqual([null, "", [], {}, false, [{ port: 1 }]].map(valueOf), ["–", "–", "–", "–", "false", '{"port":1}']);
});

test("the audit tells amounts and times as people read them, and nothing that is empty", () => {
  const row = { name: "Ada", amount: 12_500_000_000, note: null, at: 5000, valid_from: 7000, models: ["m"] };
  assert.deepEqual(changesIn(row, (value) => `${value} EUR`, (at) => `${at} s`), ["name Ada", "amount 12.5 EUR", "at 5 s", "valid_from 7 s", 'models ["m"]']);
  assert.deepEqual(changesIn(null), []);
});
