"""The prompt that a turn was given, rendered again from the prompt files, with the messages in it as slots.

A journal says whom a turn heard, not the words around it. The run's facts have a hash of each agent's prompt files and worked
examples: where they are still those, the prompt is the one that was read, and otherwise the page says so.
"""

import contextlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from agents.beliefs.cards import is_belief_backend
from agents.errors import DebateError, RunError
from agents.fingerprint import ModelFingerprint
from agents.prompts import Prompts, continued
from agents.speakers.roles import names_kind
from agents.tokenization import is_chat
from debate.config.prompt_files import prompts_of
from debate.run_folder.facts import read_facts
from debate.run_folder.journal import Record
from debate.transcript import TurnKey
from evals.provenance import prompt_hash
from evals.task import create_task
from evals.viewer.debates import Plans, heard_forms, own_turn
from evals.viewer.index import RunIndex
from evals.viewer.messages import Messages

ANSWER = "Answer: "


class Slot(str):
    """Where a message stood in a prompt: a text of its own for the template, and which turn it was.

    Attributes:
        facts: round, agent, form.
    """

    facts: dict[str, Any]

    def __new__(cls, text: str, facts: dict[str, Any]) -> "Slot":
        """Return a slot with a text."""
        made = super().__new__(cls, text)
        made.facts = facts
        return made


@dataclass(frozen=True)
class Found:
    """Prompt files, and whether they are those that the run read: None where the run did not keep a hash."""

    files: Prompts
    is_same: bool | None


class PromptMaker:
    """Renders the prompts of a run again."""

    def __init__(self, index: RunIndex, plans: Plans, messages: Messages) -> None:
        self._index, self._plans, self._messages = index, plans, messages
        self._found = lru_cache(maxsize=None)(self._find)
        # What agents share is read, compiled and hashed once.
        self._files: dict[Prompts, Prompts] = {}
        self._hash = lru_cache(maxsize=None)(prompt_hash)
        self._facts: tuple[tuple[int, int], dict[str, Any]] = (0, 0), {}
        # Method and question → agent → turns, of questions that were decided before others.
        self._spoken: dict[tuple[str, str], Counter[str]] = {}

    def of(
        self, method: str, record: Record, said: dict[tuple[int, str], Record], model: ModelFingerprint
    ) -> dict[str, Any]:
        """Return a turn's prompt as JSON values, or why there is none.

        Args:
            method: of which the turn is.
            record: of the turn.
            said: the debate's records by round and agent.
            model: that spoke.
        """
        config, name = self._index.method_config(method), record["agent"]
        keys = config.agents.get(name)
        if keys is None:
            return {"none": f"{name} is not an agent of the method's config."}
        if is_belief_backend(keys.backend or config.backend):
            return {"none": "A specialist reads the question's observations, and no prompt."}
        if names_kind(keys.role):
            return {"none": f"The role {keys.role} speaks by rule, and reads no prompt."}
        try:
            read = self._read(method, record, said)
        except RunError as error:
            return {"none": f"The prompt cannot be rendered again: {error}"}
        if controls := [control for one in read for control in one.get("controls", [])]:
            heard = ", ".join(f"{content} for {agent} in round {number}" for number, agent, content, *_ in controls)
            return {
                "none": f"It heard content controls in place of messages ({heard}), which the journal does not hold."
            }
        if reduced := [less for one in read for less in one.get("reduced", [])]:
            heard = ", ".join(
                f"{one['after']} of {one['before']} for {one['of'][1]} in round {one['of'][0]}" for one in reduced
            )
            return {
                "none": f"It heard fewer positions of messages ({heard}), and what was left of them is not in the journal."
            }
        try:
            found = self._found(method, name)
            *earlier, prompt = rendered = [self._render(found.files, method, one, said) for one in read]
            answers = [self._said_slot(method, one, said) for one in read[1:]]
            prompt = continued(prompt, [*zip(earlier, answers, strict=True)])
            turns = [{"role": turn.role, "parts": [_part(part) for part in turn.parts]} for turn in prompt.turns]
            if count := self._remembered(method, record):
                # What it read of other questions is on their pages.
                turns.insert(len(rendered[0].turns) - 1, {"role": "user", "parts": [{"text": _of_others(count)}]})
        except (DebateError, OSError, ValueError) as error:
            return {"none": f"The prompt cannot be rendered again: {error}"}
        tokenizer = self._messages.names(method).tokenizer(model)
        is_plain = prompt.format == "plain" or (tokenizer is not None and not is_chat(prompt, tokenizer))
        is_known = prompt.format != "auto" or tokenizer is not None
        return {
            "exact": found.is_same,
            "form": "plain" if is_plain else "chat" if is_known else "auto",
            "cue": prompt.cue if is_plain else None,
            "turns": turns,
        }

    def _render(self, files: Prompts, method: str, record: Record, said: dict[tuple[int, str], Record]) -> Any:
        exchange, config = self._plans.of(method), self._index.method_config(method)
        question = self._index.text(record["question"])
        others: list[Any] = [_heard(one, said) for one in heard_forms(exchange, config, record, said)]
        own = self._own_slot(method, record, said)
        if own is None:
            return files.review(question, others) if others else files.initial(question)
        return files.debate(question, own, others)

    def _read(self, method: str, record: Record, said: dict[tuple[int, str], Record]) -> list[Record]:
        """Return the turns whose prompts a turn read, the oldest first: its own alone where the agent has no memory."""
        found, memory = [record], self._memory(method, record)
        while memory is not None:
            own = self._own(method, found[0])
            if own is None:
                break
            if (own.round, own.agent) not in said:
                raise RunError(f"what {own.agent} said in round {own.round} is not in the journal")
            found.insert(0, said[own.round, own.agent])
        gone = record.get("forgotten", 0) - (self._before(method, record) if memory == "questions" else 0)
        return found[max(0, gone) :]

    def _memory(self, method: str, record: Record) -> str | None:
        return self._index.method_config(method).agents[record["agent"]].memory

    def _remembered(self, method: str, record: Record) -> int:
        """Return how many turns of earlier questions a turn's prompt began with."""
        if self._memory(method, record) != "questions":
            return 0
        return max(0, self._before(method, record) - int(record.get("forgotten", 0)))

    def _before(self, method: str, record: Record) -> int:
        """Return how many turns an agent had in the questions that were decided before a turn's own."""
        total = 0
        for question in list(self._index.state.methods[method].debates):
            if question == record["question"]:
                break
            key = (method, question)
            if key not in self._spoken:
                turns, end = self._index.records(method, question)
                # What was given up is not remembered. Debates before one that has begun are over.
                is_decided = end is not None and end["kind"] == "decision"
                self._spoken[key] = Counter(turn["agent"] for turn in turns) if is_decided else Counter()
            total += self._spoken[key][record["agent"]]
        return total

    def _own(self, method: str, record: Record) -> TurnKey | None:
        exchange = self._plans.of(method)
        if exchange is None and record["round"] > 1:
            raise RunError("the run's topology cannot be built any more, so which own message stood in it is not known")
        return own_turn(exchange, record)

    def _own_slot(self, method: str, record: Record, said: dict[tuple[int, str], Record]) -> Any:
        """Return the slot of an agent's own last message in a turn's prompt; None where there was none."""
        own = self._own(method, record)
        if own is None or [own.round, own.agent] in record.get("left_out", []):
            return None
        return self._said_slot(method, record, said)

    def _said_slot(self, method: str, record: Record, said: dict[tuple[int, str], Record]) -> Any:
        """Return the slot of what an agent had said last before a turn, as that turn's agent reads it."""
        own = self._own(method, record)
        assert own is not None, "a first turn has nothing before it"
        speech = said.get((own.round, own.agent))
        read_out = [own.round, own.agent] in record.get("read_out", [])
        form = "text" if speech is None or speech["encoder"] is None else "reading" if read_out else "cipher"
        facts = {"round": own.round, "agent": own.agent, "form": form, "own": True}
        return Slot(_text(facts, said), facts)

    def _find(self, method: str, name: str) -> Found:
        config = self._index.method_config(method)
        facts = self._noted().get(method, {})
        plain = self._shared(prompts_of(config, name))
        wanted, summaries = facts.get(name), config.overflow == "summarise"
        if wanted is None:
            return Found(plain, None)
        if self._hash(plain, summaries=summaries) == wanted:
            return Found(plain, is_same=True)
        shown = self._shots
        with_shots = self._shared(prompts_of(config, name, shown))
        return Found(with_shots if shown else plain, is_same=self._hash(with_shots, summaries=summaries) == wanted)

    def _noted(self) -> dict[str, Any]:
        """Return what run.json says of the methods' prompts; it is read again where it was written again."""
        path = self._index.path / "run.json"
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            if (changed := (found.st_mtime_ns, found.st_size)) != self._facts[0]:
                self._facts = changed, read_facts(path).get("prompts", {})
        return self._facts[1]

    def _shared(self, files: Prompts) -> Prompts:
        return self._files.setdefault(files, files)

    @cached_property
    def _shots(self) -> list[tuple[str, str]]:
        """Return the task's worked examples, where its data was a file that lies here; nothing is fetched."""
        asked, config = (self._index.state.config or {}).get("asked", {}), self._index.config
        data = Path(asked["data"]) if asked.get("data") else None
        if data is None or not data.exists():
            return []
        try:
            task = create_task(config.task, seed=config.seed, num_fewshot=asked.get("num_fewshot"), data=data)
            return [(shot.question, shot.solution) for shot in task.shots()]
        except Exception:  # a task's loader may fail in any way on another file than the run's
            return []


def _heard(one: dict[str, Any], said: dict[tuple[int, str], Record]) -> Any:
    if one["form"] == "both":
        return Slot(_text(one, said), {**one, "form": "cipher"}), Slot(_text(one, said), {**one, "form": "reading"})
    return Slot(_text(one, said), one)


def _text(one: dict[str, Any], said: dict[tuple[int, str], Record]) -> str:
    """Return a text that no template takes for empty."""
    speech = said.get((one["round"], one["agent"]))
    return "…" if speech is None else speech["text"] or "…"


def _of_others(count: int) -> str:
    return f"⟦{count} earlier turns of its own, prompts and answers, in questions before this one⟧"


def _part(part: Any) -> dict[str, Any]:
    return {"slot": part.facts} if isinstance(part, Slot) else {"text": str(part)}
