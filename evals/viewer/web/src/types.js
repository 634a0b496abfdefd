// What the viewer reads, as evals/viewer/*.py writes it.

/**
 * One debate in the table of questions.
 * @typedef {{verdict: string, over: boolean, answer: string|null, turns: number, tokens: number, read: number,
 *   changed: number, lost: number, won: number, agreement: (number|null)[], agents: string[]}} Cell
 *
 * @typedef {{name: string, message: string, encoder: string|null, agents: string[], voters: string[], rounds: number,
 *   topology: string, protocol: string, decision: string, bound: boolean, counts: Record<string, number>,
 *   verdicts: Record<string, number>}} Method
 *
 * @typedef {{id: string, text: string, target: string|null, picture?: string|null}} Question
 *
 * @typedef {{name: string, state: string, reason: string, task: string, seed: string, models: string[], version: number,
 *   since: number, read: boolean, methods: Method[], questions: Question[], cells: Record<string, Record<string, Cell>>}} Run
 *
 * @typedef {{round: number, agent: string, form: string, mapped?: number, firstTokens?: number,
 *   reduced?: [number, number], control?: string, own?: boolean}} Heard
 *
 * @typedef {{round: number, agent: string, answer: string|null, verdict: string, text: string, thinking: string,
 *   encoder: string|null, temperature: number, seed: string, finish: string, promptTokens: number, cachedTokens: number,
 *   generatedTokens: number, bytes: number, seconds: number, engine: string, tries: number, digest: string,
 *   heard: Heard[], partial?: boolean}} Turn
 *
 * @typedef {{name: string, model: string, role: string|null, temperature: number|null}} Agent
 *
 * @typedef {{failure: string|null, answer: string|null, reason: string, answers?: Record<string, string|null>,
 *   verdict: string, why?: string, target?: string|null}} End
 *
 * @typedef {{name: string, nodes: {name: string, x: number, y: number, judge: boolean}[],
 *   edges: [string, string, string][]}} Topology
 *
 * @typedef {{method: string, question: Question, agents: Agent[], voters: string[], rounds: number, rule: string,
 *   turns: Turn[], end: End|null, strikes: string, topology: Topology|null}} Debate
 *
 * @typedef {{none?: string, exact?: boolean|null, form?: string, cue?: string|null,
 *   turns?: {role: string, parts: ({text: string}|{slot: Heard})[]}[]}} Prompt
 *
 * @typedef {{missing?: string, model: string, encoder: string|null, width: number, thinking: number, cut?: boolean,
 *   ids?: number[], strings?: string[]|null, nearest?: number[], entropy?: number[], most?: number[],
 *   norm?: number[]|null, distance?: number[]|null, top?: [number, number][][], kept?: number, prompt: Prompt}} Message
 *
 * @typedef {{name: string, method: string, points: any[][]}} Series
 *
 * @typedef {{kind: string, [key: string]: any}} Block
 *
 * @typedef {{name: string, state: string, task?: string, reason?: string, models?: string[], methods?: Method[]}} RunLine
 *
 * @typedef {{version: number, state: string, read: boolean, over?: boolean, error?: string,
 *   partial?: Record<string, string>}} Growth
 *
 * @typedef {{
 *   runs(): Promise<RunLine[]>,
 *   run(name: string, since?: number): Promise<Run>,
 *   debate(run: string, method: string, question: string): Promise<Debate>,
 *   message(run: string, method: string, question: string, round: number, agent: string): Promise<Message>,
 *   report(run: string): Promise<Block[]>,
 *   before(): Block[],
 *   cut(): string,
 *   title(): string,
 *   holds(run: string, question: string): boolean,
 *   follow(run: string, grown: (growth: Growth) => void): () => void,
 * }} Source
 */

export {};
