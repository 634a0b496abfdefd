// Two debates over one question side by side: of two methods, or of two runs; where they first differ.

import { firstDifference, turnOf } from "./debates.js";
import { picture, questionBox } from "./debateview.js";
import { difference } from "./differences.js";
import { h } from "./dom.js";
import { chip, heading, link, method } from "./parts.js";
import { prose, said } from "./prose.js";
import { select } from "./questions.js";
import { address } from "./route.js";
import { shortId, visible } from "./text.js";

/** @import {Debate, Run, Source} from "./types.js" */
/** @typedef {{run: string, method: string, debate: Debate}} Side */

/**
 * Return the view. A side is `METHOD`, or `RUN METHOD` as JSON where it is of another run.
 * @param {Source} source
 * @param {Run} run
 * @param {string} question
 * @param {Record<string, string>} asked
 * @param {(asked: Record<string, string>) => void} ask
 */
export async function compareView(source, run, question, asked, ask) {
  const lines = await source.runs();
  /** @type {[string, string][]} */
  const options = [];
  for (const line of lines) {
    for (const { name } of line.methods ?? []) {
      const isOwn = line.name === run.name;
      options.push([isOwn ? name : JSON.stringify([line.name, name]), isOwn ? name : `${name}, of ${line.name}`]);
    }
  }
  const known = new Set(options.map(([value]) => value));
  const a = known.has(asked.a) ? asked.a : (options[0]?.[0] ?? "");
  const b = known.has(asked.b) ? asked.b : (options.find(([value]) => value !== a)?.[0] ?? a);
  const [left, right] = await Promise.all([sideOf(source, run, question, a), sideOf(source, run, question, b)]);
  const text = run.questions.find(({ id }) => id === question)?.text ?? question;
  const choose = h(
    "form.filters",
    { "aria-label": "What is compared", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
    select("side-a", "Left", a, options, (value) => ask({ a: value, b })),
    select("side-b", "Right", b, options, (value) => ask({ a, b: value })),
  );
  return h(
    "div",
    null,
    heading([[run.name, address({ view: "questions", run: run.name, asked: {} })]], ["Side by side: ", said(shortId(question, 60))]),
    questionBox("error" in left ? text : left.debate.question.text),
    pictures(left, right),
    choose,
    "error" in left || "error" in right ? h("p.warning", null, visible("error" in left ? left.error : "error" in right ? right.error : "")) : both(left, right),
  );
}

/** @param {Source} source @param {Run} run @param {string} question @param {string} value @returns {Promise<Side|{error: string}>} */
async function sideOf(source, run, question, value) {
  const [name, chosen] = value.startsWith("[") ? JSON.parse(value) : [run.name, value];
  try {
    return { run: name, method: chosen, debate: await source.debate(name, chosen, question) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Return what the two questions are about: one picture where they have the same, else each its own below the run's name.
 * @param {Side|{error: string}} left @param {Side|{error: string}} right
 */
function pictures(left, right) {
  const [one, other] = [left, right].map((side) => ("error" in side ? null : picture(side.debate.question)));
  if ("error" in left || "error" in right) return one ?? other;
  if (!one && !other) return null;
  if (one && other && left.debate.question.picture === right.debate.question.picture) return one;
  return [
    h("p.warning", null, "The two runs do not keep the same picture of this question."),
    h("div.sides", null, captioned(left, one), captioned(right, other)),
  ];
}

/** @param {Side} side @param {HTMLElement|SVGElement|null} shown */
function captioned(side, shown) {
  return h("div", null, h("p.note", null, shown ? "Looked at in " : "No picture is kept in ", said(side.run)), shown);
}

/** @param {Side} left @param {Side} right */
function both(left, right) {
  const where = firstDifference(left.debate, right.debate);
  const same = left.debate.question.text === right.debate.question.text;
  const keys = new Map();
  for (const turn of [...left.debate.turns, ...right.debate.turns]) keys.set(`${turn.round}/${turn.agent}`, turn);
  const turns = [...keys.values()].sort((x, y) => x.round - y.round);
  return [
    same ? null : h("p.warning", null, "The two debates have the same id and different questions."),
    h(
      "p.decision.open",
      null,
      where ? visible(`They first differ in round ${where.round}, at ${where.agent}: ${where.what}.`) : "They say the same, word for word.",
    ),
    h("div.sides", null, head(left), head(right)),
    turns.map(({ round, agent }) => {
      const [one, other] = [turnOf(left.debate, round, agent), turnOf(right.debate, round, agent)];
      const isFirst = where !== null && where.round === round && where.agent === agent;
      return h(
        isFirst ? "section.pair.first" : "section.pair",
        { "aria-label": `round ${round}, ${agent}` },
        h("h2", null, `Round ${round}, `, said(agent), isFirst ? h("span.note", null, " ← first difference") : null),
        h("div.sides", null, turnBox(left, round, agent), turnBox(right, round, agent)),
        one && other && one.text !== other.text
          ? h("details", null, h("summary", null, "Word by word, left → right"), difference(one.text, other.text))
          : null,
      );
    }),
  ];
}

/** @param {Side} side */
function head(side) {
  const { end } = side.debate;
  return h(
    "div",
    null,
    h("strong", null, method(side.method)),
    h("span.note", null, " ", said(side.run)),
    h("p", null, end ? ["Decision: ", chip(end.answer, end.verdict), " ", visible(end.reason)] : "Not decided yet."),
  );
}

/** @param {Side} side @param {number} round @param {string} agent */
function turnBox(side, round, agent) {
  const turn = turnOf(side.debate, round, agent);
  if (!turn) return h("div.said", null, h("p.note", null, "has no such turn"));
  const href = address({ view: "debate", run: side.run, method: side.method, question: side.debate.question.id, round, agent });
  return h(
    "div.said",
    null,
    h("p", null, chip(turn.answer, turn.verdict), h("span.note", null, ` ${turn.encoder ? "CIPHER" : "text"} · `), link(href, "open", h("span.hidden", null, ` ${side.method}, ${agent}, round ${round}`))),
    prose(turn.text, { math: true }),
  );
}
