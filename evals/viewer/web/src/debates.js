// A debate as data: who changed whose mind, where two debates first differ. No DOM.

/** @import {Debate, Heard, Turn} from "./types.js" */

/**
 * A change of mind.
 * @typedef {{before: Turn, after: Turn, kind: "won"|"lost"|"other",
 *   by: Heard[], others: Heard[]}} Change by: heard turns that had the new answer; others: the rest of what was heard
 */

/** @param {Debate} debate @param {number} round @param {string} agent */
export function turnOf(debate, round, agent) {
  return debate.turns.find((turn) => turn.round === round && turn.agent === agent);
}

/**
 * Return an agent's turn before one of its turns.
 * @param {Debate} debate
 * @param {Turn} turn
 */
export function turnBefore(debate, turn) {
  return debate.turns.filter((other) => other.agent === turn.agent && other.round < turn.round).at(-1);
}

/**
 * Return every change of an answer, with whose answer it was that the agent took.
 * @param {Debate} debate
 * @returns {Change[]}
 */
export function changes(debate) {
  const found = [];
  for (const after of debate.turns) {
    const before = turnBefore(debate, after);
    if (!before || after.partial || before.answer === after.answer) continue;
    const [was, is] = [before.verdict === "correct", after.verdict === "correct"];
    /** @type {"won"|"lost"|"other"} */
    const kind = !was && is ? "won" : was && !is ? "lost" : "other";
    const had = after.heard.filter(
      (one) => after.answer !== null && turnOf(debate, one.round, one.agent)?.answer === after.answer,
    );
    found.push({ before, after, kind, by: had, others: after.heard.filter((one) => !had.includes(one)) });
  }
  return found;
}

/**
 * Return where two debates first differ: the first turn, by round and place, that one lacks or that says something else.
 * @param {Debate} one
 * @param {Debate} other
 * @returns {{round: number, agent: string, what: string}|null}
 */
export function firstDifference(one, other) {
  const keys = new Map();
  for (const turn of [...one.turns, ...other.turns]) keys.set(JSON.stringify([turn.round, turn.agent]), turn);
  const order = [...keys.values()].sort((a, b) => a.round - b.round);
  for (const { round, agent } of order) {
    const [left, right] = [turnOf(one, round, agent), turnOf(other, round, agent)];
    if (!left || !right) return { round, agent, what: "only one of them has this turn" };
    if (left.text !== right.text) {
      const what = left.answer === right.answer ? "the words differ, the answer does not" : "the answers differ";
      return { round, agent, what };
    }
    if ((left.encoder === null) !== (right.encoder === null)) {
      return { round, agent, what: "the words are the same, one says them in CIPHER and the other as text" };
    }
    if (left.digest !== right.digest) return { round, agent, what: "the words are the same, the vectors are not" };
  }
  return null;
}

/** @type {Record<string, string>} */
export const FORMS = {
  cipher: "as CIPHER vectors",
  text: "as text",
  both: "as vectors and as text",
  reading: "as words, read out of the CIPHER message",
  answer: "its answer alone",
};

/**
 * Return in words how a message was heard.
 * @param {Heard} heard
 */
export function howHeard(heard) {
  const mapped = heard.mapped === undefined ? "" : `, ${percent(heard.mapped)} of the belief mapped`;
  const cut = heard.firstTokens === undefined ? "" : `, its first ${heard.firstTokens} tokens`;
  const reduced = heard.reduced === undefined ? "" : `, reduced to ${heard.reduced[0]} of ${heard.reduced[1]} positions`;
  const control = heard.control === undefined ? "" : `, with the control ${heard.control} in its place`;
  return `${FORMS[heard.form] ?? heard.form}${cut}${reduced}${mapped}${control}`;
}

/** @param {number} share */
export function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** @type {Record<string, [string, string, string]>} verdict → class, symbol, words */
const VERDICTS = {
  correct: ["right", "✓", "right"],
  incorrect: ["wrong", "✗", "wrong"],
  "no answer": ["none", "–", "no answer"],
  failed: ["failed", "!", "failed"],
  "under way": ["open", "…", "under way"],
};

/**
 * Return how a verdict is shown: class, symbol, words.
 * @param {string} verdict
 * @param {string|null} [answer]
 */
export function shownVerdict(verdict, answer = "") {
  const known = VERDICTS[verdict];
  if (answer === null && verdict === "incorrect") return VERDICTS["no answer"];
  return known ?? ["open", "·", verdict || "not scored"];
}
