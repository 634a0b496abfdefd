import assert from "node:assert/strict";
import test from "node:test";

import { beginning, mathematics, oneLine, short, shortId, visible } from "../src/text.js";

test("nothing stays hidden", () => {
  assert.equal(visible("a\u0000b\u001b[31m"), "a⟨U+0000⟩b⟨U+001B⟩[31m");
  assert.equal(visible("x\u202ey"), "x⟨U+202E⟩y");
  assert.equal(visible("\u200b\ufeff\u{e0041}"), "⟨U+200B⟩⟨U+FEFF⟩⟨U+E0041⟩");
  assert.equal(visible("\ud800"), "⟨U+D800⟩");
  assert.equal(visible("tab\tline\n 😀 äöü עברית"), "tab\tline\n 😀 äöü עברית");
});

test("long texts are cut where it is said", () => {
  assert.deepEqual(beginning("w".repeat(30), 10), ["w".repeat(10), 20]);
  assert.equal(oneLine(" a \n b ", 9), "a b");
  assert.equal(oneLine("abcdefghij", 5), "abcde…");
});

test("mathematics is told from money", () => {
  /** @param {string} text */
  const math = (text) => mathematics(text).filter((piece) => piece.math).map((piece) => piece.text);
  assert.deepEqual(math("so $x^2$ and \\(y\\) and $$z$$ and \\[w\\]"), ["x^2", "y", "z", "w"]);
  assert.deepEqual(math("it costs $5 and then $7"), []);
  assert.deepEqual(math("$5$"), []);
  assert.deepEqual(math("$5+5$"), ["5+5"]);
  const whole = mathematics("a $x$ b");
  assert.equal(whole.map((piece) => piece.text).join("|"), "a |x| b");
});

test("numbers are short", () => {
  assert.deepEqual([0.1234, 1.234, 12.34, 123.4, 1234.5, 3, NaN].map(short), ["0.123", "1.23", "12.3", "123", "1,235", "3", "–"]);
});

test("an id keeps its end, by which it differs", () => {
  assert.equal(shortId("arithmetic-0-0001", 36), "arithmetic-0-0001");
  assert.equal(shortId("a".repeat(30) + "-0-00017", 20), `${"a".repeat(10)}…aa-0-00017`);
});
