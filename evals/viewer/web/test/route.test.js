import assert from "node:assert/strict";
import test from "node:test";

import { address, readRoute } from "../src/route.js";

test("an address leads back to its route", () => {
  for (const route of [
    { view: "questions", run: "a b/c", asked: { sort: "changed", text: "x&y=#?" } },
    { view: "report", run: "r", asked: {} },
    { view: "debate", run: "r", method: "self-consistency(k=3)", question: "gsm8k/test?#1" },
    { view: "debate", run: "r", method: "<b>", question: "%", round: 2, agent: "ada" },
    { view: "compare", run: "r", question: "q/1", asked: { a: "text", b: '["other","text"]' } },
  ]) {
    assert.deepEqual(readRoute(address(/** @type {any} */ (route))), route);
  }
});

test("what means nothing is the list of runs", () => {
  for (const hash of ["", "#", "#/", "#/%E0%A4%A"]) assert.deepEqual(readRoute(hash), { view: "runs" });
  assert.equal(readRoute("#/r/debate").view, "questions");
});
