// A CIPHER message as data: each position's word, how uncertain it was, what else it was made of. No DOM.

/** @import {Message} from "./types.js" */

/**
 * @typedef {{text: string, id: number, entropy: number, most: number, norm: number|null, distance: number|null,
 *   alternatives: {text: string, share: number}[], thinking: boolean}} Word
 */

/** Nats at which a word is shaded fully, at least: below, a message of small doubts would look like one of large. */
const FULL = 1;

/**
 * Return the words of a CIPHER message; none of a text, or where a file was cut.
 * @param {Message} message
 * @returns {Word[]}
 */
export function wordsOf(message) {
  const { ids, nearest, entropy, most, top } = message;
  if (!ids || !nearest || !entropy || !most || !top) return [];
  const spelled = message.strings;
  /** @param {number} place */
  const text = (place) => (spelled ? spelled[place] : `#${ids[place]}`);
  return nearest.map((place, step) => ({
    text: text(place),
    id: ids[place],
    entropy: entropy[step],
    most: most[step],
    norm: message.norm ? message.norm[step] : null,
    distance: message.distance ? message.distance[step] : null,
    alternatives: top[step].filter(([, share]) => share > 0).map(([one, share]) => ({ text: text(one), share })),
    thinking: step < message.thinking,
  }));
}

/**
 * Return the entropy that is shaded fully in a message, in nats.
 * @param {Word[]} words
 */
export function fullShade(words) {
  return words.reduce((most, word) => Math.max(most, word.entropy), FULL);
}

/**
 * Return how strongly a word is shaded, from 0 to 1.
 * @param {number} entropy
 * @param {number} full
 */
export function shade(entropy, full) {
  return Math.min(1, Math.max(0, entropy / full));
}

/**
 * Return a token as it stands in a line: only what could not be seen is marked.
 * @param {string} text
 */
export function inline(text) {
  if (text === "") return "∅";
  if (/^ +$/.test(text)) return "␣".repeat(text.length);
  return text.replace(/\n/g, "⏎").replace(/\t/g, "⇥");
}

/**
 * Return a token so that it can be seen: spaces at its ends, line ends, nothing at all.
 * @param {string} text
 */
export function token(text) {
  if (text === "") return "∅";
  return text.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/^ | $/g, "␣");
}
