// What the page shows, in the part of its address behind the #: a deep link to a question, a debate or a message.

/**
 * @typedef {{view: "runs"} |
 *   {view: "questions"|"report", run: string, asked: Record<string, string>} |
 *   {view: "debate", run: string, method: string, question: string, round?: number, agent?: string} |
 *   {view: "compare", run: string, question: string, asked: Record<string, string>}} Route
 */

/**
 * Return the route of an address; one that means nothing is the list of runs.
 * @param {string} hash
 * @returns {Route}
 */
export function readRoute(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  let parts;
  try {
    parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return { view: "runs" };
  }
  const asked = Object.fromEntries(new URLSearchParams(query));
  const [run, view = "questions", ...rest] = parts;
  if (run === undefined) return { view: "runs" };
  if (view === "report") return { view: "report", run, asked };
  if (view === "debate" && rest.length >= 2) {
    const [method, question, round, agent] = rest;
    if (agent !== undefined && /^\d+$/.test(round)) {
      return { view: "debate", run, method, question, round: Number(round), agent };
    }
    return { view: "debate", run, method, question };
  }
  if (view === "compare" && rest.length >= 1) return { view: "compare", run, question: rest[0], asked };
  return { view: "questions", run, asked };
}

/**
 * Return the address of a route.
 * @param {Route} route
 */
export function address(route) {
  /** @type {(string|number)[]} */
  let parts = [];
  if (route.view === "questions") parts = [route.run];
  if (route.view === "report") parts = [route.run, "report"];
  if (route.view === "compare") parts = [route.run, "compare", route.question];
  if (route.view === "debate") {
    parts = [route.run, "debate", route.method, route.question];
    if (route.agent !== undefined && route.round !== undefined) parts.push(route.round, route.agent);
  }
  const asked = "asked" in route ? Object.entries(route.asked).filter(([, value]) => value !== "") : [];
  const query = asked.length ? `?${new URLSearchParams(asked)}` : "";
  return `#/${parts.map((part) => encodeURIComponent(part)).join("/")}${query}`;
}
