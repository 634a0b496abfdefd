// The one maker of charts: a block of the report becomes an SVG picture with tooltips, keyboard, numbers and files to save.

import { colour, dashes, placeOf } from "./colours.js";
import { h, newId, s, save } from "./dom.js";
import { ends, nearest, ticks } from "./scale.js";
import { table } from "./table.js";
import { short } from "./text.js";

/** @import {Block, Series} from "./types.js" */
/** @typedef {{x: number, y: number, low?: number, high?: number, place: number, words: string}} Mark */

const WIDTH = 640;
const HEIGHT = 340;
const LEFT = 64;
const BOTTOM = 46;
const TOP = 12;
const RIGHT = 14;
/** Points of a line above which intervals are a band and points have no marks. */
const MOST_BARS = 12;
const SHAPES = ["circle", "square", "diamond", "up", "down", "cross", "circle", "square"];

/**
 * Return a chart.
 * @param {Block} block see `chart` in evals/analysis/blocks.py
 */
export function chart(block) {
  const title = newId("chart");
  const svg = s("svg", {
    viewBox: `0 0 ${WIDTH} ${heightOf(block)}`,
    role: "img",
    tabindex: 0,
    "aria-labelledby": title,
    class: "chart",
  });
  const marks = block.form === "bars" ? bars(svg, block) : plane(svg, block);
  const tip = h("div.tip", { role: "status", "aria-live": "polite", hidden: true });
  const frame = h("div.frame", null, svg, tip);
  listen(svg, frame, tip, marks);
  const name = block.title.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return h(
    "figure",
    null,
    h("h4", { id: title }, block.title),
    block.form === "lines" && block.series.some((/** @type {Series} */ one) => one.name) ? legend(block.series) : null,
    frame,
    h("figcaption", null, block.caption),
    h(
      "div.tools",
      null,
      h("button.small", { type: "button", onclick: () => save(svgFile(svg), `${name}.svg`), "aria-label": `Save ${block.title} as SVG` }, "SVG"),
      h("button.small", { type: "button", onclick: () => pngFile(svg, `${name}.png`), "aria-label": `Save ${block.title} as PNG` }, "PNG"),
      numbers(block),
    ),
  );
}

/** @param {Block} block */
function heightOf(block) {
  return block.form === "bars" ? 40 + 30 * block.series[0].points.length : HEIGHT;
}

/** @param {Series[]} series */
function legend(series) {
  return h(
    "ul.legend",
    null,
    series.map((one, number) => {
      const place = placeOf(one.method, number);
      const key = s("svg", { viewBox: "0 0 26 12", width: 26, height: 12, "aria-hidden": "true" });
      key.append(
        s("line", { x1: 0, x2: 26, y1: 6, y2: 6, "stroke-width": 2, "stroke-dasharray": dashes(place), style: { stroke: colour(place) } }),
        shape(13, 6, place, 3.6),
      );
      return h("li", null, key, h("bdi", null, one.name));
    }),
  );
}

/** Draw axes, lines or dots; return what can be pointed at. @param {SVGElement} svg @param {Block} block @returns {Mark[]} */
function plane(svg, block) {
  /** @type {Series[]} */
  const series = block.series;
  const points = series.flatMap((one) => one.points);
  const isDots = block.form === "dots";
  const [x0, x1] = ends(points.map((point) => point[0]), block.xmin, block.xmax);
  const heights = points.flatMap((point) => (isDots ? [point[1]] : point.slice(1, 4).filter((value) => typeof value === "number")));
  const [y0, y1] = ends(heights, block.ymin, block.ymax);
  /** @param {number} value */
  const x = (value) => LEFT + ((value - x0) / (x1 - x0)) * (WIDTH - LEFT - RIGHT);
  /** @param {number} value */
  const y = (value) => HEIGHT - BOTTOM - ((value - y0) / (y1 - y0)) * (HEIGHT - BOTTOM - TOP);
  const whole = block.ticks ? [...new Set(points.map((point) => point[0]))].sort((a, b) => a - b) : ticks(x0, x1, 6);
  axes(svg, block, whole.filter((value) => value >= x0 && value <= x1), ticks(y0, y1), x, y);
  if (block.diagonal) {
    const [from, to] = [Math.max(x0, y0), Math.min(x1, y1)];
    svg.append(s("line", { x1: x(from), y1: y(from), x2: x(to), y2: y(to), class: "guide" }));
  }
  /** @type {Mark[]} */
  const marks = [];
  if (isDots) {
    dots(svg, block, x, y, marks);
    return marks;
  }
  series.forEach((one, number) => {
    const place = placeOf(one.method, number);
    // Side by side where several methods have a point at one round.
    const shift = block.ticks ? 5 * (number - (series.length - 1) / 2) : 0;
    const group = s("g", { class: "series", style: { color: colour(place) } });
    const at = one.points.map((point) => ({ px: x(point[0]) + shift, py: y(point[1]), point }));
    const hasEnds = one.points.every((point) => typeof point[2] === "number");
    const isLong = at.length > MOST_BARS;
    if (hasEnds && isLong) {
      const upper = at.map(({ px, point }) => `${px},${y(point[3])}`);
      const lower = at.map(({ px, point }) => `${px},${y(point[2])}`).reverse();
      group.append(s("polygon", { points: [...upper, ...lower].join(" "), class: "band" }));
    }
    group.append(
      s("polyline", { points: at.map(({ px, py }) => `${px},${py}`).join(" "), class: "line", "stroke-dasharray": dashes(place) }),
    );
    for (const { px, py, point } of at) {
      if (hasEnds && !isLong) {
        const [low, high] = [y(point[2]), y(point[3])];
        group.append(s("path", { d: `M${px} ${low}V${high}M${px - 3} ${low}h6M${px - 3} ${high}h6`, class: "bar" }));
      }
      if (!isLong) group.append(shape(px, py, place, 4));
      marks.push({ x: px, y: py, place, words: words(one, point, block) });
    }
    svg.append(group);
  });
  return marks;
}

/** @param {Series} one @param {any[]} point @param {Block} block */
function words(one, point, block) {
  const interval = typeof point[2] === "number" ? ` (${short(point[2])} to ${short(point[3])})` : "";
  const more = typeof point.at(-1) === "string" ? `, ${point.at(-1)}` : "";
  return `${one.name}: ${block.x} ${short(point[0])}, ${block.y} ${short(point[1])}${interval}${more}`;
}

/**
 * @param {SVGElement} svg @param {Block} block @param {number[]} across @param {number[]} up
 * @param {(value: number) => number} x @param {(value: number) => number} y
 */
function axes(svg, block, across, up, x, y) {
  const base = HEIGHT - BOTTOM;
  for (const value of up) {
    svg.append(s("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" }));
    svg.append(s("text", { x: LEFT - 8, y: y(value) + 4, class: "tick end" }, short(value)));
  }
  for (const value of across) {
    svg.append(s("line", { x1: x(value), x2: x(value), y1: base, y2: base + 4, class: "axis" }));
    svg.append(s("text", { x: x(value), y: base + 18, class: "tick middle" }, short(value)));
  }
  svg.append(s("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: base, y2: base, class: "axis" }));
  svg.append(s("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 8, class: "label middle" }, block.x));
  const middle = (TOP + base) / 2;
  svg.append(s("text", { x: 12, y: middle, class: "label middle", transform: `rotate(-90 12 ${middle})` }, block.y));
}

/**
 * @param {SVGElement} svg @param {Block} block @param {(value: number) => number} x @param {(value: number) => number} y
 * @param {Mark[]} marks
 */
function dots(svg, block, x, y, marks) {
  const [one] = block.series;
  const values = one.points.map((/** @type {any[]} */ point) => point[2]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  one.points.forEach((/** @type {any[]} */ point, /** @type {number} */ number) => {
    const [px, py] = [x(point[0]), y(point[1])];
    const share = high > low ? (point[2] - low) / (high - low) : 1;
    const best = number === block.best;
    svg.append(
      s("circle", { cx: px, cy: py, r: best ? 10 : 8, class: best ? "dot best" : "dot", style: { "--share": `${Math.round(100 * share)}%` } }),
    );
    svg.append(s("text", { x: px, y: py - 13, class: "tick middle" }, short(point[2])));
    const more = typeof point.at(-1) === "string" ? `, ${point.at(-1)}` : "";
    const winner = best ? ", the winner" : "";
    const said = `${short(point[2])} % at ${block.x} ${short(point[0])}, ${block.y} ${short(point[1])}${more}${winner}`;
    marks.push({ x: px, y: py, place: 0, words: said });
  });
}

/** @param {SVGElement} svg @param {Block} block @returns {Mark[]} */
function bars(svg, block) {
  const [one] = block.series;
  const most = Math.max(...one.points.map((/** @type {any[]} */ point) => point[1]), 1e-9);
  return one.points.map((/** @type {any[]} */ [name, value], /** @type {number} */ place) => {
    const top = 8 + 30 * place;
    const width = (value / most) * (WIDTH - 250 - 70);
    svg.append(s("text", { x: 242, y: top + 15, class: "tick end" }, String(name).slice(0, 40)));
    svg.append(s("rect", { x: 250, y: top, width: Math.max(width, 1), height: 20, style: { fill: colour(0) } }));
    svg.append(s("text", { x: 256 + width, y: top + 15, class: "tick" }, short(value)));
    return { x: 250 + width, y: top + 10, place: 0, words: `${name}: ${block.x} ${short(value)}` };
  });
}

/** @param {number} x @param {number} y @param {number} place @param {number} size */
function shape(x, y, place, size) {
  const how = { class: "mark", style: { fill: colour(place) } };
  const r = size;
  switch (SHAPES[place % SHAPES.length]) {
    case "square":
      return s("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, ...how });
    case "diamond":
      return s("path", { d: `M${x} ${y - 1.3 * r}L${x + 1.3 * r} ${y}L${x} ${y + 1.3 * r}L${x - 1.3 * r} ${y}Z`, ...how });
    case "up":
      return s("path", { d: `M${x} ${y - 1.2 * r}L${x + 1.2 * r} ${y + r}H${x - 1.2 * r}Z`, ...how });
    case "down":
      return s("path", { d: `M${x} ${y + 1.2 * r}L${x + 1.2 * r} ${y - r}H${x - 1.2 * r}Z`, ...how });
    case "cross":
      return s("path", { d: `M${x - r} ${y - r / 2.5}h${r * 2}v${r / 1.25}h${-r * 2}Z`, ...how });
    default:
      return s("circle", { cx: x, cy: y, r, ...how });
  }
}

/** Show what is pointed at, by the mouse or by the arrow keys. @param {SVGElement} svg @param {HTMLElement} frame @param {HTMLElement} tip @param {Mark[]} marks */
function listen(svg, frame, tip, marks) {
  let at = -1;
  const ring = s("circle", { r: 8, class: "ring", visibility: "hidden" });
  svg.append(ring);
  const box = /** @type {SVGSVGElement} */ (svg).viewBox.baseVal;
  /** @param {number} place */
  function show(place) {
    at = place;
    const mark = marks[place];
    ring.setAttribute("visibility", mark ? "visible" : "hidden");
    tip.hidden = !mark;
    if (!mark) return;
    ring.setAttribute("cx", String(mark.x));
    ring.setAttribute("cy", String(mark.y));
    tip.textContent = mark.words;
    tip.style.left = `${(100 * mark.x) / box.width}%`;
    tip.style.top = `${(100 * mark.y) / box.height}%`;
    tip.classList.toggle("flip", mark.x > 0.6 * box.width);
    tip.classList.toggle("below", mark.y < 0.25 * box.height);
  }
  svg.addEventListener("pointermove", (event) => {
    const area = svg.getBoundingClientRect();
    const scale = box.width / area.width;
    const pointer = /** @type {PointerEvent} */ (event);
    const found = nearest(marks, (pointer.clientX - area.left) * scale, (pointer.clientY - area.top) * scale, 26);
    show(found ? marks.indexOf(found) : -1);
  });
  svg.addEventListener("pointerleave", () => show(-1));
  svg.addEventListener("blur", () => show(-1));
  svg.addEventListener("keydown", (event) => {
    const key = /** @type {KeyboardEvent} */ (event).key;
    const step = key === "ArrowRight" || key === "ArrowDown" ? 1 : key === "ArrowLeft" || key === "ArrowUp" ? -1 : 0;
    if (key === "Escape") show(-1);
    if (!step || !marks.length) return;
    event.preventDefault();
    show((at + step + marks.length) % marks.length);
  });
  frame.addEventListener("pointerdown", () => svg.focus());
}

/** @param {Block} block */
function numbers(block) {
  const hasEnds = block.series.some((/** @type {Series} */ one) => one.points.some((point) => typeof point[2] === "number"));
  const header = ["series", block.x || "x", block.y || "value", ...(hasEnds ? [block.form === "dots" ? "value" : "from", ...(block.form === "dots" ? [] : ["to"])] : [])];
  const opened = h("details", null, h("summary", null, "Numbers"));
  // Made when asked for: an entropy chart has hundreds.
  opened.addEventListener("toggle", () => {
    if (opened.childElementCount > 1) return;
    const rows = block.series.flatMap((/** @type {Series} */ one) =>
      one.points.map((point) => [one.name, ...point.slice(0, header.length - 1).map((value) => (typeof value === "number" ? short(value) : value))]),
    );
    opened.append(table({ caption: block.title, header, rows, hidden: true }));
  });
  return opened;
}

/** Return the picture as a file of its own: styles are written into it. @param {SVGElement} svg */
export function svgFile(svg) {
  const copy = /** @type {SVGElement} */ (svg.cloneNode(true));
  const originals = [svg, ...svg.querySelectorAll("*")];
  const copies = [copy, ...copy.querySelectorAll("*")];
  const kept = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-family", "text-anchor", "opacity"];
  copies.forEach((element, place) => {
    const style = getComputedStyle(originals[place]);
    for (const name of kept) element.setAttribute(name, style.getPropertyValue(name));
    element.removeAttribute("style");
    element.removeAttribute("class");
    element.removeAttribute("tabindex");
    element.removeAttribute("aria-labelledby");
  });
  const box = /** @type {SVGSVGElement} */ (svg).viewBox.baseVal;
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", String(box.width));
  copy.setAttribute("height", String(box.height));
  const back = s("rect", { width: box.width, height: box.height, fill: getComputedStyle(document.body).backgroundColor });
  copy.prepend(back);
  return new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
}

/** @param {SVGElement} svg @param {string} name */
function pngFile(svg, name) {
  const box = /** @type {SVGSVGElement} */ (svg).viewBox.baseVal;
  const image = new Image();
  const url = URL.createObjectURL(svgFile(svg));
  image.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = 2 * box.width;
    canvas.height = 2 * box.height;
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(url);
    canvas.toBlob((blob) => blob && save(blob, name), "image/png");
  };
  image.src = url;
}
