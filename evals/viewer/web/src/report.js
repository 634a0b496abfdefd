// The report of a run: blocks of evals/analysis/blocks.py as elements.

import { chart } from "./chart.js";
import { h } from "./dom.js";
import { heading, link, method } from "./parts.js";
import { prose, said } from "./prose.js";
import { address } from "./route.js";
import { table } from "./table.js";
import { shortId, visible } from "./text.js";

/** @import {Block, Run, Source} from "./types.js" */

/**
 * Return the view.
 * @param {Source} source
 * @param {Run} run
 */
export async function reportView(source, run) {
  const found = await source.report(run.name);
  return h(
    "div.report",
    null,
    heading([[run.name, address({ view: "questions", run: run.name, asked: {} })]], ["Report of ", said(run.name)]),
    blocks(found, run.name),
  );
}

/**
 * Return blocks as elements; charts that follow each other stand side by side where there is room.
 * @param {Block[]} found
 * @param {string} run
 */
export function blocks(found, run) {
  const made = [];
  /** @type {HTMLElement|null} */
  let row = null;
  for (const block of found) {
    if (block.kind !== "chart") row = null;
    else if (!row) made.push((row = h("div.charts")));
    const element = draw(block, run);
    if (row) row.append(element);
    else made.push(element);
  }
  return made;
}

/** @param {Block} block @param {string} run */
function draw(block, run) {
  switch (block.kind) {
    case "heading":
      return h(block.level === 2 ? "h2" : "h3", null, visible(block.text));
    case "text":
      return h("p", null, visible(block.text));
    case "note":
      return h("p.note", null, visible(block.text));
    case "list":
      return h("ul", null, block.items.map((/** @type {string} */ item) => h("li", null, visible(item))));
    case "details":
      return h("details", null, h("summary", null, visible(block.summary)), h("pre", { tabindex: 0 }, visible(block.text)));
    case "chart":
      return chart(block);
    case "table": {
      const rows = block.rows.map((/** @type {string[]} */ row) => row.map((cell, place) => (block.methods && place === 0 ? method(cell.replace(/ \(bound\)$/, "")) : cell)));
      return table({ caption: block.caption, header: block.header, rows, dim: new Set(block.dim) });
    }
    case "debate": {
      const href = address({ view: "debate", run, method: block.method, question: block.question });
      return h("div", null, h("p", null, link(href, said(shortId(block.question, 60))), " of ", method(block.method), visible(`: ${block.why}.`)), prose(block.text, { math: true }));
    }
    default:
      return h("p.note", null, `(${visible(block.kind)})`);
  }
}
