"""What a benchmark is: samples, how an answer is read out of a response, and how it is scored."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from agents.errors import MissingDependency, TaskError, UnknownName
from agents.observation import Observation
from agents.registry import check_options, load, load_class, names
from evals.sample import Loaded, Sample, Score
from evals.selection import select
from kernels.names import did_you_mean

GROUP = "debate.tasks"
Choose = Callable[[Sequence[Sample]], Sequence[Sample]]
# The names that splits have here; a source's own names (`val`, `valid`, …) are mapped to them.
SPLITS = ("train", "validation", "test", "dev")


@dataclass(frozen=True)
class Shot:
    """A worked example for the prompt.

    Attributes:
        question: its words.
        solution: the answer, worked out.
        observations: what it shows besides the words. No prompt has it; it tells the example from other questions.
    """

    question: str
    solution: str
    observations: tuple[Observation, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class TaskInfo:
    """What `debate tasks` and docs/tasks.md say about a task.

    Attributes:
        kind: `number`, `choice`, `yes/no`, `mathematics`, `text` or `generated`.
        splits: its splits; the first is taken by default.
        source: origin of the data.
        licence: licence of the data, as their publishers state it.
        scoring: rule by which answers are compared.
        needs_data: True where there is no hub source, and --data is the only way.
        extra: the extra of cipher-debate that it needs, if any.
    """

    kind: Literal["number", "choice", "yes/no", "mathematics", "text", "generated"]
    splits: tuple[str, ...]
    source: str
    licence: str
    scoring: str
    needs_data: bool = False
    extra: str = ""


class Task(ABC):
    """A benchmark.

    Args:
        seed: random seed of generated questions.
        data: a local file or folder, used instead of the hub.
        split: one of `info.splits` (default: the first).
        variant: part of the name after the colon, e.g. a subject of MMLU.
        num_fewshot: number of worked examples in the prompt, for tasks that have rows for them (default: the task's own).
        revision: a commit, tag or branch of the hub's repository, used instead of the task's.

    Raises:
        TaskError: a split that it does not have.
        UnknownName: a variant that it does not have.
    """

    name: str
    info: ClassVar[TaskInfo]
    # Whether it reads a file whose columns the user names.
    takes_columns: ClassVar[bool] = False
    # How many worked examples it has by default.
    default_shots: ClassVar[int] = 0

    def __init__(
        self,
        *,
        seed: int = 0,
        data: Path | None = None,
        split: str | None = None,
        variant: str | None = None,
        num_fewshot: int | None = None,
        revision: str | None = None,
    ) -> None:
        self.check_variant(variant)
        self.seed, self.data, self.variant, self.revision = seed, data, variant, revision
        if variant is not None:
            self.name = f"{self.name}:{variant}"
        splits = self.info.splits
        if split is not None and split not in splits:
            raise TaskError(
                f"task {self.name!r} has no split {split!r}. It has: {', '.join(splits)}.{did_you_mean(split, splits)}"
            )
        self.split = split or splits[0]
        if num_fewshot is not None and num_fewshot < 0:
            raise TaskError(f"--num_fewshot must be at least 0; got {num_fewshot}")
        self.num_fewshot = self.default_shots if num_fewshot is None else num_fewshot
        # Whether the user asked, rather than the task's own habit.
        self.asks_for_shots = bool(num_fewshot)

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return what may stand after the colon of the name."""
        return ()

    @classmethod
    def check_variant(cls, variant: str | None) -> None:
        """Raise TaskError or UnknownName for a variant that the task does not have."""
        known = cls.variants()
        if variant is not None and variant not in known:
            if not known:
                raise TaskError(f"task {cls.name!r} has no variants: write {cls.name}, not {cls.name}:{variant}")
            raise UnknownName(f"variant of task {cls.name!r}", variant, known)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that there are; the first is taken by default."""
        return self.info.splits

    @abstractmethod
    def load(self, at_least: int | None = None) -> Loaded:
        """Return every sample of the split, with counts; of a generated task at least so many.

        Raises:
            TaskError: a file or row that cannot be used, with its place.
        """

    def load_chosen(self, choose: Choose, shown: Collection[str] = ()) -> Loaded:
        """Return every sample of the split, with counts; of those that are not chosen, what they show may not be read.

        Args:
            choose: samples → those that will be asked.
            shown: words of questions of which some may be left out before they are chosen from, by what they show.
        """
        return self.load()

    def samples(self, limit: int | None = None) -> Sequence[Sample]:
        """Return the first `limit` samples; all without a limit."""
        return select(self.load(limit).samples, limit=limit)

    def shots(self) -> tuple[Shot, ...]:
        """Return the worked examples for the prompt; their rows are not among the samples."""
        return ()

    def solution(self, sample: Sample) -> str:
        """Return a right solution in words, which ends in the answer: what an expert says. The answer alone by default."""
        return f"Answer: {self.spoken(sample)}"

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return how the options of a choice are called, in the order of `sample.options`; () of no choice."""
        return ()

    def spoken(self, sample: Sample) -> str | None:
        """Return the right answer as somebody would say it; None where the target only describes it."""
        return sample.target

    @abstractmethod
    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the answer that a response gives, leniently read, or None; what debates and votes use.

        Args:
            response: the response.
            options: options of the sample, for tasks that recognise an option by its text.
        """

    def extract_strict(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the answer in the form that the task asks for, or None; as lenient as `extract` by default."""
        return self.extract(response, options)

    def same(self, one: str, other: str) -> bool | None:
        """Return whether two extracted answers are one to a vote; equal spellings alone by default.

        None: they may be, and are where there is no third that either of them may be.
        """
        return one == other

    def score(self, answer: str | None, target: str) -> Score:
        """Return the score of an extracted answer."""
        if answer is None:
            return Score("no answer", None, target)
        return Score("correct" if answer == target else "incorrect", answer, target)

    def score_sample(self, answer: str | None, sample: Sample) -> Score:
        """Return the score of an extracted answer to a sample; what it knows beyond the target is used."""
        return self.score(answer, sample.target)

    def read_target(self, given: Any, options: Sequence[str] = ()) -> str:
        """Return the right answer as `extract` would spell it, from however a file writes it.

        Raises:
            TaskError: it is not an answer to this task.
        """
        text = str(given).strip()
        if not text:
            raise TaskError("the target is empty")
        return text


def create_task(
    name: str,
    *,
    seed: int = 0,
    data: Path | None = None,
    split: str | None = None,
    num_fewshot: int | None = None,
    revision: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Task:
    """Return a task by its registered name, name:variant, or a dotted path.

    Args:
        name: e.g. `gsm8k`, `mmlu:formal_logic`, `package.module:Class`.
        seed: random seed of generated questions.
        data: a local file or folder, used instead of the hub.
        split: train, validation, test or dev (default: the task's first).
        num_fewshot: number of worked examples in the prompt (default: the task's own).
        revision: revision of the hub's repository, used instead of the task's.
        columns: names of the columns of your own file, e.g. `{"question": "prompt"}`; only for tasks that read one.
    """
    base, variant = split_name(name)
    # Only what was asked for is passed on, so that a task need not take what it has no use for.
    asked = {"split": split, "variant": variant, "num_fewshot": num_fewshot, "revision": revision, "columns": columns}
    given = {key: value for key, value in asked.items() if value is not None}
    made: Any = load_class(base, "task", GROUP, Task)
    if columns and not made.takes_columns:
        raise TaskError(
            f"--columns names the columns of your own questions (--task file); {name} knows those of its files"
        )
    check_options(f"task {name!r}", {"seed": seed, "data": data, **given}, made)
    task: Task = made(seed=seed, data=data, **given)
    return task


def check_task_name(name: str) -> None:
    """Check that a task's name, `name:variant` or dotted path stands for a task; none is made, and nothing is read.

    Raises:
        UnknownName, TaskError: no such task, or no such variant of it.
        MissingDependency: it is there, and needs a package that is not.
    """
    base, variant = split_name(name)
    load_class(base, "task", GROUP, Task).check_variant(variant)


def split_name(name: str) -> tuple[str, str | None]:
    """Return a task's registered name and its variant: `mmlu:formal_logic` → (`mmlu`, `formal_logic`)."""
    base, colon, variant = name.partition(":")
    return (base, variant) if colon and base in names(GROUP) else (name, None)


def task_classes() -> dict[str, type[Task] | MissingDependency]:
    """Return every registered task's class, or what it lacks, by name."""
    found: dict[str, type[Task] | MissingDependency] = {}
    for name in names(GROUP):
        try:
            found[name] = load(name, "task", GROUP)
        except MissingDependency as error:
            found[name] = error
    return found
