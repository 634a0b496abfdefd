// Elements from JavaScript. Every text becomes a text node: no string is ever parsed as HTML.

/** @typedef {Node|string|number|null|undefined|false|Child[]} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return an HTML element.
 * @param {string} tag optionally with classes, e.g. `div.note.small`
 * @param {Record<string, any>|null} [given] attributes; `on…` are listeners, `style` is an object of properties
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, given, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  return /** @type {HTMLElement} */ (filled(made, given, children));
}

/**
 * Return an SVG element.
 * @param {string} tag
 * @param {Record<string, any>|null} [given]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function s(tag, given, ...children) {
  return /** @type {SVGElement} */ (filled(document.createElementNS(SVG, tag), given, children));
}

/**
 * Replace what an element holds.
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren(...flat(children));
}

/** @param {Element} made @param {Record<string, any>|null|undefined} given @param {Child[]} children */
function filled(made, given, children) {
  for (const [key, value] of Object.entries(given ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "style") {
      for (const [name, amount] of Object.entries(value)) {
        /** @type {HTMLElement|SVGElement} */ (made).style.setProperty(name, String(amount));
      }
    } else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...flat(children));
  return made;
}

/** @param {Child[]} children @returns {(Node|string)[]} */
function flat(children) {
  return children
    .flat(8)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

let count = 0;

/** Return an id that no other element of the page has. @param {string} what */
export function newId(what) {
  count += 1;
  return `${what}-${count}`;
}

/**
 * Let the browser save a file.
 * @param {Blob} blob
 * @param {string} name
 */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
