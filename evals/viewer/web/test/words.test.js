import assert from "node:assert/strict";
import test from "node:test";

import { ends, nearest, ticks } from "../src/scale.js";
import { fullShade, inline, shade, token, wordsOf } from "../src/words.js";

const message = /** @type {any} */ ({
  ids: [5, 9], strings: [" is", "\n"], nearest: [0, 1], entropy: [0.2, 2.5], most: [0.9, 0.3], norm: [1, 2], distance: null,
  top: [[[0, 0.9], [1, 0.1]], [[1, 0.3], [0, 0]]], thinking: 1, kept: 2, width: 4, prompt: {},
});

test("words are the nearest tokens with what else they were made of", () => {
  const [first, second] = wordsOf(message);
  assert.deepEqual(first.alternatives, [{ text: " is", share: 0.9 }, { text: "\n", share: 0.1 }]);
  assert.equal(first.thinking, true);
  assert.equal(second.alternatives.length, 1);
  assert.equal(second.distance, null);
  assert.equal(wordsOf({ ...message, strings: null })[0].text, "#5");
  assert.deepEqual(wordsOf(/** @type {any} */ ({ prompt: {} })), []);
});

test("shades grow with entropy, and small doubts do not look large", () => {
  const words = wordsOf(message);
  assert.equal(fullShade(words), 2.5);
  assert.equal(fullShade(words.slice(0, 1)), 1);
  assert.equal(shade(2.5, 2.5), 1);
  assert.ok(shade(0.2, 2.5) < 0.1);
});

test("tokens can be seen", () => {
  assert.deepEqual([" is", "", "\n", " "].map(token), ["␣is", "∅", "⏎", "␣"]);
  assert.deepEqual([" is", "", "\n", "  "].map(inline), [" is", "∅", "⏎", "␣␣"]);
});

test("axes have round numbers", () => {
  assert.deepEqual(ticks(0, 100), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(ticks(0, 0.3), [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(ticks(2, 2), [2]);
  assert.deepEqual(ends([3, 5], 0, 100), [0, 100]);
  assert.deepEqual(ends([], undefined, undefined), [0, 1]);
  const [low, high] = ends([5, 5], undefined, undefined);
  assert.ok(low < 5 && high > 5);
  assert.equal(nearest([{ x: 0, y: 0 }, { x: 9, y: 0 }], 8, 1, 5)?.x, 9);
  assert.equal(nearest([{ x: 0, y: 0 }], 8, 1, 5), null);
});
