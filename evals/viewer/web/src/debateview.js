// One debate: the question, how it was decided and why, the lanes, who changed whose mind, and the message that is looked at.

import { shownVerdict, turnOf } from "./debates.js";
import { fill, h } from "./dom.js";
import { lanes } from "./lanes.js";
import { messageView } from "./messageview.js";
import { chip, heading, link, method } from "./parts.js";
import { prose, said } from "./prose.js";
import { address } from "./route.js";
import { sections } from "./sections.js";
import { shortId, visible } from "./text.js";
import { drawTopology } from "./topology.js";

/** @import {Debate, Run, Source, Turn} from "./types.js" */

/** Agents above which the topology is drawn beside the lanes. */
const FEW = 4;
/** Characters, and lines, of a question above which it is scrolled in a box. */
const LONG = 900;
const LONG_LINES = 9;

/** @type {Turn} */
const UNDER_WAY = {
  round: 0, agent: "", text: "", answer: null, verdict: "under way", heard: [], partial: true, thinking: "", encoder: null,
  temperature: 0, seed: "", finish: "", promptTokens: 0, cachedTokens: 0, generatedTokens: 0, bytes: 0, seconds: 0, engine: "",
  tries: 1, digest: "",
};

/**
 * Return the view of a debate.
 * @param {Source} source
 * @param {Run} run
 * @param {{method: string, question: string, round?: number, agent?: string}} route
 * @param {Record<string, string>} partial what turns under way have said so far
 */
export async function debateView(source, run, route, partial = {}) {
  const debate = withPartial(await source.debate(run.name, route.method, route.question), route.question, partial);
  const chosen = route.agent !== undefined && route.round !== undefined ? { round: route.round, agent: route.agent } : null;
  const turn = chosen && turnOf(debate, chosen.round, chosen.agent);
  let shown = null;
  if (turn) shown = messageView(debate, turn, await source.message(run.name, route.method, route.question, turn.round, turn.agent));
  else if (chosen) shown = h("p.warning", null, visible(`${chosen.agent} has not spoken in round ${chosen.round} of this debate.`));
  const graph = debate.topology && debate.agents.length > FEW ? drawTopology(debate.topology, debate) : null;
  return h(
    "div",
    null,
    heading(
      [[run.name, address({ view: "questions", run: run.name, asked: {} })]],
      ["Question ", said(shortId(debate.question.id, 60))],
    ),
    questionBox(debate.question.text),
    picture(debate.question),
    tabs(run, debate),
    decision(debate),
    h(
      graph ? "div.beside" : "div",
      null,
      lanes(debate, run.name, chosen, (agent) => graph?.light(agent)),
      graph ? h("figure.graph", null, graph.picture, h("figcaption", null, visible(`Who hears whom: ${debate.topology?.name === "own" ? "edges of its own" : debate.topology?.name}`)), graph.forms) : null,
    ),
    shown ?? h("p.note", null, "Open a cell to read its message, what its words were made of, and the prompt that it answers."),
    sections(debate),
    neighbours(source, run, debate),
  );
}

/**
 * Return a question; a long one is scrolled, by the keyboard too, and begins at its end, where it asks.
 * @param {string} text
 */
export function questionBox(text) {
  const isLong = text.length > LONG || text.split("\n").length > LONG_LINES;
  if (!isLong) return h("div.question", null, prose(text, { math: true }));
  const box = h("div.question.long", { tabindex: 0, role: "region", "aria-label": "The question" }, prose(text, { math: true }));
  requestAnimationFrame(() => (box.scrollTop = box.scrollHeight));
  return box;
}

/**
 * Return the picture that a question is about, as the run kept it; null without one. It holds itself: nothing is fetched.
 * @param {import("./types.js").Question} question
 */
export function picture(question) {
  if (!question.picture?.startsWith("data:image/png;base64,")) return null;
  return h("img.looked-at", { src: question.picture, alt: "The picture that agents looked at" });
}

/** @param {Run} run @param {Debate} debate */
function tabs(run, debate) {
  const id = debate.question.id;
  const others = run.methods.filter(({ name }) => run.cells[name]?.[id]);
  return h(
    "nav.tabs",
    { "aria-label": "Methods over this question" },
    others.map(({ name }) => {
      const cell = run.cells[name][id];
      const verdict = cell.over ? cell.verdict : "under way";
      const href = address({ view: "debate", run: run.name, method: name, question: id });
      return h("a", { href, "aria-current": name === debate.method ? "page" : null }, method(name), " ", chip(cell.answer, verdict));
    }),
    others.length > 1
      ? link(
          address({
            view: "compare",
            run: run.name,
            question: id,
            asked: { a: debate.method, b: others.find(({ name }) => name !== debate.method)?.name ?? "" },
          }),
          "side by side ⇆",
        )
      : null,
  );
}

/** @param {Debate} debate */
function decision(debate) {
  const { end, question } = debate;
  const target = question.target === null ? null : ["The right answer is ", h("strong", null, said(question.target)), "."];
  if (!end) {
    const why = debate.strikes ? ` An engine failed over it: ${debate.strikes}` : "";
    return h("p.decision.open", null, visible(`Not decided yet.${why} `), target);
  }
  if (end.failure !== null) return h("p.decision.failed", null, visible(`Given up: ${end.failure} `), target);
  const [kind, , words] = shownVerdict(end.verdict, end.answer);
  const scored = end.verdict ? `${words}. ` : "";
  return h(
    `p.decision.${kind}`,
    null,
    "Decision: ",
    chip(end.answer, end.verdict),
    visible(` ${scored}Why: ${end.reason}${end.why ? `; ${end.why}` : ""}. `),
    target,
  );
}

/** @param {Source} source @param {Run} run @param {Debate} debate */
function neighbours(source, run, debate) {
  const held = run.questions.filter(({ id }) => run.cells[debate.method]?.[id] && source.holds(run.name, id));
  const place = held.findIndex(({ id }) => id === debate.question.id);
  /** @param {number} at @param {string} words @param {string} id */
  const to = (at, words, id) =>
    held[at] ? h("a", { id, href: address({ view: "debate", run: run.name, method: debate.method, question: held[at].id }) }, words) : null;
  return h("nav.pages", { "aria-label": "Other questions" }, to(place - 1, "← Question before", "question-before"), to(place + 1, "Next question →", "question-after"));
}

/**
 * Return a debate with the turns that are under way, as far as they have got.
 * @param {Debate} debate
 * @param {string} question
 * @param {Record<string, string>} partial
 * @returns {Debate}
 */
function withPartial(debate, question, partial) {
  /** @type {Turn[]} */
  const turns = [];
  for (const [key, text] of Object.entries(partial)) {
    const [id, round, agent] = JSON.parse(key);
    if (id !== question || turnOf(debate, round, agent)) continue;
    turns.push({ ...UNDER_WAY, round, agent, text });
  }
  return turns.length ? { ...debate, turns: [...debate.turns, ...turns] } : debate;
}

/**
 * Show a view's element in place of another, and keep the focus on what has the same id.
 * @param {HTMLElement} place
 * @param {HTMLElement} view
 */
export function replace(place, view) {
  const focused = document.activeElement?.id;
  fill(place, view);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}
