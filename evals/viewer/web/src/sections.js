// What stands below the lanes of a debate, each under a heading of its own. A further look at debates is a function in SECTIONS.

import { changes, howHeard } from "./debates.js";
import { difference } from "./differences.js";
import { h } from "./dom.js";
import { chip } from "./parts.js";
import { said } from "./prose.js";
import { visible } from "./text.js";

/** @import {Change} from "./debates.js" */
/** @import {Debate} from "./types.js" */

/** In their order; one that has nothing to show of a debate returns null. @type {((debate: Debate) => HTMLElement|null)[]} */
const SECTIONS = [mindsChanged];

/**
 * Return the sections of a debate.
 * @param {Debate} debate
 */
export function sections(debate) {
  return SECTIONS.map((section) => section(debate));
}

/** @param {Debate} debate */
function mindsChanged(debate) {
  const found = changes(debate);
  return h(
    "section",
    { "aria-labelledby": "minds" },
    h("h2", { id: "minds" }, "Who changed whose mind"),
    found.length ? h("ol.minds", null, found.map((change) => h("li", null, changeWords(change)))) : h("p.note", null, "Nobody changed an answer."),
  );
}

/** @param {Change} change */
function changeWords({ before, after, kind, by, others }) {
  const arrow = kind === "won" ? "wrong → right" : kind === "lost" ? "right → wrong" : "another answer";
  const took = by.length
    ? ["It took the answer of ", by.map((one, place) => [place ? ", " : "", h("strong", null, said(one.agent)), ` (heard ${howHeard(one)})`]), "."]
    : others.length
      ? `Nobody that it heard (${visible(others.map((one) => one.agent).join(", "))}) had said that.`
      : "It had heard nobody.";
  return [
    h("strong", null, said(after.agent)),
    ` in round ${after.round}: `,
    chip(before.answer, before.verdict),
    " → ",
    chip(after.answer, after.verdict),
    " ",
    h(`span.${kind}`, null, arrow),
    ". ",
    took,
    h("details", null, h("summary", null, "What it said before and after"), difference(before.text, after.text)),
  ];
}
