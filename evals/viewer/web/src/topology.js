// Who hears whom, drawn: agents where the topology puts them, coloured by how their last answers fare.

import { FORMS, shownVerdict } from "./debates.js";
import { h, s } from "./dom.js";
import { oneLine } from "./text.js";

/** @import {Debate, Topology} from "./types.js" */

const SIZE = 300;
const MARGIN = 34;
const RADIUS = 15;

/**
 * Return the picture, and what lights up an agent and those it hears.
 * @param {Topology} topology
 * @param {Debate} debate
 * @returns {{picture: SVGElement, light: (agent: string|null) => void, forms: HTMLElement}}
 */
export function drawTopology(topology, debate) {
  const radius = topology.nodes.length > 24 ? 7 : topology.nodes.length > 12 ? 11 : RADIUS;
  const words = `Topology ${topology.name}: ${topology.nodes.length} agents, ${topology.edges.length} edges`;
  const svg = s("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "topology", role: "img", "aria-label": words });
  /** @type {Map<string, {x: number, y: number}>} */
  const at = new Map();
  for (const node of topology.nodes) {
    at.set(node.name, { x: MARGIN + node.x * (SIZE - 2 * MARGIN), y: MARGIN + node.y * (SIZE - 2 * MARGIN) });
  }
  const edges = topology.edges.flatMap(([from, to, form]) => {
    const [a, b] = [at.get(from), at.get(to)];
    if (!a || !b) return [];
    const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
    const [dx, dy] = [(b.x - a.x) / length, (b.y - a.y) / length];
    const [x1, y1] = [a.x + dx * radius, a.y + dy * radius];
    const [x2, y2] = [b.x - dx * (radius + 4), b.y - dy * (radius + 4)];
    // Bent to one side, so that both directions can be seen.
    const [mx, my] = [(x1 + x2) / 2 - dy * 9, (y1 + y2) / 2 + dx * 9];
    const path = s("path", { d: `M${x1} ${y1}Q${mx} ${my} ${x2} ${y2}`, class: `edge ${form}` });
    const tip = s("path", { d: arrow(x2, y2, x2 - mx, y2 - my), class: `tip ${form}` });
    svg.append(path, tip);
    return [{ from, to, parts: [path, tip] }];
  });
  for (const node of topology.nodes) {
    const place = at.get(node.name);
    if (!place) continue;
    const last = debate.turns.filter((turn) => turn.agent === node.name).at(-1);
    const [kind] = shownVerdict(last ? last.verdict : "", last?.answer);
    const how = { class: `node ${kind}` };
    const form = node.judge
      ? s("rect", { x: place.x - radius, y: place.y - radius, width: 2 * radius, height: 2 * radius, ...how })
      : s("circle", { cx: place.x, cy: place.y, r: radius, ...how });
    svg.append(form);
    if (topology.nodes.length <= 40) {
      svg.append(s("text", { x: place.x, y: place.y + radius + 12, class: "tick middle" }, oneLine(node.name, 12)));
    }
  }
  /** @param {string|null} agent */
  function light(agent) {
    svg.classList.toggle("lit", agent !== null);
    for (const edge of edges) for (const part of edge.parts) part.classList.toggle("on", edge.to === agent);
  }
  return { picture: svg, light, forms: formsKey(topology) };
}

/** Return what the lines of the picture mean, of the forms that are in it. @param {Topology} topology */
function formsKey(topology) {
  const forms = [...new Set(topology.edges.map(([, , form]) => form))].sort();
  return h(
    "ul.legend",
    { "aria-label": "How messages are heard" },
    forms.map((form) => {
      const key = s("svg", { viewBox: "0 0 26 12", width: 26, height: 12, "aria-hidden": "true" });
      key.append(s("line", { x1: 0, x2: 26, y1: 6, y2: 6, class: `edge ${form}` }));
      return h("li", null, key, FORMS[form] ?? form);
    }),
  );
}

/** @param {number} x @param {number} y @param {number} dx @param {number} dy */
function arrow(x, y, dx, dy) {
  const length = Math.hypot(dx, dy) || 1;
  const [ux, uy] = [dx / length, dy / length];
  const [bx, by] = [x - ux * 6, y - uy * 6];
  return `M${x + ux * 3} ${y + uy * 3}L${bx - uy * 3.5} ${by + ux * 3.5}L${bx + uy * 3.5} ${by - ux * 3.5}Z`;
}
