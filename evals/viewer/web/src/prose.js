// Texts of models and users as elements: isolated from the page's own direction, cut where they are long, TeX as mathematics.

import temml from "temml";

import { h } from "./dom.js";
import { beginning, mathematics, number, visible } from "./text.js";

/**
 * Return a short text of a run, isolated: what it does to direction ends with it.
 * @param {string} text
 */
export function said(text) {
  return h("bdi", null, visible(text));
}

/**
 * Return a long text as it is, with its line breaks; the rest of a very long one is shown when asked for.
 * @param {string} text
 * @param {{math?: boolean}} [how] math: TeX is rendered
 */
export function prose(text, { math = false } = {}) {
  const box = h("div.prose", { dir: "auto" });
  const [start, left] = beginning(text);
  box.append(...pieces(start, math));
  if (left) {
    const more = h("button.link", { type: "button" }, ` … show ${number(left)} more characters`);
    more.addEventListener("click", () => box.replaceChildren(...pieces(text, false)));
    box.append(more);
  }
  return box;
}

/**
 * Whether a text has TeX.
 * @param {string} text
 */
export function hasMath(text) {
  return mathematics(beginning(text)[0]).some((piece) => piece.math);
}

/** @param {string} text @param {boolean} math @returns {(Node|string)[]} */
function pieces(text, math) {
  if (!math) return [visible(text)];
  return mathematics(text).map((piece) => (piece.math ? rendered(piece.text, piece.display) : visible(piece.text)));
}

/** @param {string} tex @param {boolean} display */
function rendered(tex, display) {
  const holder = h("span.math");
  try {
    temml.render(tex, holder, { displayMode: display, throwOnError: true, trust: false, maxSize: [20, 20], maxExpand: 200 });
  } catch {
    holder.replaceChildren(visible(display ? `$$${tex}$$` : `$${tex}$`));
  }
  return holder;
}
