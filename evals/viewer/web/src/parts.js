// Small parts that several views share: chips, marks of a change, links, the heading of a page.

import { colour, placeOf } from "./colours.js";
import { shownVerdict } from "./debates.js";
import { h } from "./dom.js";
import { said } from "./prose.js";
import { oneLine } from "./text.js";

/** @import {Child} from "./dom.js" */

/** Characters of an answer in a chip. */
const LONGEST_ANSWER = 28;

/**
 * Return an answer as a chip, with how it fares in colour, symbol and words.
 * @param {string|null} answer
 * @param {string} verdict
 */
export function chip(answer, verdict) {
  const [kind, symbol, words] = shownVerdict(verdict, answer);
  const text = answer === null ? (kind === "open" ? "" : kind === "failed" ? "failed" : "no answer") : oneLine(answer, LONGEST_ANSWER);
  const symbols = h("span", { "aria-hidden": "true" }, symbol);
  return h(`span.chip.${kind}`, null, symbols, text && " ", text && said(text), h("span.hidden", null, ` (${words})`));
}

/**
 * Return how many minds were changed for the better and for the worse.
 * @param {number} won
 * @param {number} lost
 */
export function flips(won, lost) {
  const parts = [];
  if (won) parts.push(h("span.won", { title: "wrong → right" }, `▲${won}`, h("span.hidden", null, " from wrong to right ")));
  if (lost) parts.push(h("span.lost", { title: "right → wrong" }, `▼${lost}`, h("span.hidden", null, " from right to wrong ")));
  return parts;
}

/** Return a method's name with its colour. @param {string} name */
export function method(name) {
  return h("span.method", null, h("span.swatch", { style: { background: colour(placeOf(name)) }, "aria-hidden": "true" }), said(name));
}

/** @param {string} href @param {...Child} children */
export function link(href, ...children) {
  return h("a", { href }, ...children);
}

/**
 * Return the page's heading with the trail that leads to it.
 * @param {[string, string][]} trail name and address of what is above
 * @param {Child} title
 */
export function heading(trail, title) {
  return [
    h(
      "nav.trail",
      { "aria-label": "Where you are" },
      trail.map(([name, href], place) => [place ? h("span", { "aria-hidden": "true" }, "›") : null, link(href, said(name))]),
    ),
    h("h1", { tabindex: -1, id: "title" }, title),
  ];
}

/** Return a list of names and values. @param {[string, Child][]} pairs */
export function facts(pairs) {
  return h(
    "dl.facts",
    null,
    pairs.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, typeof value === "string" ? said(value) : value))),
  );
}
