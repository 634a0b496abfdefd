import assert from "node:assert/strict";
import test from "node:test";

import { changes, firstDifference, howHeard, shownVerdict } from "../src/debates.js";

/** @param {number} round @param {string} agent @param {string|null} answer @param {string} verdict @param {any[]} [heard] */
const turn = (round, agent, answer, verdict, heard = []) => ({ round, agent, answer, verdict, heard, text: `It is ${answer}`, digest: `${answer}`, encoder: null });
const one = (/** @type {any[]} */ turns) => /** @type {any} */ ({ turns });

test("a change names whose answer was taken", () => {
  const debate = one([
    turn(1, "ada", "3", "correct"),
    turn(1, "ben", "4", "incorrect"),
    turn(2, "ada", "3", "correct", [{ round: 1, agent: "ben", form: "text" }]),
    turn(2, "ben", "3", "correct", [{ round: 1, agent: "ada", form: "cipher" }]),
    turn(3, "ada", "7", "incorrect", [{ round: 2, agent: "ben", form: "text" }]),
    turn(3, "ben", null, "no answer", [{ round: 2, agent: "ada", form: "text" }]),
  ]);
  const found = changes(debate);
  assert.deepEqual(found.map((change) => [change.after.agent, change.kind, change.by.map((heard) => heard.agent), change.others.length]), [
    ["ben", "won", ["ada"], 0],
    ["ada", "lost", [], 1],
    ["ben", "lost", [], 1],
  ]);
});

test("where two debates first differ", () => {
  const left = one([turn(1, "ada", "3", "correct"), turn(2, "ada", "3", "correct")]);
  assert.equal(firstDifference(left, left), null);
  assert.deepEqual(firstDifference(left, one([turn(1, "ada", "3", "correct"), turn(2, "ada", "4", "incorrect")])), { round: 2, agent: "ada", what: "the answers differ" });
  assert.equal(firstDifference(left, one([turn(1, "ada", "3", "correct")]))?.what, "only one of them has this turn");
  const words = one([{ ...turn(1, "ada", "3", "correct"), text: "3, I say" }, turn(2, "ada", "3", "correct")]);
  assert.equal(firstDifference(left, words)?.what, "the words differ, the answer does not");
  const vectors = one([{ ...turn(1, "ada", "3", "correct"), digest: "other" }, turn(2, "ada", "3", "correct")]);
  assert.equal(firstDifference(left, vectors)?.what, "the words are the same, the vectors are not");
});

test("how a message was heard, in words", () => {
  assert.equal(howHeard({ round: 1, agent: "a", form: "cipher", mapped: 0.824 }), "as CIPHER vectors, 82 % of the belief mapped");
  assert.equal(howHeard({ round: 1, agent: "a", form: "text", firstTokens: 5 }), "as text, its first 5 tokens");
  assert.equal(howHeard({ round: 1, agent: "a", form: "cipher", reduced: [4, 9] }), "as CIPHER vectors, reduced to 4 of 9 positions");
  assert.equal(howHeard({ round: 1, agent: "a", form: "cipher", control: "top1" }), "as CIPHER vectors, with the control top1 in its place");
});

test("no answer is not a wrong one", () => {
  assert.equal(shownVerdict("incorrect", null)[2], "no answer");
  assert.equal(shownVerdict("incorrect", "4")[2], "wrong");
  assert.equal(shownVerdict("")[2], "not scored");
});
