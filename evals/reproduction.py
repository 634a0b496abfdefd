"""What an experiment of the paper came to here, and how it reads: our figures beside the paper's, and what stands between."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evals import paper
from evals.analysis import blocks
from evals.analysis.blocks import Block
from evals.analysis.effects import HOW
from evals.analysis.run_record import MethodRecord
from evals.analysis.summary import Share
from evals.paper import Figure


@dataclass(frozen=True)
class Line:
    """One figure of ours, and the paper's where there is one.

    Attributes:
        task, method, what: which figure, e.g. `accuracy` or `agreement after round 2`.
        ours: with its interval; None where it was not measured, `note` says why.
        paper: model → printed figure.
        note: what stands between the two.
        is_dependent: whether a question depends on those before it, so that no interval over questions holds.
    """

    task: str
    method: str
    what: str
    ours: Share | None
    paper: Mapping[str, Figure] = field(default_factory=dict)
    note: str = ""
    is_dependent: bool = False


@dataclass(frozen=True)
class Ending:
    """How a row's turns ended: a figure says little where they were cut off or nothing was answered.

    Attributes:
        task, method: which row.
        questions, unanswered: asked, and decided without an answer.
        turns, cut: generated, and ended by the length limit.
        max_tokens: the limit.
    """

    task: str
    method: str
    questions: int
    unanswered: int
    turns: int
    cut: int
    max_tokens: int

    @classmethod
    def of(cls, task: str, method: MethodRecord) -> "Ending":
        """Count a row; what controls say is not generated."""
        turns = [turn for debate in method.debates for turn in debate.turns if turn.generated_tokens]
        return cls(
            task,
            method.name,
            questions=len(method.debates),
            unanswered=sum(debate.answer is None for debate in method.debates),
            turns=len(turns),
            cut=sum(turn.finish_reason == "length" for turn in turns),
            max_tokens=method.config.max_tokens,
        )


@dataclass(frozen=True)
class Reproduction:
    """An experiment that was run.

    Attributes:
        name, title: which.
        model, questions: ours: what was run, and the most questions asked of a task.
        lines: the figures.
        caveats: sentences that belong beside them.
        sentences: paired differences, by task.
        conditions: how ours were asked: model, engine, form, seed.
        endings: how the turns of each row ended.
        effects: what messages do to their hearers: task, row, and the table's header and rows.
        hashes: of each task's run (evals/analysis/run_hash.py).
    """

    name: str
    title: str
    model: str
    questions: int
    lines: tuple[Line, ...]
    caveats: tuple[str, ...]
    sentences: tuple[tuple[str, str], ...]
    conditions: str = ""
    endings: tuple[Ending, ...] = ()
    effects: tuple[tuple[str, str, tuple[tuple[str, ...], ...]], ...] = ()
    hashes: tuple[tuple[str, str], ...] = ()


def cells(made: Reproduction) -> list[list[str]]:
    """Return header and rows of the comparison."""
    models = list(dict.fromkeys(model for line in made.lines for model in line.paper))
    # Figures that say of which model they are stand in one column.
    is_narrow = len(models) > 1 and all(len(line.paper) < 2 for line in made.lines)
    columns = ["paper, %"] if is_narrow else [f"paper, {model}" for model in models]
    rows = [["task", "method", "figure", "ours, %", "95 %", *columns, "note"]]
    for line in made.lines:
        ours, interval = "–", "–"
        if line.ours is not None:
            ours = f"{100 * line.ours.value:.1f} ({line.ours.count}/{line.ours.total})"
            if line.ours.total and not line.is_dependent:
                interval = f"{100 * line.ours.interval.low:.0f}–{100 * line.ours.interval.high:.0f}"
        printed = [str(line.paper[model]) if model in line.paper else "" for model in models]
        if is_narrow:
            printed = ["".join(f"{figure} ({model})" for model, figure in line.paper.items())]
        rows.append([line.task, line.method, line.what, ours, interval, *printed, line.note])
    return rows if any(row[-1] for row in rows[1:]) else [row[:-1] for row in rows]


def ending_cells(made: Reproduction) -> list[list[str]]:
    """Return header and rows of how turns ended."""
    rows = [["task", "method", "no answer", "turns cut off at the limit"]]
    for row in made.endings:
        cut = f"{row.cut}/{row.turns} at {row.max_tokens} tokens" if row.turns else "none generated"
        rows.append([row.task, row.method, f"{row.unanswered}/{row.questions}", cut])
    return rows


def markdown(made: Reproduction) -> str:
    """Return the comparison as Markdown."""
    lines = [f"# {made.title}", "", f"Ours: {made.conditions or made.model}. The paper's: {paper.SOURCE}.", ""]
    lines += [f"- {sentence}" for sentence in made.caveats]
    lines += ["", *_table(cells(made))]
    if made.endings:
        lines += ["", "How the turns ended:", "", *_table(ending_cells(made))]
    for task, method, rows in made.effects:
        lines += ["", f"{task}, {method}: what a control in a message's place does to its hearer:", ""]
        lines += [*_table(rows), "", HOW]
    if made.sentences:
        lines += ["", "Paired differences over the same questions:", ""]
        lines += [f"- {task}: {sentence}" for task, sentence in made.sentences]
    lines += ["", *(f"Run {hash_} ({task})." for task, hash_ in made.hashes)] if made.hashes else []
    return "\n".join(lines) + "\n"


def before(made: Reproduction) -> list[Block]:
    """Return the comparison as blocks of a page, to stand before the runs' own."""
    header, *rows = cells(made)
    found = [blocks.items(made.caveats), blocks.table("Ours beside the paper's", header, rows)]
    if made.endings:
        header, *rows = ending_cells(made)
        found.append(blocks.table("How the turns ended", header, rows))
    return [*found, blocks.note(paper.SOURCE)]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    def row(texts: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |"

    header, *others = rows
    return [row(header), "|" + "---|" * len(header), *map(row, others)]
