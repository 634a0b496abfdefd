// Where the page's data come from: the server that serves it, or the file that it is.

/** @import {Growth, Source} from "./types.js" */

/** What is wrong, in a sentence for the reader. */
export class SourceError extends Error {}

/**
 * The server that serves the page.
 * @param {string} title
 * @returns {Source}
 */
export function serverSource(title) {
  /** @param {string} path @param {Record<string, string|number>} [asked] */
  async function ask(path, asked = {}) {
    const query = new URLSearchParams(Object.entries(asked).map(([key, value]) => [key, String(value)]));
    let answer;
    try {
      answer = await fetch(`api/${path}?${query}`);
    } catch {
      throw new SourceError("The server does not answer any more. Start `debate view` again and open its new address.");
    }
    if (answer.status === 403) throw new SourceError(await answer.text());
    const content = await answer.json();
    if (!answer.ok) throw new SourceError(content.error ?? `The server answered ${answer.status}.`);
    return content;
  }
  return {
    runs: async () => (await ask("runs")).runs,
    run: (name, since = 0) => ask("run", { run: name, since }),
    debate: (run, method, question) => ask("debate", { run, method, question }),
    message: (run, method, question, round, agent) => ask("message", { run, method, question, round, agent }),
    report: async (run) => (await ask("report", { run })).blocks,
    before: () => [],
    cut: () => "",
    title: () => title,
    holds: () => true,
    follow(run, grown) {
      const stream = new EventSource(`api/events?${new URLSearchParams({ run })}`);
      stream.onmessage = (event) => {
        /** @type {Growth} */
        const growth = JSON.parse(event.data);
        if (growth.over || growth.error) stream.close();
        grown(growth);
      };
      return () => stream.close();
    },
  };
}

/**
 * The file that the page is: `content` holds everything, debates compressed question by question.
 * @param {any} content
 * @returns {Source}
 */
export function fileSource(content) {
  /** @type {Map<string, Promise<any>>} */
  const opened = new Map();

  /** @param {string} run @param {string} question */
  function chunk(run, question) {
    const key = JSON.stringify([run, question]);
    let found = opened.get(key);
    if (!found) {
      const packed = content.chunks[run]?.[question];
      if (packed === undefined) {
        throw new SourceError(`This file does not hold the debates over ${question}. ${content.cut}`);
      }
      found = unpacked(packed);
      opened.set(key, found);
      if (opened.size > 30) opened.delete(/** @type {string} */ (opened.keys().next().value));
    }
    return found;
  }
  return {
    runs: async () => Object.entries(content.runs).map(([name, run]) => ({ .../** @type {any} */ (run), name })),
    async run(name) {
      if (!content.runs[name]) throw new SourceError(`This file holds no run that is called ${name}.`);
      return { ...content.runs[name], name };
    },
    async debate(run, method, question) {
      const found = (await chunk(run, question)).debates[method];
      if (!found) throw new SourceError(`${method} has no debate over ${question}.`);
      return found;
    },
    async message(run, method, question, round, agent) {
      const found = (await chunk(run, question)).messages[method]?.[`${round}/${agent}`];
      if (!found) throw new SourceError(`${agent} has not spoken in round ${round}.`);
      return found;
    },
    report: async (run) => content.reports[run] ?? [],
    before: () => content.before,
    cut: () => content.cut,
    title: () => content.title,
    holds: (run, question) => content.chunks[run]?.[question] !== undefined,
    follow: () => () => {},
  };
}

/**
 * Return the JSON of a gzip in base64.
 * @param {string} packed
 */
async function unpacked(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}
