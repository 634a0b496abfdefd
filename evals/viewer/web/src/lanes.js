// A debate as swim lanes: agents down, rounds across, an answer in each cell, and the edges that fed it when it is looked at.

import { howHeard, shownVerdict, turnBefore, turnOf } from "./debates.js";
import { fill, h, s } from "./dom.js";
import { chip } from "./parts.js";
import { said } from "./prose.js";
import { address } from "./route.js";
import { number, oneLine } from "./text.js";

/** @import {Debate, Turn} from "./types.js" */

/** Agents up to which every edge is drawn faintly; among more only those of the cell that is looked at. */
const FEW = 4;

/**
 * Return the lanes.
 * @param {Debate} debate
 * @param {string} run
 * @param {{round: number, agent: string}|null} chosen
 * @param {(agent: string|null) => void} look told of the agent that is looked at
 */
export function lanes(debate, run, chosen, look) {
  const rounds = Array.from({ length: debate.rounds }, (_, place) => place + 1);
  /** @type {Map<string, HTMLElement>} */
  const cells = new Map();
  const overlay = s("svg", { class: "edges", "aria-hidden": "true" });
  const note = h("p.note.heard", { "aria-live": "polite" });
  const grid = h(
    "table.lanes",
    { style: { "--rounds": debate.rounds } },
    h("caption.hidden", null, "Answers by agent and round"),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "agent"), rounds.map((round) => h("th", { scope: "col" }, `round ${round}`)))),
    h(
      "tbody",
      null,
      debate.agents.map((agent) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, said(agent.name), h("span.note", null, describe(agent, debate))),
          rounds.map((round) => {
            const turn = turnOf(debate, round, agent.name);
            if (!turn) return h("td", null, h("span.hidden", null, "did not speak"));
            const cell = lane(debate, run, turn, chosen);
            cells.set(key(turn.round, turn.agent), cell);
            const show = () => {
              point(turn);
              look(turn.agent);
            };
            const hide = () => {
              point(null);
              look(null);
            };
            for (const event of ["pointerenter", "focus"]) cell.addEventListener(event, show);
            for (const event of ["pointerleave", "blur"]) cell.addEventListener(event, hide);
            return h("td", null, cell);
          }),
        ),
      ),
    ),
  );
  const box = h("div.lanes-box", null, grid, overlay);

  /** @type {Turn|null} */
  let pointed = null;

  /** @param {Turn|null} turn */
  function point(turn) {
    pointed = turn;
    draw(turn);
    fill(note, turn ? heardWords(turn) : " ");
  }

  /** @param {Turn|null} turn */
  function draw(turn) {
    const frame = box.getBoundingClientRect();
    if (!frame.width) return;
    overlay.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
    const shown = [];
    const faint = debate.agents.length <= FEW ? debate.turns : [];
    for (const one of turn ? [...faint.filter((other) => other !== turn), turn] : faint) {
      for (const heard of one.heard) {
        const [from, to] = [cells.get(key(heard.round, heard.agent)), cells.get(key(one.round, one.agent))];
        if (!from || !to) continue;
        const [a, b] = [from.getBoundingClientRect(), to.getBoundingClientRect()];
        const [x1, y1] = [a.right - frame.left, a.top + a.height / 2 - frame.top];
        let [x2, y2] = [b.left - frame.left, b.top + b.height / 2 - frame.top];
        let bend = Math.max(14, (x2 - x1) / 2);
        if (x2 <= x1) [x2, y2, bend] = [b.right - frame.left, y2, 30];
        const curve = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - (x2 > x1 ? bend : -bend)} ${y2} ${x2} ${y2}`;
        shown.push(s("path", { d: curve, class: `edge ${heard.form}${one === turn ? " on" : ""}` }));
      }
    }
    fill(overlay, shown);
  }
  // Where the cells are is known once they stand in the page.
  requestAnimationFrame(() => draw(pointed));
  new ResizeObserver(() => draw(pointed)).observe(grid);
  point(null);
  return h("div.scroll.debate-lanes", { role: "region", tabindex: 0, "aria-label": "The debate, agents down and rounds across" }, box, note);
}

/** @param {Debate} debate @param {string} run @param {Turn} turn @param {{round: number, agent: string}|null} chosen */
function lane(debate, run, turn, chosen) {
  const before = turnBefore(debate, turn);
  const moved = before && !turn.partial && before.answer !== turn.answer;
  const isChosen = chosen !== null && chosen.round === turn.round && chosen.agent === turn.agent;
  const [kind] = shownVerdict(turn.verdict, turn.answer);
  const href = address({
    view: "debate",
    run,
    method: debate.method,
    question: debate.question.id,
    round: turn.round,
    agent: turn.agent,
  });
  const inner = [
    h(
      "span.top",
      null,
      turn.partial ? h("span.chip.open", null, "speaking …") : chip(turn.answer, turn.verdict),
      moved ? h("span.moved", { title: "changed its answer" }, "↺", h("span.hidden", null, "changed its answer")) : null,
    ),
    h("span.preview", null, said(oneLine(turn.text || "…", 90))),
    h("span.note", null, turn.partial ? "" : `${turn.encoder ? "CIPHER" : "text"} · ${number(turn.generatedTokens)} tokens`),
  ];
  if (turn.partial) return h("div.lane.open", { tabindex: 0 }, inner);
  const id = `turn-${turn.round}-${debate.agents.findIndex((agent) => agent.name === turn.agent)}`;
  const heard = turn.heard.length ? `. Heard ${turn.heard.length}: ${heardWords(turn)}` : "";
  return h(
    `a.lane.${kind}`,
    { href, id, "aria-current": isChosen ? "true" : null },
    inner,
    h("span.hidden", null, `, ${turn.agent}, round ${turn.round}${heard}`),
  );
}

/** @param {Turn} turn */
function heardWords(turn) {
  if (!turn.heard.length) return `${turn.agent}, round ${turn.round}, heard nobody.`;
  const parts = turn.heard.map((one) => `${one.agent} (round ${one.round}) ${howHeard(one)}`);
  return `${turn.agent}, round ${turn.round}, heard ${parts.join("; ")}.`;
}

/** @param {Debate["agents"][number]} agent @param {Debate} debate */
function describe(agent, debate) {
  const role = agent.role ? `${agent.role} · ` : "";
  const warm = agent.temperature === null || agent.temperature === undefined ? "" : ` · T\u00a0${agent.temperature}`;
  const votes = debate.voters.includes(agent.name) ? "" : " · no vote";
  return `${role}${agent.model}${warm}${votes}`;
}

/** @param {number} round @param {string} agent */
function key(round, agent) {
  return `${round}/${agent}`;
}
