// One message: what each position was made of, the same as text, the prompt that it answers, and what it took.

import { howHeard, turnOf } from "./debates.js";
import { fill, h } from "./dom.js";
import { chip, facts } from "./parts.js";
import { hasMath, prose, said } from "./prose.js";
import { number, short, visible } from "./text.js";
import { fullShade, inline, shade, token, wordsOf } from "./words.js";

/** @import {Debate, Heard, Message, Prompt, Turn} from "./types.js" */
/** @import {Child} from "./dom.js" */
/** @import {Word} from "./words.js" */

/** @type {Record<string, string>} */
const ENDS = { stop: "it ended by itself", length: "the limit of tokens", cancelled: "cancelled" };

/**
 * Return a message.
 * @param {Debate} debate
 * @param {Turn} turn
 * @param {Message} message
 */
export function messageView(debate, turn, message) {
  const words = wordsOf(message);
  return h(
    "section.message",
    { "aria-labelledby": "message-title" },
    h("h2", { id: "message-title", tabindex: -1 }, said(turn.agent), `, round ${turn.round} `, chip(turn.answer, turn.verdict)),
    message.missing ? h("p.warning", null, visible(message.missing)) : null,
    words.length ? cipherWords(message, words, textOf(turn)) : null,
    message.cut ? h("p.note", null, "What this message's words were made of is not in this file: see the note at the top.") : null,
    words.length ? null : textOf(turn),
    h("h3", null, "What it took"),
    facts([
      ["model", message.model ?? "unknown"],
      ["form", turn.encoder ? `CIPHER, encoder ${turn.encoder}` : "text"],
      ["temperature", String(turn.temperature)],
      ["seed", turn.seed],
      ["prompt", `${number(turn.promptTokens)} tokens, ${number(turn.cachedTokens)} of them from the cache`],
      ["generated", `${number(turn.generatedTokens)} tokens`],
      ["size", `${number(turn.bytes)} bytes`],
      ["ended by", ENDS[turn.finish] ?? turn.finish],
      ["time", `${short(turn.seconds)} s${turn.tries > 1 ? `, at try ${turn.tries}` : ""}`],
      ["engine", turn.engine || "by rule"],
    ]),
    h("h3", null, "The prompt"),
    promptView(debate, message.prompt, message),
  );
}

/** @param {Turn} turn */
function textOf(turn) {
  const title = turn.encoder ? "The same as text: its nearest tokens" : "The message";
  const holder = h("div", null, prose(turn.text, { math: true }));
  const parts = [h("h3", null, title), holder];
  if (hasMath(turn.text)) {
    let asMath = true;
    const button = h("button.small", { type: "button", "aria-pressed": "false" }, "As it is written");
    button.addEventListener("click", () => {
      asMath = !asMath;
      button.setAttribute("aria-pressed", String(!asMath));
      fill(holder, prose(turn.text, { math: asMath }));
    });
    parts.push(button);
  }
  if (turn.thinking) parts.push(h("details", null, h("summary", null, "What it thought before"), prose(turn.thinking)));
  return parts;
}

/** @param {Message} message @param {Word[]} words @param {Child[]} below what stands below the words, beside the card */
function cipherWords(message, words, below) {
  const full = fullShade(words);
  const card = h("div.card", { "aria-live": "polite" });
  const items = words.map((word, place) =>
    h(
      word.thinking ? "span.word.thought" : "span.word",
      {
        role: "option",
        tabindex: place ? -1 : 0,
        "aria-selected": "false",
        "aria-label": spoken(word, place),
        style: { "--shade": `${Math.round(100 * shade(word.entropy, full))}%` },
      },
      visible(inline(word.text)),
    ),
  );
  let at = 0;
  /** @param {number} place */
  function look(place) {
    items[at].tabIndex = -1;
    items[at].setAttribute("aria-selected", "false");
    at = place;
    items[at].tabIndex = 0;
    items[at].setAttribute("aria-selected", "true");
    fill(card, wordCard(words[at], at, words.length, message));
  }
  // What is worth looking at first: where the message was least sure.
  look(words.reduce((best, word, place) => (word.entropy > words[best].entropy ? place : best), 0));
  const list = h("div.words", { role: "listbox", "aria-label": "Words of the CIPHER message", "aria-orientation": "horizontal" }, items);
  list.addEventListener("pointerover", (event) => {
    const place = items.indexOf(/** @type {HTMLElement} */ (event.target));
    if (place >= 0) look(place);
  });
  list.addEventListener("focusin", (event) => {
    const place = items.indexOf(/** @type {HTMLElement} */ (event.target));
    if (place >= 0) look(place);
  });
  list.addEventListener("click", (event) => items[items.indexOf(/** @type {HTMLElement} */ (event.target))]?.focus());
  list.addEventListener("keydown", (event) => {
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    const next = steps[event.key];
    if (next === undefined) return;
    event.preventDefault();
    items[Math.min(Math.max(next, 0), items.length - 1)].focus();
  });
  const unknown = message.strings === null ? "Its tokenizer is not on this machine: positions show token numbers. " : "";
  return [
    h("h3", null, "The CIPHER message: a vector at each position, read as its nearest token"),
    h(
      "div.cipher",
      null,
      h(
        "div.said-words",
        null,
        list,
        h(
          "p.note.scale",
          null,
          "Shaded by entropy: 0 ",
          h("span.ramp", { "aria-hidden": "true" }),
          ` ${short(full)} nats. Point at a word, or step through them with the arrow keys. ${unknown}Kept of each belief: its ${message.kept} heaviest tokens.`,
        ),
      ),
      h("div.as-text", null, below),
      card,
    ),
  ];
}

/** @param {Word} word @param {number} place @param {number} count @param {Message} message */
function wordCard(word, place, count, message) {
  const rows = word.alternatives.map((one) =>
    h(
      "li",
      null,
      h("span.alternative", null, said(token(one.text))),
      h("span.meter", { style: { "--share": `${Math.max(1, 100 * one.share)}%` }, "aria-hidden": "true" }),
      h("span.share", null, one.share >= 0.0005 ? one.share.toFixed(3) : "< 0.001"),
    ),
  );
  const distance = word.distance === null ? "not known here" : `${word.distance.toFixed(4)} (cosine)`;
  return [
    h("p", null, h("strong", null, said(token(word.text))), ` position ${place + 1} of ${count}, token ${word.id}`),
    h("ol.alternatives", { "aria-label": "What the vector was made of" }, rows),
    facts([
      ["entropy", `${word.entropy.toFixed(3)} nats`],
      ["highest probability", word.most.toFixed(3)],
      ["distance to the nearest token", distance],
      ["norm", word.norm === null ? "no vectors: beliefs alone" : `${short(word.norm)}, of ${message.width} numbers`],
    ]),
  ];
}

/** @param {Word} word @param {number} place */
function spoken(word, place) {
  const [first, ...more] = word.alternatives.slice(0, 3).map((one) => `${token(one.text)} ${one.share.toFixed(2)}`);
  return `${place + 1}: ${visible(token(word.text))}, entropy ${word.entropy.toFixed(2)}${first ? `; ${visible([first, ...more].join(", "))}` : ""}`;
}

/** @param {Debate} debate @param {Prompt} prompt @param {Message} message */
function promptView(debate, prompt, message) {
  if (prompt.none || !prompt.turns) return h("p.note", null, visible(prompt.none ?? "Not known."));
  const how =
    prompt.form === "plain"
      ? "Plain text, which ends in the cue below."
      : prompt.form === "chat"
        ? "In the model's chat template, whose own marks are left out here."
        : "In the model's chat template if it has one: its tokenizer is not on this machine.";
  const exact =
    prompt.exact === true
      ? "Rendered from the prompt files that the run read."
      : prompt.exact === false
        ? "The prompt files or worked examples are not those that the run read: its words may have been others."
        : "Rendered from today's prompt files: this run kept no hash of them.";
  return [
    h(prompt.exact === true ? "p.note" : "p.note.warning", null, `${exact} ${how}`),
    h(
      "div.prompt",
      null,
      prompt.turns.map((turn) =>
        h(
          `div.turn.${turn.role}`,
          null,
          h("span.role", null, turn.role),
          h("div.prose", { dir: "auto" }, turn.parts.map((part) => ("slot" in part ? slot(debate, part.slot, message) : visible(part.text)))),
        ),
      ),
      prompt.cue ? h("div.turn.cue", null, h("span.role", null, "cue"), h("div.prose", null, visible(prompt.cue))) : null,
    ),
  ];
}

/** @param {Debate} debate @param {Heard} heard @param {Message} message */
function slot(debate, heard, message) {
  const turn = turnOf(debate, heard.round, heard.agent);
  const whose = heard.own ? `${heard.agent}'s own, round ${heard.round}` : `${heard.agent}, round ${heard.round}`;
  const length = heard.reduced?.[0] ?? Math.min(turn?.generatedTokens ?? 0, heard.firstTokens ?? Infinity);
  const size = heard.form === "cipher" && turn ? `, ${length} vectors of ${message.width}` : "";
  return h(
    `details.slot.${heard.form}`,
    null,
    h("summary", null, visible(`⟦${whose}: ${howHeard(heard)}${size}⟧`)),
    h("div", null, heard.form === "answer" ? said(`Answer: ${turn?.answer ?? "no answer"}`) : visible(turn?.text ?? "")),
  );
}
