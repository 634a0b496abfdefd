"""Every task of reasoning-gym, `reasoning_gym:NAME`: generated, with a verifier of its own, nothing downloaded.

Seeds of neighbouring numbers share questions there (item i of seed s is item i−1 of seed s+1), so the seed is drawn from
(name, split, seed): splits and seeds do not overlap but by chance of about size / 2³¹.

Questions are drawn in the scoring process as well, with a fixed hash seed: some generators walk through sets, and would
give other questions in every process.

A verifier's mark is the credit; `correct` is the full mark. Verifiers run in the scoring process, with limits of time and
memory, and guarded (evals/scoring/reasoning_gym.py).
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from agents.errors import MissingDependency, TaskError
from evals.sample import Loaded, Sample, Score
from evals.scoring.bounded import OutOfTime, WorkerDied, worker
from evals.scoring.reasoning_gym import library
from evals.scoring.run_ons import answer_part
from evals.scoring.text import after_cues, boxed
from evals.task import Task, TaskInfo

DEFAULT_SIZE = 200
TIMEOUT_S = 20.0
GENERATE_S = 600.0
LONGEST = 20_000
# What is not one task: it is made of others, by a config.
LEFT_OUT = ("composite",)
_ANSWER = re.compile(r"<answer>(.{0,20000}?)</answer>", re.DOTALL | re.IGNORECASE)


class ReasoningGym(Task):
    """One of its tasks."""

    name = "reasoning_gym"
    info = TaskInfo(
        kind="generated",
        splits=("test", "validation", "train"),
        source="reasoning-gym",
        licence="Apache-2.0",
        scoring="the task's own verifier; correct is the full mark",
        extra="evals",
    )

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if self.variant is None:
            raise TaskError(
                f"reasoning_gym is many tasks: write reasoning_gym:NAME. Names: {', '.join(self.variants())}."
            )
        if self.data is not None:
            raise TaskError(f"{self.name} is generated; it takes no data file. Use --seed for other questions.")
        self.task = self.variant
        self._by_target: dict[str, list[Sample]] = {}

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the names of the tasks that are installed."""
        return tuple(sorted(name for name in library().DATASETS if name not in LEFT_OUT))

    def load(self, at_least: int | None = None) -> Loaded:
        """Return `at_least` generated samples, 200 by default.

        The size is a multiple of the default, since of a few tasks a question depends on it.
        """
        count = DEFAULT_SIZE if at_least is None else at_least
        size = DEFAULT_SIZE * max(1, -(-count // DEFAULT_SIZE))
        place = {"task": self.task, "size": size, "seed": self._drawn_seed()}
        try:
            reply = self._ask({"do": "generate", **place, "count": count}, GENERATE_S)
        except (OutOfTime, WorkerDied) as error:
            reason = str(error) or f"it took more than {GENERATE_S:g} s"
            raise TaskError(
                f"{self.name}: cannot draw {count} questions: {reason}. Ask for fewer with --limit."
            ) from error
        drawn = reply["questions"]
        samples = tuple(self._sample(drawn[index], {**place, "index": index}) for index in range(count))
        self._by_target = {}
        for sample in samples:
            self._by_target.setdefault(sample.target, []).append(sample)
        return Loaded(samples, count, source=f"reasoning-gym, {self.split}, seed {self.seed}")

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return what stands in the last `<answer>…</answer>` or box, else all that is said after the last `Answer:`.

        Answers may be of several lines. Without any of these it is the last line.
        """
        text = answer_part(response)
        if (found := self.extract_strict(response)) is not None:
            return found
        if inner := [said for said in boxed(text) if said]:
            return _bare(inner[-1])
        for rest in after_cues(text):
            if said := _bare(rest):
                return said
        return _bare(text.strip().rpartition("\n")[2]) or None

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return what stands in the last `<answer>…</answer>`, else after `Answer:` up to the end; else None."""
        text = answer_part(response)
        if tagged := _ANSWER.findall(text):
            return _bare(tagged[-1]) or None
        _, mark, rest = text.rpartition("Answer:")
        return (_bare(rest) or None) if mark else None

    def score(self, answer: str | None, target: str) -> Score:
        """Return the verifier's verdict for the question that has this target.

        Raises:
            TaskError: several questions have it and the verdicts differ; `score_sample` knows which was asked.
        """
        if answer is None:
            return Score("no answer", None, target)
        asked = self._by_target.get(target, [])
        if not asked:
            raise TaskError(f"{self.name}: no loaded question has the target {target[:60]!r}; use score_sample")
        scores = list(dict.fromkeys(self.score_sample(answer, sample) for sample in asked))
        if len(scores) > 1:
            raise TaskError(
                f"{self.name}: {len(asked)} questions have this target; use score_sample, which knows which"
            )
        return scores[0]

    def score_sample(self, answer: str | None, sample: Sample) -> Score:
        """Return the verifier's verdict; `failed` where it took too long."""
        if answer is None:
            return Score("no answer", None, sample.target)
        place = {key: sample.metadata[key] for key in ("task", "size", "seed", "index")}
        try:
            reply = self._ask({"do": "gym", **place, "answer": answer[:LONGEST]}, TIMEOUT_S)
        except OutOfTime:
            return Score("failed", answer, sample.target, reason=f"the verifier took more than {TIMEOUT_S:g} s")
        except WorkerDied as error:
            return Score("failed", answer, sample.target, reason=str(error))
        full = reply["credit"] >= 1
        return Score("correct" if full else "incorrect", answer, sample.target, reply["credit"], reply["reason"])

    def read_target(self, given: Any, options: Sequence[str] = ()) -> str:
        """Return the target as it stands."""
        return str(given).strip()

    def _ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        reply = worker().ask(request, timeout_s)
        if missing := reply.get("missing"):
            raise MissingDependency(self.name, str(missing), "evals")
        return reply

    def _sample(self, drawn: dict[str, str], place: dict[str, Any]) -> Sample:
        split = "" if self.split == "test" else f"-{self.split}"
        name = f"{self.task}{split}-{self.seed}-{place['index']:04d}"
        return Sample(name, drawn["question"], drawn["target"], (), place)

    def _drawn_seed(self) -> int:
        drawn = sha256(f"{self.task}|{self.split}|{self.seed}".encode()).digest()
        return int.from_bytes(drawn[:4], "big") >> 1


def _bare(said: str) -> str:
    """Return an answer without the marks around it, and without the full stop of a single word or number."""
    text = said.strip().strip("*`").strip().strip("$").strip()
    return text if " " in text or "\n" in text else text.removesuffix(".")
