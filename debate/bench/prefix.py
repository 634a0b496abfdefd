"""`debate bench prefix`: how much of the prompts of a debate an engine computes again.

Rounds of one debate begin alike: instructions, worked examples, the question. What could be shared is counted here, from the
prompts themselves: the longest beginning that a turn's prompt has in common with any prompt of an earlier round or question,
in whole blocks of `block` positions. What was shared is what the engine reports.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agents.atomic_file import write_json
from agents.pretrained import Progress
from agents.question import Question
from agents.tokenization import Key, num_common, position_keys, segments
from debate.bench.recorder import Recorder
from debate.build import build_debate
from debate.config.load import load_config
from debate.config.schema import DebateConfig
from debate.orchestrator import Debate, play, take
from debate.runtime.backends import Backends
from debate.transcript import Turn, TurnKey


@dataclass
class RoundCount:
    """Prompt positions of one round, over all questions: all, those that could be shared, those that were."""

    prompt: int = 0
    shareable: int = 0
    shared: int = 0

    @property
    def computed(self) -> int:
        """Positions that were computed."""
        return self.prompt - self.shared


@dataclass
class PrefixCount:
    """What was counted, by round."""

    rounds: dict[int, RoundCount] = field(default_factory=dict)

    @property
    def later(self) -> RoundCount:
        """The rounds after the first, together."""
        total = RoundCount()
        for number, one in self.rounds.items():
            if number > 1:
                total.prompt, total.shareable = total.prompt + one.prompt, total.shareable + one.shareable
                total.shared += one.shared
        return total


async def count_prefixes(
    config: DebateConfig, questions: Sequence[Question], *, block: int, progress: Progress
) -> PrefixCount:
    """Play questions one after the other on a fresh engine and count what each round's prompts cost."""
    count = PrefixCount()
    backends = Backends(config, progress)
    try:
        debate = build_debate(config, backends)
        recorders: dict[int, Recorder] = {}
        agents: dict[str, Any] = {}
        for name, agent in debate.agents.items():
            if agent.prompt_files is not None:
                recorder = recorders.setdefault(id(agent.backend), Recorder(agent.backend))
                agents[name] = replace(agent, backend=recorder)
            else:
                agents[name] = agent
        (recorder,) = recorders.values()
        debate = replace(debate, agents=agents)

        places: dict[TurnKey, int] = {}

        async def noted(debate: Debate, question: Question, key: TurnKey, said: Mapping[TurnKey, Turn]) -> Turn:
            # The request is submitted before anything else has its turn.
            places[key] = len(recorder.requests)
            return await take(debate, question, key, said)

        def keys_of(turn: Turn) -> list[Key]:
            prompt = recorder.requests[places[turn.key]].prompt
            return position_keys(segments(prompt, recorder.tokenizer, recorder.fingerprint))

        earlier: list[list[Key]] = []
        for question in questions:
            transcript = await play(debate, question, take=noted)
            for number, group in itertools.groupby(transcript.turns, key=lambda turn: turn.key.round):
                of_round = count.rounds.setdefault(number, RoundCount())
                asked = [(turn.usage, keys_of(turn)) for turn in group]
                for usage, keys in asked:
                    longest = max((num_common(keys, other) for other in earlier), default=0)
                    of_round.prompt += usage.prompt_tokens
                    of_round.shareable += min(longest, len(keys) - 1) // block * block
                    of_round.shared += usage.cached_tokens
                earlier += [keys for _, keys in asked]
    finally:
        await backends.close()
    return count


async def bench_prefix(
    *,
    config: Path,
    settings: Sequence[str],
    backends: Sequence[str],
    options: Mapping[str, Mapping[str, Any]],
    questions: Callable[[DebateConfig], Sequence[Question]],
    block: int,
    out: Path | None,
    console: Console,
    progress: Progress,
) -> dict[str, Any]:
    """Count for each backend, in text and in CIPHER; print the table and return the figures."""
    table = Table(box=None, pad_edge=False)
    for column in ("engine", "message", "round", "prompt", "computed", "shareable", "shared", "share"):
        table.add_column(column, justify="left" if column in ("engine", "message") else "right")
    report: dict[str, Any] = {"block": block, "counts": []}
    for name, message in itertools.product(backends, ("text", "cipher")):
        own = [f"options.{key}={value}" for key, value in options.get(name, {}).items()]
        loaded = load_config(config, [*settings, f"backend={name}", f"message={message}", *own])
        found = await count_prefixes(loaded, questions(loaded), block=block, progress=progress)
        for number, one in [*sorted(found.rounds.items()), ("2 and later", found.later)]:
            share = f"{one.shared / one.shareable:.0%}" if one.shareable else "–"
            cells = (one.prompt, one.computed, one.shareable, one.shared)
            table.add_row(name, message, str(number), *(f"{cell:,}" for cell in cells), share)
            counts = {**vars(one), "computed": one.computed}
            report["counts"].append({"engine": name, "message": message, "round": number, **counts})
    console.print(f"prompt positions; share: of those that could be shared, in blocks of {block}", markup=False)
    console.print(table, markup=False)
    if out is not None:
        write_json(out, report)
    return report
