// The table of questions as data: rows, filters, orders, and what a live run adds. No DOM.

/** @import {Cell, Method, Question, Run} from "./types.js" */

/**
 * @typedef {{question: Question, place: number, cells: Map<string, Cell>, changed: number, lost: number, won: number,
 *   tokens: number}} Row
 * @typedef {{method?: string, verdict?: string, agent?: string, text?: string, changed?: string}} Filters
 */

/**
 * Return a row for each question, in the order in which they were asked.
 * @param {Run} run
 * @param {string} [method] whose numbers count; by default all methods'
 * @returns {Row[]}
 */
export function rowsOf(run, method = "") {
  return run.questions.map((question, place) => {
    /** @type {Map<string, Cell>} */
    const cells = new Map();
    for (const { name } of run.methods) {
      const cell = run.cells[name]?.[question.id];
      if (cell) cells.set(name, cell);
    }
    const counted = method ? [cells.get(method)].filter((cell) => cell !== undefined) : [...cells.values()];
    /** @param {"changed"|"lost"|"won"|"tokens"} key */
    const total = (key) => counted.reduce((sum, cell) => sum + cell[key], 0);
    return {
      question,
      place,
      cells,
      changed: total("changed"),
      lost: total("lost"),
      won: total("won"),
      tokens: total("tokens"),
    };
  });
}

/**
 * Return the rows that filters let through. Verdict, agent and change are of the method where one is chosen, else of any.
 * @param {Row[]} rows
 * @param {Filters} filters
 */
export function filtered(rows, filters) {
  const text = (filters.text ?? "").trim().toLowerCase();
  return rows.filter((row) => {
    const cells = filters.method ? [row.cells.get(filters.method)].filter((cell) => cell !== undefined) : [...row.cells.values()];
    if (filters.method && !cells.length) return false;
    if (filters.verdict && !cells.some((cell) => standing(cell) === filters.verdict)) return false;
    if (filters.agent && !cells.some((cell) => cell.agents.includes(filters.agent ?? ""))) return false;
    if (filters.changed === "lost" && !cells.some((cell) => cell.lost)) return false;
    if (filters.changed === "won" && !cells.some((cell) => cell.won)) return false;
    if (filters.changed === "any" && !cells.some((cell) => cell.changed)) return false;
    if (!text) return true;
    const answers = [...row.cells.values()].map((cell) => cell.answer ?? "");
    return [row.question.id, row.question.text, row.question.target ?? "", ...answers].some((part) =>
      part.toLowerCase().includes(text),
    );
  });
}

/**
 * Return rows in an order: `asked`, `changed`, `lost`, `won`, `tokens` (the most first), or `verdict` (wrong ones first).
 * @param {Row[]} rows
 * @param {string} order
 * @param {string} [method]
 */
export function ordered(rows, order, method = "") {
  /** @param {Row} row */
  const value = (row) => {
    if (order === "verdict") {
      const cells = method ? [row.cells.get(method)].filter((cell) => cell !== undefined) : [...row.cells.values()];
      return cells.filter((cell) => cell.over && cell.verdict !== "correct").length;
    }
    return order === "changed" || order === "lost" || order === "won" || order === "tokens" ? row[order] : 0;
  };
  return [...rows].sort((a, b) => value(b) - value(a) || a.place - b.place);
}

/**
 * Return how a debate stands: its verdict, `unscored` or `under way`.
 * @param {Cell} cell
 */
export function standing(cell) {
  if (!cell.over) return "under way";
  return cell.verdict || "unscored";
}

/**
 * Return a run with what has changed since: cells and questions of a later version in place of the earlier ones.
 * @param {Run} before
 * @param {Run} change
 * @returns {Run}
 */
export function grown(before, change) {
  if (!change.since || change.version < before.version) return change;
  const places = new Map(before.questions.map((question, place) => [question.id, place]));
  const questions = [...before.questions];
  for (const question of change.questions) {
    const place = places.get(question.id);
    if (place === undefined) questions.push(question);
    else questions[place] = question;
  }
  /** @type {Record<string, Record<string, Cell>>} */
  const cells = { ...before.cells };
  for (const [method, changed] of Object.entries(change.cells)) cells[method] = { ...cells[method], ...changed };
  return { ...change, questions, cells };
}

/**
 * Return everyone who changed an answer in a run, sorted.
 * @param {Run} run
 */
export function whoChanged(run) {
  const found = new Set();
  for (const cells of Object.values(run.cells)) {
    for (const cell of Object.values(cells)) for (const agent of cell.agents) found.add(agent);
  }
  return /** @type {string[]} */ ([...found].sort());
}

/**
 * Return how the ended debates of a method fare, by verdict, the most first.
 * @param {Method} method
 */
export function counts(method) {
  return Object.entries(method.verdicts)
    .map(([verdict, count]) => /** @type {[string, number]} */ ([verdict || "unscored", count]))
    .sort((a, b) => b[1] - a[1]);
}
