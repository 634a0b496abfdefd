// The table of questions: a row a question, a column a method, filters and orders kept in the address.

import { colour, placeOf } from "./colours.js";
import { percent } from "./debates.js";
import { h, s } from "./dom.js";
import { chip, flips, heading, link, method } from "./parts.js";
import { said } from "./prose.js";
import { address } from "./route.js";
import { counts, filtered, ordered, rowsOf, standing, whoChanged } from "./rows.js";
import { paged, table } from "./table.js";
import { number, oneLine, shortId, visible } from "./text.js";

/** @import {Cell, Run, Source} from "./types.js" */
/** @import {Row} from "./rows.js" */

const ORDERS = { asked: "as asked", changed: "most changed", won: "most wrong → right", lost: "most right → wrong", verdict: "wrong first", tokens: "most tokens" };
const CHANGES = { "": "any", any: "somebody changed", won: "wrong → right", lost: "right → wrong" };

/**
 * Return the view.
 * @param {Source} source
 * @param {Run} run
 * @param {Record<string, string>} asked filters, order and page, of the address
 * @param {(asked: Record<string, string>) => void} ask changes the address
 */
export function questionsView(source, run, asked, ask) {
  const only = run.methods.some(({ name }) => name === asked.method) ? asked.method : "";
  const order = asked.sort && asked.sort in ORDERS ? asked.sort : "asked";
  const rows = ordered(filtered(rowsOf(run, only), { ...asked, method: only }), order, only);
  const shown = only ? run.methods.filter(({ name }) => name === only) : run.methods;
  /** @param {Record<string, string>} changed */
  const change = (changed) => ask({ ...asked, page: "", ...changed });
  return h(
    "div",
    null,
    heading([], said(run.name)),
    h("p.note", null, about(run)),
    scores(run, only, change),
    filters(run, asked, order, change),
    h("p.count", { role: "status" }, rows.length === run.questions.length ? `${number(rows.length)} questions` : `${number(rows.length)} of ${number(run.questions.length)} questions`),
    rows.length
      ? paged(rows, (page) => questionsTable(source, run, page, shown, order, change), {
          page: Number(asked.page || 0),
          turn: (page) => ask({ ...asked, page: String(page || "") }),
        })
      : h("p.note", null, "No question is like that. Clear a filter."),
  );
}

/** @param {Run} run */
function about(run) {
  const how = run.state === "finished" ? "" : ` The run is ${run.state}${run.reason ? `: ${run.reason}` : ""}.`;
  const reading = run.read ? "" : " Answers are still being read.";
  return visible(`${run.task} · ${run.models.join(", ") || "no model"} · seed ${run.seed}.${how}${reading}`);
}

/** @param {Run} run @param {string} only @param {(changed: Record<string, string>) => void} change */
function scores(run, only, change) {
  return h(
    "ul.scores",
    null,
    run.methods.map((one) => {
      const { correct, total, asked } = one.counts;
      const rest = counts(one).filter(([verdict]) => verdict !== "correct").map(([verdict, count]) => `${number(count)} ${verdict}`);
      const share = total ? correct / total : 0;
      return h(
        "li",
        null,
        h(
          "button.score",
          { type: "button", "aria-pressed": String(only === one.name), onclick: () => change({ method: only === one.name ? "" : one.name }), id: `score-${placeOf(one.name)}` },
          method(one.name),
          h("span.big", null, total ? percent(share) : "–"),
          h("span.meter", { "aria-hidden": "true", style: { "--share": `${100 * share}%`, "--of": colour(placeOf(one.name)) } }),
          h("span.note", null, `${number(correct)} of ${number(total)} right${total < asked ? `, ${number(asked)} asked` : ""}`),
          h("span.note", null, visible(rest.join(", ") || "none wrong")),
        ),
      );
    }),
  );
}

/** @param {Run} run @param {Record<string, string>} asked @param {string} order @param {(changed: Record<string, string>) => void} change */
function filters(run, asked, order, change) {
  const verdicts = new Set();
  for (const cells of Object.values(run.cells)) for (const cell of Object.values(cells)) verdicts.add(standing(cell));
  const search = h("input", { type: "search", id: "filter-text", value: asked.text ?? "", placeholder: "question, id or answer" });
  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => change({ text: /** @type {HTMLInputElement} */ (search).value }), 200);
  });
  return h(
    "form.filters",
    { role: "search", "aria-label": "Filter questions", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
    h("label", null, "Search", search),
    select("filter-verdict", "Verdict", asked.verdict ?? "", [["", "any"], ...[...verdicts].sort().map((one) => /** @type {[string, string]} */ ([one, one]))], (verdict) => change({ verdict })),
    select("filter-changed", "Change", asked.changed ?? "", Object.entries(CHANGES), (changed) => change({ changed })),
    select("filter-agent", "Who changed", asked.agent ?? "", [["", "anybody"], ...whoChanged(run).map((one) => /** @type {[string, string]} */ ([one, one]))], (agent) => change({ agent })),
    select("filter-sort", "Order", order, Object.entries(ORDERS), (sort) => change({ sort: sort === "asked" ? "" : sort })),
  );
}

/**
 * Return a labelled choice.
 * @param {string} id @param {string} label @param {string} value @param {[string, string][]} options @param {(value: string) => void} chosen
 */
export function select(id, label, value, options, chosen) {
  const made = h("select", { id }, options.map(([one, words]) => h("option", { value: one, selected: one === value }, visible(oneLine(words, 60)))));
  made.addEventListener("change", () => chosen(/** @type {HTMLSelectElement} */ (made).value));
  return h("label", null, label, made);
}

/**
 * @param {Source} source @param {Run} run @param {Row[]} rows @param {Run["methods"]} methods @param {string} order
 * @param {(changed: Record<string, string>) => void} change
 */
function questionsTable(source, run, rows, methods, order, change) {
  const hasTarget = run.questions.some((question) => question.target !== null);
  return table({
    caption: "Questions of the run, and how each method fared",
    hidden: true,
    header: ["question", ...(hasTarget ? ["right answer"] : []), ...methods.map(({ name }) => method(name)), "changed", "agreement by round", "tokens"],
    left: new Set([0, 1, ...methods.map((_, place) => place + 1 + Number(hasTarget))]),
    sorts: [null, ...(hasTarget ? [null] : []), ...methods.map(() => null), "changed", null, "tokens"],
    order,
    sort: (by) => change({ sort: by === order ? "" : by }),
    rows: rows.map((row) => {
      const { id, text, target } = row.question;
      const isHeld = source.holds(run.name, id);
      // A link to the first method that changed a mind here, where there is one: that debate is worth reading.
      const first = methods.find(({ name }) => row.cells.get(name)?.changed) ?? methods.find(({ name }) => row.cells.has(name));
      const title = said(oneLine(text, 90) || "(empty)");
      return [
        h(
          "span.asked",
          null,
          first && isHeld ? link(address({ view: "debate", run: run.name, method: first.name, question: id }), title) : title,
          h("span.note", null, h("span.id", null, said(shortId(id, 36))), isHeld ? "" : " · not in this file"),
        ),
        ...(hasTarget ? [said(oneLine(target ?? "–", 24))] : []),
        ...methods.map(({ name }) => debateCell(run, name, id, row.cells.get(name), isHeld)),
        h("span", null, row.changed ? String(row.changed) : "–", " ", flips(row.won, row.lost)),
        h("span.sparks", null, methods.map(({ name }) => spark(name, row.cells.get(name)))),
        number(row.tokens),
      ];
    }),
  });
}

/** @param {Run} run @param {string} name @param {string} id @param {Cell|undefined} cell @param {boolean} isHeld */
function debateCell(run, name, id, cell, isHeld) {
  if (!cell) return h("span.note", null, "–");
  const shown = chip(cell.answer, cell.over ? cell.verdict : "under way");
  const marks = flips(cell.won, cell.lost);
  if (!isHeld) return h("span", null, shown, marks);
  const href = address({ view: "debate", run: run.name, method: name, question: id });
  return h("span.verdict", null, h("a.plain", { href }, shown, h("span.hidden", null, `, debate of ${name}`)), marks);
}

/** Return agreement by round as small bars. @param {string} name @param {Cell|undefined} cell */
function spark(name, cell) {
  const shares = cell?.agreement ?? [];
  if (!cell || shares.length < 2 || shares.every((share) => share === null)) return null;
  const words = `${name}: ${shares.map((share) => (share === null ? "–" : percent(share))).join(", ")}`;
  const svg = s("svg", { viewBox: `0 0 ${shares.length * 6} 16`, width: shares.length * 6, height: 16, class: "spark", role: "img", "aria-label": `agreement by round of ${visible(words)}` });
  svg.append(s("title", null, visible(words)));
  shares.forEach((share, place) => {
    const height = Math.max(1.5, 15 * (share ?? 0));
    svg.append(s("rect", { x: place * 6, y: 16 - height, width: 4, height, style: { fill: colour(placeOf(name)) } }));
  });
  return svg;
}
