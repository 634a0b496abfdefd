// One colour and one mark for each method, the same in every chart, table and heading.

/** How many colours the style sheet has: --m0 … --m7. */
const COLOURS = 8;

/** @type {Map<string, number>} */
let places = new Map();

/**
 * Set the methods, in the order of the run's table.
 * @param {string[]} methods
 */
export function setMethods(methods) {
  places = new Map(methods.map((name, place) => [name, place]));
}

/**
 * Return a method's place; a name that is none has the place given.
 * @param {string} method
 * @param {number} [otherwise]
 */
export function placeOf(method, otherwise = 0) {
  return places.get(method) ?? otherwise;
}

/** @param {number} place */
export function colour(place) {
  return `var(--m${place % COLOURS})`;
}

/** @param {number} place */
export function dashes(place) {
  return place < COLOURS ? null : "6 3";
}
