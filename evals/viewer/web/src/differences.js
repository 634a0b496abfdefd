// What changed between two messages, word by word, as elements.

import { diffWordsWithSpace } from "diff";

import { h } from "./dom.js";
import { beginning, visible } from "./text.js";

/** Characters of each text that are compared. */
const LONGEST = 4000;

/**
 * Return the difference of two texts: what went is struck out, what came is underlined.
 * @param {string} before
 * @param {string} after
 */
export function difference(before, after) {
  const [old, oldLeft] = beginning(before, LONGEST);
  const [now, nowLeft] = beginning(after, LONGEST);
  const parts = diffWordsWithSpace(old, now, { timeout: 500 });
  const box = h("div.prose.difference", { dir: "auto" });
  if (!parts) {
    box.append("The texts differ too much to be compared word by word.");
    return box;
  }
  for (const part of parts) {
    const text = visible(part.value);
    if (part.added) box.append(h("ins", null, text));
    else if (part.removed) box.append(h("del", null, text));
    else box.append(text);
  }
  if (oldLeft || nowLeft) box.append(h("em", null, ` … compared up to ${LONGEST} characters`));
  return box;
}
