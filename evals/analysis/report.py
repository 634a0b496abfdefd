"""A run as a report: tables, sentences, charts, a debate to read, how to run it again. Blocks, which the viewer draws."""

import json
from collections.abc import Sequence

from debate.config.load import to_yaml
from evals.analysis import tables
from evals.analysis.blocks import Block, details, heading, items, note, table, text
from evals.analysis.charts import charts
from evals.analysis.confidence import confidence_blocks
from evals.analysis.diversity import diversity_blocks
from evals.analysis.effects import effect_blocks
from evals.analysis.martingale import change_blocks
from evals.analysis.planned import plan_blocks
from evals.analysis.run_record import MethodRecord
from evals.analysis.stats import Comparison
from evals.analysis.summary import Analysis, Summary, changed_their_minds
from evals.analysis.tables import NOTHING, Column, cells, interval, known, of_beliefs, of_budget, percent
from evals.analysis.verdict import hanging, remark, ties
from evals.plan import read_plan
from evals.provenance import engines_in_words

ACCURACY = (
    Column("method", lambda method: method.name + (" (bound)" if method.is_bound else "")),
    Column("accuracy", lambda method: percent(method.accuracy)),
    Column("95 % interval", lambda method: NOTHING if method.is_dependent else interval(method.accuracy)),
    Column("strict", lambda method: NOTHING if method.strict is None else percent(method.strict)),
    tables.CORRECT,
    tables.NO_ANSWER,
    tables.FAILED,
    Column("asked", lambda method: str(method.asked)),
    Column(
        "any agent right",
        lambda method: NOTHING if method.best_of_agents is None else f"{percent(method.best_of_agents)} (bound)",
    ),
)
COST = (
    tables.METHOD,
    of_budget("turns", lambda spent: f"{spent.turns:,}"),
    tables.GENERATED,
    tables.COMPUTED,
    tables.CACHED,
    of_budget("messages, KiB", lambda spent: f"{spent.message_bytes / 1024:,.1f}"),
    of_budget("wall, s", lambda spent: known(spent.seconds, ",.1f")),
    of_budget("energy", lambda spent: NOTHING if spent.joules is None else f"{spent.joules:,.0f} J"),
)
BELIEF = (
    tables.METHOD,
    tables.BELIEFS,
    tables.EXACT,
    of_beliefs("best option right", lambda held: percent(held.correct)),
    of_beliefs("95 % interval", lambda held: interval(held.correct)),
    of_beliefs("right option's share", lambda held: f"{100 * held.probability:.1f} %"),
    tables.NLL,
    tables.BRIER,
    tables.CALIBRATION,
)


def run_blocks(analysis: Analysis) -> list[Block]:
    """Return the report of a run."""
    record, config = analysis.record, analysis.record.config
    asked = max((method.asked for method in analysis.methods), default=0)
    status = record.facts.get("status", "unknown")
    unfinished = "" if status == "finished" else f" The run is {status}: what follows is of the debates that ended."
    engines = engines_in_words(method.config for method in record.methods)
    questions = "1 question" if asked == 1 else f"{asked} questions"
    return [
        heading(config.task, 2),
        text(f"{questions}, the same for every method. Seed {config.seed}.{unfinished}"),
        *plan_blocks(read_plan(record.path), record, analysis.comparisons),
        *_accuracy(analysis.methods),
        *_comparisons(analysis),
        *_costs(analysis.methods),
        *_beliefs(analysis.methods),
        *_rounds(analysis.methods),
        *change_blocks(record.methods, seed=config.seed),
        *diversity_blocks(record.methods, seed=config.seed),
        *confidence_blocks(record.methods, seed=config.seed),
        *effect_blocks([method.effects for method in record.methods if method.effects is not None]),
        *charts(analysis.methods),
        *_to_read(record.methods),
        *_again(analysis),
        note(f"Spoken by: {engines}."),
    ]


def _accuracy(methods: Sequence[Summary]) -> list[Block]:
    tied = ties(methods)
    bounds = [place for place, method in enumerate(methods) if method.is_bound]
    found = cells(ACCURACY, methods)
    return [
        table("How often each method was right", found.header, found.rows, methods=True, dim=bounds),
        *(text(sentence) for sentence in (tied, hanging(methods)) if sentence),
        note(
            "Wilson intervals. No answer and failed debates count as not correct. Strict: only the form that the task asks "
            "for is read. Any agent right is a bound, not a score: it picks the best agent after the fact, on these questions."
        ),
    ]


def _comparisons(analysis: Analysis) -> list[Block]:
    comparisons: Sequence[Comparison] = analysis.comparisons
    few = remark(analysis)
    if not comparisons:
        return [text(few)] if few else []
    count = len(comparisons)
    return [
        heading("Paired differences"),
        items([comparison.sentence for comparison in comparisons]),
        *([text(few)] if few else []),
        note(
            f"{count} comparison{'' if count == 1 else 's'} over the same questions, p values of exact McNemar tests corrected "
            "together by Holm's method; intervals of the single difference, by Tango's score method. Detectable: the "
            "minimum detectable difference, in points, at 80 % power."
        ),
    ]


def _beliefs(methods: Sequence[Summary]) -> list[Block]:
    holding = [method for method in methods if method.held is not None]
    if not holding:
        return []
    found = cells(BELIEF, holding)
    return [
        heading("Beliefs over the options"),
        table("What deciding agents believed at the end", found.header, found.rows, methods=True),
        note(
            "What the deciding agents' last messages hold over the options, where they say one: NLL in nats, Brier from 0 to "
            "2, expected calibration error in ten bins. Exact: every option is among the tokens that the message kept; a "
            "missing option counts as 0."
        ),
    ]


def _costs(methods: Sequence[Summary]) -> list[Block]:
    found = cells(COST, methods)
    how = "; ".join(dict.fromkeys(method.budget.energy for method in methods))
    return [
        heading("What it cost"),
        table("Turns, tokens, bytes and time of each method", found.header, found.rows, methods=True),
        note(f"Tokens; wall time with the start of engines. Energy: {how}."),
    ]


def _rounds(methods: Sequence[Summary]) -> list[Block]:
    header = [
        "method",
        "round",
        "deciding agent",
        "all agents",
        "agreement",
        "right→wrong",
        "wrong→right",
        "kept right",
    ]
    rows = [
        [
            method.name,
            found.number,
            # In a vote nobody decides.
            NOTHING if len(method.rounds) == 1 and found.agreement is not None else percent(found.deciding),
            percent(found.agents),
            NOTHING if found.agreement is None else f"{100 * found.agreement:.1f} %",
            *((NOTHING,) * 3 if found.number == 1 else (found.right_to_wrong, found.wrong_to_right, found.kept_right)),
        ]
        for method in methods
        for found in method.rounds
    ]
    caption = "Where the debates stood after each round, and how agents' answers moved"
    return [heading("Round by round"), table(caption, header, rows, methods=True)]


def _to_read(methods: Sequence[MethodRecord]) -> list[Block]:
    """Return one debate to read: one in which somebody changed their mind, of the CIPHER row where there is one."""
    spoken = [method for method in methods if any(len(debate.turns) > 1 for debate in method.debates)]
    if not spoken:
        return []
    method = next((method for method in spoken if method.config.message == "cipher"), spoken[-1])
    changed = changed_their_minds(method)
    toward = [debate for debate, before, _ in changed if before.verdict != "correct"]
    debate = (toward or [debate for debate, _, _ in changed] or list(method.debates))[0]
    why = "somebody's answer changed" if changed else "the first one"
    return [
        heading("A debate to read"),
        {"kind": "debate", "method": method.name, "question": debate.question, "text": debate.text, "why": why},
    ]


def _again(analysis: Analysis) -> list[Block]:
    record = analysis.record
    facts = json.dumps(dict(record.facts), indent=1, ensure_ascii=False, sort_keys=True)
    return [
        heading("To run it again"),
        text(
            "config.yaml, each method's own config, the questions (samples.jsonl) and the transcripts are in the run folder. "
            "Same config and seed give the same bytes, except times."
        ),
        details("config", to_yaml(record.config)),
        details("versions, models, prompts", facts),
    ]
