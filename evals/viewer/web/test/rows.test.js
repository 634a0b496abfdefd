import assert from "node:assert/strict";
import test from "node:test";

import { filtered, grown, ordered, rowsOf, standing, whoChanged } from "../src/rows.js";

/** @param {object} [given] */
const cell = (given) => ({ verdict: "correct", over: true, answer: "1", turns: 2, tokens: 5, read: 2, changed: 0, lost: 0, won: 0, agreement: [], agents: [], ...given });

const run = {
  name: "run", state: "running", reason: "", task: "t", seed: "0", models: [], version: 3, since: 0, read: true,
  methods: [{ name: "text" }, { name: "cipher" }],
  questions: [{ id: "a", text: "First?", target: "1" }, { id: "b", text: "Second?", target: null }, { id: "c", text: "Third", target: "9" }],
  cells: {
    text: { a: cell(), b: cell({ verdict: "incorrect", changed: 2, lost: 1, agents: ["ben"], tokens: 50 }) },
    cipher: { a: cell({ changed: 1, won: 1, agents: ["ada"] }), b: cell({ over: false, verdict: "" }) },
  },
};
/** @param {any[]} rows */
const ids = (rows) => rows.map((row) => row.question.id);

test("rows add up what the methods have", () => {
  const rows = rowsOf(run);
  assert.deepEqual(rows.map((row) => [row.changed, row.won, row.lost, row.tokens]), [[1, 1, 0, 10], [2, 0, 1, 55], [0, 0, 0, 0]]);
  assert.deepEqual(rowsOf(run, "cipher").map((row) => row.changed), [1, 0, 0]);
});

test("filters are of the method where one is chosen", () => {
  const rows = rowsOf(run);
  assert.deepEqual(ids(filtered(rows, {})), ["a", "b", "c"]);
  assert.deepEqual(ids(filtered(rows, { verdict: "incorrect" })), ["b"]);
  assert.deepEqual(ids(filtered(rows, { verdict: "incorrect", method: "cipher" })), []);
  assert.deepEqual(ids(filtered(rows, { verdict: "under way" })), ["b"]);
  assert.deepEqual(ids(filtered(rows, { agent: "ada" })), ["a"]);
  assert.deepEqual(ids(filtered(rows, { changed: "lost" })), ["b"]);
  assert.deepEqual(ids(filtered(rows, { changed: "any" })), ["a", "b"]);
  assert.deepEqual(ids(filtered(rows, { text: "THIRD" })), ["c"]);
  assert.deepEqual(ids(filtered(rows, { text: "9" })), ["c"]);
  assert.deepEqual(ids(filtered(rows, { method: "text" })), ["a", "b"]);
});

test("orders put the most first, and equals as they were asked", () => {
  const rows = rowsOf(run);
  assert.deepEqual(ids(ordered(rows, "changed")), ["b", "a", "c"]);
  assert.deepEqual(ids(ordered(rows, "won")), ["a", "b", "c"]);
  assert.deepEqual(ids(ordered(rows, "verdict")), ["b", "a", "c"]);
  assert.deepEqual(ids(ordered(rows, "asked")), ["a", "b", "c"]);
});

test("a change replaces what it names and keeps the rest", () => {
  const change = {
    ...run, version: 4, since: 3, questions: [{ id: "c", text: "Third!", target: "9" }, { id: "d", text: "New", target: null }],
    cells: { text: { d: cell() }, other: { a: cell() } },
  };
  const now = grown(run, change);
  assert.deepEqual(now.questions.map((question) => question.text), ["First?", "Second?", "Third!", "New"]);
  assert.deepEqual(Object.keys(now.cells.text), ["a", "b", "d"]);
  assert.equal(now.cells.cipher.a.won, 1);
  assert.equal(Object.keys(now.cells).length, 3);
  // A whole run, and one that was begun anew, take the place of what was.
  assert.equal(grown(run, { ...change, since: 0 }).questions.length, 2);
  assert.equal(grown(run, { ...change, version: 1 }).questions.length, 2);
});

test("who changed, and how a debate stands", () => {
  assert.deepEqual(whoChanged(run), ["ada", "ben"]);
  assert.equal(standing(cell({ verdict: "" })), "unscored");
});
