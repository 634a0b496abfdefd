"""What the run folder of a world says: every row's outcomes beside the optimum, and what readers and hearers believed.

Q questions, L places, A symbols.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.errors import RunError
from agents.json_text import parse_json
from agents.message import Message
from debate.config.load import load_config
from debate.run_folder.reader import DebateRecord, RunReader
from debate.transcript import TurnKey
from evals.samples import read_samples
from evals.task import create_task
from evals.tasks.evidence import Floats, Line, World, first_likeliest, pooled, posterior, read_lines
from evals.tasks.witnesses import DEFAULT, Witnesses
from evals.training.testimony import IN_SHARES
from evals.training.vocabulary import make_tokenizer
from evals.witnesses.stated import Stated, stated

Counts = NDArray[np.float64]
# What a symbol's probability is taken for at least, of beliefs whose likeliest tokens alone are kept.
LEAST = 1e-6
FIRST, SECOND = "first", "second"
# Ends the name of a row that reads the shares which the others state in another row, and makes the best of them.
READ = "-read"


@dataclass(frozen=True)
class Row:
    """One method over the questions.

    Attributes:
        right: [Q], 1 where the whole string is.
        places: [Q], the share of right places.
        tokens: [Q], generated in the whole debate.
    """

    right: Counts
    places: Counts
    tokens: Counts


@dataclass(frozen=True)
class Beliefs:
    """What one agent believed at each place of all questions, beside what it may have: N = Q L places.

    Attributes:
        held: [N, A], its own.
        own: [N, A], the exact belief after what it sees.
        others: [N, A], after what the others see.
        right: [N], the symbol that is right.
        levels: [N], noise of the other witness in tenths; of several the first's.
    """

    held: Floats
    own: Floats
    others: Floats
    right: NDArray[np.int64]
    levels: NDArray[np.int64]


@dataclass(frozen=True)
class WorldRun:
    """The run of one world by one training seed.

    Attributes:
        path: its folder.
        name: of the world; of a file (`--data`) the file's without its ending.
        world: how strings are hidden and seen.
        questions: their ids, in order.
        rows: method → outcomes; `bayes` among them, the best decision with all that everyone saw, and METHOD-read, the best
            decision after the shares that were stated in METHOD.
        reader: what the second witness believed before it heard anything, at temperature 1; None where no row shows it.
        hearers: row → what the deciding witness believed at the end, of rows in which its temperature is 1.
        digest: SHA-256 of every reading and decision, in order.
        stated: row → how the others state their beliefs, of rows in which shares are stated in text.
    """

    path: Path
    name: str
    world: World
    questions: tuple[str, ...]
    rows: Mapping[str, Row]
    reader: Beliefs | None
    hearers: Mapping[str, Beliefs]
    digest: str
    stated: Mapping[str, Stated] = field(default_factory=dict)


@dataclass
class _Said:
    """What one debate came to, in words."""

    texts: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    tokens: int = 0
    answer: str | None = None
    is_decided: bool = False


def read_world(path: Path) -> WorldRun:
    """Return what a run of the task `witnesses` came to.

    Raises:
        RunError: it is no such run, or a question is unanswered in one row.
    """
    run, config = RunReader(path), load_config(path / "config.yaml", is_record=True)
    # `--data` is in the journal alone, and wins over the config's.
    file = (run.state.config or {}).get("asked", {}).get("data") or config.data
    data = None if file is None else Path(file)
    task = create_task(config.task, seed=config.seed, data=data)
    if not isinstance(task, Witnesses):
        raise RunError(f"{path} is a run of {config.task}; the table is of runs of the task witnesses")
    world, samples = task.world, read_samples(path)
    targets = {sample.id: sample.target for sample in samples}
    lines = {sample.id: read_lines(sample.question) for sample in samples}
    vocabulary = _letters(world)
    rows, hearers, stated_in, reader = {"bayes": _bayes(world, targets, lines)}, {}, {}, None
    digest = hashlib.sha256()
    for method in run.methods:
        said = _said(run, method)
        if any(question not in said or not said[question].is_decided for question in targets):
            raise RunError(f"{path}: {method} has not been asked every question; run the same command again")
        rows[method] = _row(said, targets, task)
        for question in targets:
            digest.update(f"{method} {question} {' '.join(said[question].texts)} {said[question].answer}\n".encode())
        settings = load_config(path / method / "config.yaml", is_record=True)
        if settings.prompts == IN_SHARES and SECOND in settings.agents:
            speakers = [name for name in settings.agents if name != FIRST]
            statements = {question: [said[question].others.get(name, "") for name in speakers] for question in targets}
            stated_in[method], answers = stated(world, statements, lines)
            rows[f"{method}{READ}"] = _answered(answers, targets, [said[question].tokens for question in targets])
        if settings.message != "cipher" or settings.agents[FIRST].temperature != 1:
            continue
        # Messages are read of these rows alone: their tensors take most of the time.
        records = list(run.debates(method))
        hearers[method] = _beliefs(records, TurnKey(settings.rounds, FIRST), 0, targets, lines, world, vocabulary)
        if reader is None and SECOND in settings.agents and settings.agents[SECOND].temperature == 1:
            reader = _beliefs(records, TurnKey(1, SECOND), 1, targets, lines, world, vocabulary)
    name = config.task.partition(":")[2] or DEFAULT if data is None else data.stem
    return WorldRun(path, name, world, tuple(targets), rows, reader, hearers, digest.hexdigest(), stated_in)


def _said(run: RunReader, method: str) -> dict[str, _Said]:
    """Return question → what its debate came to."""
    found: dict[str, _Said] = {}
    for line in run.transcript_lines(method):
        record = parse_json(line)
        debate = found.setdefault(record["question"], _Said())
        if record["kind"] == "turn":
            debate.texts.append(record["text"])
            if record["round"] == 1 and record["agent"] != FIRST:
                debate.others[record["agent"]] = record["text"]
            debate.tokens += record["usage"]["generated_tokens"]
        elif record["kind"] == "decision":
            debate.answer, debate.is_decided = record.get("answer"), True
    return found


def _row(said: Mapping[str, _Said], targets: Mapping[str, str], task: Witnesses) -> Row:
    scores = [task.score(said[question].answer, target) for question, target in targets.items()]
    right = np.array([float(score.value == "correct") for score in scores])
    places = np.array([score.credit or 0.0 for score in scores])
    return Row(right, places, np.array([float(said[question].tokens) for question in targets]))


def _bayes(world: World, targets: Mapping[str, str], lines: Mapping[str, Sequence[Line]]) -> Row:
    """Return what the likeliest string after all that everyone saw comes to, of equals the first."""
    answers = {}
    for question in targets:
        answers[question] = first_likeliest(world, pooled([posterior(world, line) for line in lines[question]]))
    return _answered(answers, targets, [0] * len(targets))


def _answered(answers: Mapping[str, str], targets: Mapping[str, str], tokens: Sequence[int]) -> Row:
    """Return the outcomes of computed answers."""
    pairs = [(answers[question], target) for question, target in targets.items()]
    right = np.array([float(answer == target) for answer, target in pairs])
    places = np.array([np.mean([a == b for a, b in zip(answer, target, strict=True)]) for answer, target in pairs])
    return Row(right, places, np.array(tokens, dtype=float))


def _beliefs(
    records: Sequence[DebateRecord],
    key: TurnKey,
    witness: int,
    targets: Mapping[str, str],
    lines: Mapping[str, Sequence[Line]],
    world: World,
    vocabulary: Mapping[int, int],
) -> Beliefs:
    held, own, others, right, levels = [], [], [], [], []
    for record in records:
        question = record.transcript.question.id
        turn = next(turn for turn in record.transcript.turns if turn.key == key)
        if turn.message.num_tokens != world.length:
            # A message of another length has no belief for each place; how many there are shows in the accuracy.
            continue
        seen = [posterior(world, line) for line in lines[question]]
        theirs = [line for place, line in enumerate(lines[question]) if place != witness]
        held.append(_over_symbols(turn.message, world, vocabulary))
        own.append(seen[witness])
        others.append(pooled([belief for place, belief in enumerate(seen) if place != witness]))
        right.append([world.letters.index(symbol) for symbol in targets[question]])
        levels.append(theirs[0].levels)
    shape = (-1, world.symbols)
    return Beliefs(
        np.array(held).reshape(shape),
        np.array(own).reshape(shape),
        np.array(others).reshape(shape),
        np.array(right, dtype=np.int64).reshape(-1),
        np.array(levels, dtype=np.int64).reshape(-1),
    )


def _over_symbols(message: Message, world: World, vocabulary: Mapping[int, int]) -> Floats:
    """Return what a message's kept beliefs say of each symbol, [L, A], normed over them."""
    assert message.cipher is not None
    found = np.full((world.length, world.symbols), LEAST)
    ids, weights = message.cipher.top_ids.tolist(), message.cipher.top_probabilities.tolist()
    for place in range(world.length):
        for token, weight in zip(ids[place], weights[place], strict=True):
            if (symbol := vocabulary.get(token)) is not None:
                found[place, symbol] = max(weight, LEAST)
    normed: Floats = found / found.sum(axis=1, keepdims=True)
    return normed


def _letters(world: World) -> dict[int, int]:
    """Return token id → symbol of the tokenizer of the tiny debaters."""
    tokenizer = make_tokenizer()
    return {tokenizer.convert_tokens_to_ids(letter): place for place, letter in enumerate(world.letters)}


def run_folders(out: Path) -> Iterator[tuple[int, Path]]:
    """Yield training seed and run folder of every world that was played: OUT/seed-N/WORLD."""
    for folder in sorted(out.glob("seed-*/*/run.json")):
        seed = folder.parent.parent.name.removeprefix("seed-")
        if seed.isdigit():
            yield int(seed), folder.parent
