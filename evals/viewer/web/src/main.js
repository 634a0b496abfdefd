// The page: which view its address asks for, what a live run adds, and the frame around both.

import { setMethods } from "./colours.js";
import { compareView } from "./compare.js";
import { debateView, replace } from "./debateview.js";
import { fill, h } from "./dom.js";
import { heading, link } from "./parts.js";
import { said } from "./prose.js";
import { questionsView } from "./questions.js";
import { blocks, reportView } from "./report.js";
import { address, readRoute } from "./route.js";
import { grown } from "./rows.js";
import { SourceError, fileSource, serverSource } from "./source.js";
import { table } from "./table.js";
import { visible } from "./text.js";

/** @import {Growth, Run, RunLine, Source} from "./types.js" */
/** @import {Route} from "./route.js" */

const THEMES = ["auto", "light", "dark"];

const content = JSON.parse(document.getElementById("content")?.textContent ?? "{}");
/** @type {Source} */
const source = content.mode === "file" ? fileSource(content) : serverSource(content.title);
const app = /** @type {HTMLElement} */ (document.getElementById("app"));
const main = h("main", { id: "main" });
const bar = h("header");
const live = h("span.live", { role: "status" });

/** @type {RunLine[]} */
let lines = [];
/** @type {Run|null} */
let run = null;
let unfollow = () => {};
/** @type {Record<string, string>} */
let partial = {};
let drawing = 0;

/** @param {string} theme */
function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // Some browsers keep nothing for a page from a file.
  }
}

function storedTheme() {
  try {
    return localStorage.getItem("theme") ?? "auto";
  } catch {
    return "auto";
  }
}

/** @param {Route} route */
function drawBar(route) {
  const name = "run" in route ? route.run : null;
  const theme = h("button.small", { type: "button", id: "theme" });
  const words = () => `Theme: ${storedTheme()}`;
  theme.textContent = words();
  theme.addEventListener("click", () => {
    setTheme(THEMES[(THEMES.indexOf(storedTheme()) + 1) % THEMES.length]);
    theme.textContent = words();
  });
  /** @param {string} view @param {string} words @param {string} href */
  const tab = (view, words, href) => h("a", { href, "aria-current": route.view === view ? "page" : null }, words);
  fill(
    bar,
    h("a.skip", { href: "#main", onclick: skip }, "Skip to content"),
    h("a.brand", { href: "#/" }, content.mode === "file" ? said(source.title()) : "Debates"),
    h(
      "nav",
      { "aria-label": "Views" },
      lines.length > 1 ? tab("runs", "Runs", "#/") : null,
      name ? tab("questions", "Questions", address({ view: "questions", run: name, asked: {} })) : null,
      name ? tab("report", "Report", address({ view: "report", run: name, asked: {} })) : null,
    ),
    live,
    theme,
  );
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("title")?.focus();
}

/** Show what the address asks for. @param {{keep?: boolean}} [how] keep: the same view again, with what is new */
async function draw({ keep = false } = {}) {
  const mine = ++drawing;
  const route = readRoute(location.hash);
  // What is there stays until there is something to show, or it takes long.
  const slow = setTimeout(() => {
    if (mine === drawing && !keep) fill(main, h("p.loading", { role: "status" }, "Reading …"));
  }, 250);
  const view = await viewOf(route);
  clearTimeout(slow);
  if (mine !== drawing) return;
  drawBar(route);
  replace(main, view);
  performance.clearMarks();
  performance.mark(`${route.view}-shown`);
  if (!keep) {
    const title = document.getElementById("agent" in route && route.agent !== undefined ? "message-title" : "title");
    document.title = `${document.getElementById("title")?.textContent ?? "Debates"} · debates`;
    // A deep link to a message opens there; another page begins at its top.
    if (title?.id === "message-title") title.scrollIntoView({ block: "start" });
    else if (!("asked" in route) || !Object.keys(route.asked).length) window.scrollTo(0, 0);
    if (moved) title?.focus({ preventScroll: true });
  }
}

let moved = false;

/** @param {Route} route @returns {Promise<HTMLElement>} */
async function viewOf(route) {
  try {
    if (!lines.length) lines = await source.runs();
    if (route.view === "runs") {
      const [only] = lines;
      if (lines.length === 1 && !source.before().length) {
        return await viewOf({ view: "questions", run: only.name, asked: {} });
      }
      leave();
      return runsView();
    }
    const found = await enter(route.run);
    /** @param {Record<string, string>} asked */
    const ask = (asked) => {
      const kept = Object.fromEntries(Object.entries(asked).filter(([, value]) => value));
      history.replaceState(null, "", address(/** @type {Route} */ ({ ...route, asked: kept })));
      draw({ keep: true });
    };
    switch (route.view) {
      case "report":
        return h("div", null, cutNote(), await reportView(source, found));
      case "debate":
        return h("div", null, cutNote(), await debateView(source, found, route, partial));
      case "compare":
        return await compareView(source, found, route.question, route.asked, ask);
      default:
        return h("div", null, cutNote(), questionsView(source, found, route.asked, ask));
    }
  } catch (error) {
    if (!(error instanceof SourceError)) console.error(error);
    const words = error instanceof Error ? error.message : String(error);
    return h("div", null, heading([], "This cannot be shown"), h("p.warning", { role: "alert" }, visible(words)), h("p", null, link("#/", "To the beginning")));
  }
}

function cutNote() {
  const cut = source.cut();
  return cut ? h("p.note.cut", null, visible(cut)) : null;
}

function runsView() {
  const rows = lines.map((line) => [
    link(address({ view: "questions", run: line.name, asked: {} }), said(line.name)),
    line.task ?? "–",
    line.reason && line.state === "damaged" ? `damaged: ${line.reason}` : line.state,
    (line.methods ?? []).map((one) => `${one.name} ${one.counts.correct}/${one.counts.total}`).join(", ") || "–",
  ]);
  return h(
    "div",
    null,
    heading([], visible(source.title())),
    blocks(source.before(), lines[0]?.name ?? ""),
    table({ caption: "Runs", header: ["run", "task", "state", "right"], rows, left: new Set([0, 1, 2, 3]) }),
  );
}

/** Open a run, and follow it while it grows. @param {string} name @returns {Promise<Run>} */
async function enter(name) {
  if (run?.name === name) return run;
  leave();
  const found = await source.run(name);
  run = found;
  setMethods(found.methods.map((one) => one.name));
  if (found.state === "running" || !found.read) unfollow = source.follow(name, (growth) => grow(name, growth));
  live.textContent = found.state === "running" ? "● live" : "";
  return found;
}

function leave() {
  unfollow();
  unfollow = () => {};
  run = null;
  partial = {};
  live.textContent = "";
}

let asking = false;
// While a button is held down nothing moves: what it would be let go over must still be there.
let pressed = false;
/** @type {Growth|null} */
let later = null;

/** Take in what a run has more; what comes while an answer is awaited is asked for afterwards, at once. @param {string} name @param {Growth} growth */
async function grow(name, growth) {
  if (asking || pressed) {
    later = growth;
    return;
  }
  asking = true;
  try {
    if (growth.error) {
      live.textContent = visible(growth.error);
    } else if (run?.name === name) {
      const before = run;
      if (growth.version !== run.version || growth.state !== run.state || growth.over) {
        run = { ...grown(run, await source.run(name, run.version)), name };
        setMethods(run.methods.map((one) => one.name));
      }
      const said = JSON.stringify(growth.partial ?? {}) !== JSON.stringify(partial);
      partial = growth.partial ?? {};
      live.textContent = growth.state === "running" ? "● live" : "";
      if (isOfInterest(readRoute(location.hash), before, run, said)) await draw({ keep: true });
    }
  } catch (error) {
    live.textContent = visible(error instanceof Error ? error.message : String(error));
  } finally {
    asking = false;
    const next = later;
    later = null;
    if (next) setTimeout(() => grow(name, next), 250);
  }
}

/**
 * Whether what is looked at has changed: another debate's turn is no reason to draw this one again under somebody's hand.
 * @param {Route} route @param {Run} before @param {Run} now @param {boolean} said whether a turn under way has said more
 */
function isOfInterest(route, before, now, said) {
  if (route.view === "questions" || route.view === "runs") return before !== now;
  if (route.view !== "debate") return false;
  const [old, fresh] = [before, now].map((one) => one.cells[route.method]?.[route.question]);
  return said || (old !== fresh && (old?.turns !== fresh?.turns || old?.over !== fresh?.over));
}

/** Keys of the page: n and p for the next and the previous question, / to search. @param {KeyboardEvent} event */
function keys(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
  const ids = { n: "question-after", p: "question-before", "/": "filter-text" };
  const id = ids[/** @type {keyof typeof ids} */ (event.key)];
  const found = id && document.getElementById(id);
  if (!found) return;
  event.preventDefault();
  if (event.key === "/") found.focus();
  else found.click();
}

setTheme(storedTheme());
fill(app, bar, main, h("footer", null, h("p.note", null, "Keys: n and p for the next and the previous question, / to search.")));
addEventListener("hashchange", () => {
  moved = true;
  draw();
});
addEventListener("keydown", keys);
addEventListener("pointerdown", () => (pressed = true));
for (const event of ["pointerup", "pointercancel"]) {
  addEventListener(event, () => {
    pressed = false;
    const next = later;
    later = null;
    if (next && run) setTimeout(grow, 50, run.name, next);
  });
}
draw();
