"""One debate of a run as JSON values: turns with their answers, who heard whom and in what form, and how it ended."""

from functools import lru_cache
from typing import Any

from agents.beliefs.cards import is_belief_backend
from agents.errors import DebateError
from debate.config.schema import DebateConfig
from debate.preview.picture import layout
from debate.protocol.exchange import Exchange, build_exchange
from debate.run_folder.journal import Record
from debate.topology.edge import PLAIN, Edge
from debate.transcript import TurnKey
from evals.viewer.index import RunIndex


class Plans:
    """The exchanges that a run's methods were planned by, each made once."""

    def __init__(self, index: RunIndex) -> None:
        self._index = index
        self._made = lru_cache(maxsize=64)(self._make)

    def of(self, method: str) -> Exchange | None:
        """Return who hears whom; None where that cannot be told any more, e.g. a topology's file is gone."""
        return self._made(method)

    def _make(self, method: str) -> Exchange | None:
        try:
            return build_exchange(self._index.method_config(method))
        except (DebateError, OSError):
            return None


def debate_json(
    index: RunIndex, plans: Plans, method: str, question: str, records: list[Record], end: Record | None
) -> dict[str, Any]:
    """Return a debate from its records, as `RunIndex.records` returns them."""
    config, exchange = index.method_config(method), plans.of(method)
    said = {(record["round"], record["agent"]): record for record in records}
    return {
        "method": method,
        "question": {
            "id": question,
            "text": index.text(question),
            "target": index.target(question),
            "picture": index.picture(question),
        },
        "agents": _agents(config, records),
        "voters": list(config.electorate.voters),
        "rounds": max([config.rounds, *(record["round"] for record in records)]),
        "rule": str(config.decision),
        "turns": [_turn(index, exchange, config, record, said) for record in records],
        "end": None if end is None else _end(end),
        "strikes": index.debate(method, question).strikes.last,
        "topology": None if exchange is None else _topology(config, exchange),
    }


def _agents(config: DebateConfig, records: list[Record]) -> list[dict[str, Any]]:
    """Return everyone of the config, and who spoke besides."""
    names = [*config.agents, *dict.fromkeys(r["agent"] for r in records if r["agent"] not in config.agents)]
    found = []
    for name in names:
        keys = config.agents.get(name)
        backend = config.backend if keys is None or keys.backend is None else keys.backend
        model = config.model if keys is None else config.model_of(name)
        if is_belief_backend(backend):
            # A specialist has no language model; the config's is another agent's.
            model = backend if keys is None or keys.checkpoint is None else f"{backend}, {keys.checkpoint}"
        role = None if keys is None else keys.role
        found.append({"name": name, "model": model, "role": role, "temperature": keys and keys.temperature})
    return found


def _turn(
    index: RunIndex,
    exchange: Exchange | None,
    config: DebateConfig,
    record: Record,
    said: dict[tuple[int, str], Record],
) -> dict[str, Any]:
    word, usage, cost = index.word(record, index.scorer), record["usage"], record["cost"]
    return {
        "round": record["round"],
        "agent": record["agent"],
        "answer": word.answer,
        "verdict": word.verdict,
        "text": record["text"],
        "thinking": record.get("thinking", ""),
        "encoder": record["encoder"],
        "temperature": record["temperature"],
        # A seed has 63 bits, and a number of JavaScript 53.
        "seed": str(record["seed"]),
        "finish": record["finish_reason"],
        "promptTokens": usage["prompt_tokens"],
        "cachedTokens": cost["cached_tokens"],
        "generatedTokens": usage["generated_tokens"],
        "bytes": record["bytes"],
        "seconds": cost["seconds"],
        "engine": cost["engine"],
        "tries": cost["tries"],
        "digest": record["digest"],
        "heard": heard_forms(exchange, config, record, said),
    }


def heard_forms(
    exchange: Exchange | None, config: DebateConfig, record: Record, said: dict[tuple[int, str], Record]
) -> list[dict[str, Any]]:
    """Return what a turn heard, in its order: which turn, in what form, how much of a belief mapped, which control for it,
    and of a message that was reduced how many positions of how many.

    Forms: `cipher`, `text`, `both`, `reading` (a CIPHER message heard as words), `answer`.
    """
    mapped = {(number, agent): mass for number, agent, mass in record.get("mapped", [])}
    read_out = {(number, agent) for number, agent in record.get("read_out", [])}
    controls = {(number, agent): content for number, agent, content, *_ in record.get("controls", [])}
    reduced = {(one["of"][0], one["of"][1]): [one["after"], one["before"]] for one in record.get("reduced", [])}
    edges = _edges(exchange, record)
    found = []
    for number, agent in record["heard"]:
        key, edge = (number, agent), edges.get((number, agent), PLAIN)
        speech = said.get(key)
        is_cipher = speech is not None and speech["encoder"] is not None
        if edge.seen == "answers":
            form = "answer"
        elif not is_cipher:
            form = "text"
        elif key in read_out or edge.message == "text" or mapped.get(key, 1.0) < config.min_mapped:
            form = "reading"
        else:
            form = "both" if edge.message == "both" else "cipher"
        one: dict[str, Any] = {"round": number, "agent": agent, "form": form}
        if key in mapped:
            one["mapped"] = round(mapped[key], 4)
        if key in controls:
            one["control"] = controls[key]
        if key in reduced:
            one["reduced"] = reduced[key]
        if edge.first_tokens is not None:
            one["firstTokens"] = edge.first_tokens
        found.append(one)
    return found


def own_turn(exchange: Exchange | None, record: Record) -> TurnKey | None:
    """Return an agent's own turn that stood in a turn's prompt."""
    if exchange is None:
        return None
    inbox = exchange.planned.plan.get(TurnKey(record["round"], record["agent"]))
    return None if inbox is None else inbox.own


def _edges(exchange: Exchange | None, record: Record) -> dict[tuple[int, str], Edge]:
    if exchange is None:
        return {}
    inbox = exchange.planned.plan.get(TurnKey(record["round"], record["agent"]))
    if inbox is None:
        return {}
    return {(key.round, key.agent): edge for key, edge in zip(inbox.heard, inbox.edges, strict=True)}


def _topology(config: DebateConfig, exchange: Exchange) -> dict[str, Any]:
    """Return the graph over all rounds, drawn: agents with their places from 0 to 1, edges with their forms."""
    whole = exchange.topology.union()
    places = layout(whole, exchange.planned.judges, dict(config.groups))
    xs, ys = [x for x, _ in places.values()], [y for _, y in places.values()]

    def unit(value: float, values: list[float]) -> float:
        low, high = min(values), max(values)
        return 0.5 if high - low < 1e-9 else round((float(value) - float(low)) / float(high - low), 4)

    return {
        "name": config.topology if isinstance(config.topology, str) else "own",
        "nodes": [
            {
                "name": name,
                "x": unit(places[name][0], xs),
                "y": 1 - unit(places[name][1], ys),
                "judge": name in exchange.planned.judges,
            }
            for name in whole
        ],
        "edges": [[u, v, _form(data.get("edge", PLAIN))] for u, v, data in whole.edges(data=True)],
    }


def _form(edge: Edge) -> str:
    return "answer" if edge.seen == "answers" else edge.message


def _end(record: Record) -> dict[str, Any]:
    if record["kind"] == "failed":
        return {"failure": record["reason"], "answer": None, "reason": record["reason"], "verdict": "failed"}
    return {
        "failure": None,
        "answer": record["answer"],
        "reason": record["reason"],
        "answers": record.get("answers", {}),
        "verdict": record.get("score", ""),
        "why": record.get("score_reason", ""),
        "target": record.get("target"),
    }
