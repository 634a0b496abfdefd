// Text that models and users wrote, made harmless to look at: nothing hidden, nothing that turns the line around. No DOM.

// Controls but tab and newline; marks of direction; invisible characters; tags; private use that marks slots.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|\p{Cs}|[\u{e0000}-\u{e007f}]/gu;

/** Characters that are shown before the rest is asked for. */
export const LONGEST = 20_000;

/**
 * Return a text in which every hidden character can be seen, by its number.
 * @param {string} text
 */
export function visible(text) {
  return text.replace(HIDDEN, (character) => {
    const code = /** @type {number} */ (character.codePointAt(0));
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/**
 * Return the beginning of a text and how many characters it leaves out.
 * @param {string} text
 * @param {number} [most]
 * @returns {[string, number]}
 */
export function beginning(text, most = LONGEST) {
  return text.length <= most ? [text, 0] : [text.slice(0, most), text.length - most];
}

/**
 * Return one line of a text, for a table.
 * @param {string} text
 * @param {number} most
 */
export function oneLine(text, most) {
  const line = text.slice(0, 4 * most).replace(/\s+/g, " ").trim();
  return line.length > most || text.length > 4 * most ? `${line.slice(0, most).trimEnd()}…` : line;
}

/**
 * Return an id that may be long with its end, by which it differs from the others.
 * @param {string} id
 * @param {number} most
 */
export function shortId(id, most) {
  const end = Math.ceil(most / 2);
  return id.length > most ? `${id.slice(0, most - end)}…${id.slice(-end)}` : id;
}

/**
 * Split a text into words and mathematics: `$…$`, `$$…$$`, `\(…\)`, `\[…\]`. A dollar before a digit is money unless it is closed
 * around something that only TeX has.
 * @param {string} text
 * @returns {{text: string, math: boolean, display: boolean}[]}
 */
export function mathematics(text) {
  const pattern = /\$\$([^$]{1,2000}?)\$\$|\\\[([\s\S]{1,2000}?)\\\]|\\\(([\s\S]{1,1000}?)\\\)|\$([^\s$](?:[^$\n]{0,500}?[^\s$])?)\$(?!\d)/g;
  const found = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    const inline = match[4];
    if (inline !== undefined && /^\d/.test(inline) && !/[\\^_={}+*/<>]/.test(inline)) continue;
    const display = match[1] !== undefined || match[2] !== undefined;
    if (match.index > end) found.push({ text: text.slice(end, match.index), math: false, display: false });
    found.push({ text: match[1] ?? match[2] ?? match[3] ?? inline, math: true, display });
    end = match.index + match[0].length;
  }
  if (end < text.length || !found.length) found.push({ text: text.slice(end), math: false, display: false });
  return found;
}

/** @param {number} value */
export function number(value) {
  return value.toLocaleString("en-US");
}

/**
 * Return a value with few digits: 0.25, 12.3, 1,234.
 * @param {number} value
 */
export function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 1000) return number(Math.round(value));
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}
