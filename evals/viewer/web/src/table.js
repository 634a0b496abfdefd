// The one maker of tables: a caption, named columns, cells that are nodes or texts, sorted by a click, scrolled on a phone.

import { fill, h, newId } from "./dom.js";
import { said } from "./prose.js";
import { number } from "./text.js";

/** @import {Child} from "./dom.js" */

/** Rows on one page of a long table. */
const PAGE = 100;

/**
 * Return a table.
 * @param {{caption: string, header: Child[], rows: Child[][], hidden?: boolean, dim?: Set<number>, left?: Set<number>,
 *   sorts?: (string|null)[], order?: string, sort?: (order: string) => void}} given
 *   hidden: the caption is for screen readers alone; left: columns of text; sorts: what a click on a heading orders by
 */
export function table(given) {
  const { caption, header, rows, dim = new Set(), left = new Set([0]), sorts = [], order = "", sort } = given;
  const id = newId("table");
  const head = header.map((name, place) => {
    const by = sorts[place];
    const aligned = left.has(place) ? "to-left" : "to-right";
    if (!by || !sort) return h("th", { scope: "col", class: aligned }, name);
    const button = h("button.sort", { type: "button", onclick: () => sort(by) }, name, order === by ? " ▾" : "");
    return h("th", { scope: "col", class: aligned, "aria-sort": order === by ? "descending" : null }, button);
  });
  const body = rows.map((row, place) =>
    h(
      dim.has(place) ? "tr.dim" : "tr",
      null,
      row.map((cell, column) => {
        const kind = column === 0 ? "th" : "td";
        const how = { class: left.has(column) ? "to-left" : "to-right", scope: column === 0 ? "row" : null };
        return h(kind, how, typeof cell === "string" ? said(cell) : cell);
      }),
    ),
  );
  return h(
    "div.scroll",
    { role: "region", tabindex: 0, "aria-labelledby": id },
    h(
      "table",
      null,
      h(given.hidden ? "caption.hidden" : "caption", { id }, caption),
      h("thead", null, h("tr", null, head)),
      h("tbody", null, body),
    ),
  );
}

/**
 * Return a long list page by page: what `draw` makes of the rows of a page, and buttons.
 * @template T
 * @param {T[]} rows
 * @param {(rows: T[]) => Child} draw
 * @param {{page: number, turn: (page: number) => void}} at
 */
export function paged(rows, draw, at) {
  const last = Math.max(0, Math.ceil(rows.length / PAGE) - 1);
  const page = Math.min(Math.max(0, at.page), last);
  const box = h("div");
  const from = page * PAGE;
  fill(box, draw(rows.slice(from, from + PAGE)));
  if (last > 0) {
    const to = Math.min(from + PAGE, rows.length);
    box.append(
      h(
        "nav.pages",
        { "aria-label": "Pages of the table" },
        h("button", { type: "button", disabled: page === 0, onclick: () => at.turn(page - 1), id: "page-before" }, "← Previous"),
        h("span", { "aria-live": "polite" }, `${number(from + 1)} – ${number(to)} of ${number(rows.length)}`),
        h("button", { type: "button", disabled: page === last, onclick: () => at.turn(page + 1), id: "page-after" }, "Next →"),
      ),
    );
  }
  return box;
}
