"""A run as one HTML page that needs nothing else: tables, sentences, pictures, a debate to read, how to run it again."""

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.atomic_file import write_atomic
from debate.config.load import to_yaml
from evals.analysis import tables
from evals.analysis.derived import Warn, warn_user
from evals.analysis.run_record import DebateRow, MethodRecord
from evals.analysis.stats import Comparison
from evals.analysis.summary import Analysis, Summary, changed_their_minds
from evals.analysis.tables import NOTHING, Column, cells, interval, known, of_beliefs, of_budget, percent
from evals.provenance import engines_in_words

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #ddd}h3{font-size:1rem}
table{border-collapse:collapse;font-size:.88rem;display:block;overflow-x:auto}
th,td{padding:.25rem .6rem;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{border-bottom:1.5px solid #444}td{border-bottom:1px solid #eee}
tr.bound td{color:#777;font-style:italic}figure{margin:1rem 0}svg{max-width:100%;height:auto}.note{color:#555;font-size:.88rem}
.turn{border-left:3px solid #0072B2;padding:.1rem .8rem;margin:.6rem 0}.turn.cipher{border-color:#D55E00}
.turn pre,details pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:.82rem;margin:.2rem 0}.who{font-weight:600}
li{margin:.3rem 0}
"""


ACCURACY = (
    Column("method", lambda method: method.name + (" (bound)" if method.is_bound else "")),
    Column("accuracy", lambda method: percent(method.accuracy)),
    Column("95 % interval", lambda method: interval(method.accuracy)),
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


NOT_DRAWN = '<p class="note">This picture could not be drawn; the tables have its numbers.</p>'


def write_page(
    analyses: Sequence[Analysis], path: Path, *, title: str = "", before: str = "", warn: Warn = warn_user
) -> Path:
    """Write the page of one run, or of several one after another, and return its path.

    Args:
        analyses: the runs.
        path: the file.
        title: of the page.
        before: HTML that precedes the runs, already escaped.
        warn: told of pictures that fail.

    Raises:
        RunError: the disk does not take it.
    """
    return write_atomic(path, page(analyses, title=title, before=before, warn=warn))


def page(analyses: Sequence[Analysis], *, title: str = "", before: str = "", warn: Warn = warn_user) -> str:
    """Return the HTML. Nothing in it is fetched, and nothing that a model said is markup."""
    named = title or "Debates: " + ", ".join(analysis.record.config.task for analysis in analyses)
    return "".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(named)}</title>',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<style>{STYLE}</style></head><body><h1>{_text(named)}</h1>{before}",
            *(_run(analysis, warn) for analysis in analyses),
            "</body></html>\n",
        ]
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], classes: Sequence[str] = ()) -> str:
    """Return an HTML table of escaped cells."""
    head = "".join(f"<th>{_text(name)}</th>" for name in header)
    lines = []
    for place, row in enumerate(rows):
        kind = f' class="{classes[place]}"' if place < len(classes) and classes[place] else ""
        lines.append(f"<tr{kind}>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _run(analysis: Analysis, warn: Warn) -> str:
    from evals.analysis.plots import figures

    record, config = analysis.record, analysis.record.config
    asked = max((method.asked for method in analysis.methods), default=0)
    status = record.facts.get("status", "unknown")
    unfinished = "" if status == "finished" else f" The run is {status}: what follows is of the debates that ended."
    pictures = "".join(
        f"<figure><h3>{_text(name)}</h3>{svg or NOT_DRAWN}</figure>" for name, svg in figures(analysis, warn).items()
    )
    return "".join(
        [
            f"<h2>{_text(config.task)}</h2><p>{asked} questions, the same for every method; ",
            f"{_text(engines_in_words(method.config for method in record.methods))}, seed {config.seed}.{_text(unfinished)}</p>",
            _accuracy(analysis.methods),
            _comparisons(analysis.comparisons),
            "<h3>What it cost</h3>",
            _costs(analysis.methods),
            _beliefs(analysis.methods),
            "<h3>Round by round</h3>",
            _rounds(analysis.methods),
            pictures,
            _transcripts(record.methods),
            _again(analysis),
        ]
    )


def _accuracy(methods: Sequence[Summary]) -> str:
    note = (
        "Wilson intervals. No answer and failed debates count as not correct. Strict: only the form that the task asks for "
        "is read. Any agent right is a bound, not a score: it picks the best agent after the fact, on these questions."
    )
    return _methods(ACCURACY, methods, ["bound" if m.is_bound else "" for m in methods]) + f'<p class="note">{note}</p>'


def _comparisons(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return ""
    said = "".join(f"<li>{_text(comparison.sentence)}</li>" for comparison in comparisons)
    count = len(comparisons)
    note = (
        f"{count} comparison{'' if count == 1 else 's'} over the same questions, p values of exact McNemar tests corrected "
        "together by Holm's method; intervals of the single difference, by Tango's score method. Detectable: the minimum "
        "detectable difference, in points, at 80 % power."
    )
    return f'<h3>Paired differences</h3><ul>{said}</ul><p class="note">{note}</p>'


def _beliefs(methods: Sequence[Summary]) -> str:
    holding = [method for method in methods if method.held is not None]
    if not holding:
        return ""
    note = (
        "What the deciding agents' last messages hold over the options, where they say one: NLL in nats, Brier from 0 to 2, "
        "expected calibration error in ten bins. Exact: every option is among the tokens that the message kept; a missing "
        "option counts as 0."
    )
    return f'<h3>Beliefs over the options</h3>{_methods(BELIEF, holding)}<p class="note">{note}</p>'


def _costs(methods: Sequence[Summary]) -> str:
    how = "; ".join(dict.fromkeys(method.budget.energy for method in methods))
    note = f"Tokens; wall time with the start of engines. Energy: {_text(how)}."
    return f'{_methods(COST, methods)}<p class="note">{note}</p>'


def _rounds(methods: Sequence[Summary]) -> str:
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
            "–" if len(method.rounds) == 1 and found.agreement is not None else percent(found.deciding),
            percent(found.agents),
            "–" if found.agreement is None else f"{100 * found.agreement:.1f} %",
            *(("–",) * 3 if found.number == 1 else (found.right_to_wrong, found.wrong_to_right, found.kept_right)),
        ]
        for method in methods
        for found in method.rounds
    ]
    return table(header, rows)


def _transcripts(methods: Sequence[MethodRecord]) -> str:
    """Return one debate to read: one in which somebody changed their mind, of the CIPHER row where there is one."""
    spoken = [method for method in methods if any(len(debate.turns) > 1 for debate in method.debates)]
    if not spoken:
        return ""
    method = next((method for method in spoken if method.config.message == "cipher"), spoken[-1])
    changed = changed_their_minds(method)
    toward = [debate for debate, before, _ in changed if before.verdict != "correct"]
    debate = (toward or [debate for debate, _, _ in changed] or list(method.debates))[0]
    why = "somebody's answer changed" if changed else "the first one"
    return f"<h3>A debate of {_text(method.name)} ({why})</h3>{_debate(debate)}"


def _debate(debate: DebateRow) -> str:
    parts = [f"<p><b>{_text(debate.question)}</b></p><pre>{_text(debate.text)}</pre>"]
    for turn in debate.turns:
        kind = "cipher" if turn.encoder else "text"
        how = f"{turn.encoder}, {turn.message_bytes:,} B" if turn.encoder else "text"
        said = f"{turn.generated_tokens} tokens, temperature {turn.temperature:g}"
        answer = "no answer" if turn.answer is None else f"answer {turn.answer}"
        parts.append(
            f'<div class="turn {kind}"><span class="who">round {turn.round}, {_text(turn.agent)}</span> '
            f'<span class="note">[{_text(how)}; {_text(said)}; {_text(answer)}: {_text(turn.verdict)}]</span>'
            f"<pre>{_text(turn.text)}</pre></div>"
        )
    answer = "no answer" if debate.answer is None else debate.answer
    parts.append(f"<p>Decision: <b>{_text(answer)}</b> ({_text(debate.verdict)}; {_text(debate.target)} is right): ")
    return "".join(parts) + f"{_text(debate.reason)}</p>"


def _again(analysis: Analysis) -> str:
    record = analysis.record
    facts = json.dumps(dict(record.facts), indent=1, ensure_ascii=False, sort_keys=True)
    return (
        "<h3>To run it again</h3><p>config.yaml, each method's own config, the questions (samples.jsonl) and the "
        "transcripts are in the run folder. Same config and seed give the same bytes, except times.</p>"
        f"<details><summary>config</summary><pre>{_text(to_yaml(record.config))}</pre></details>"
        f"<details><summary>versions, models, prompts</summary><pre>{_text(facts)}</pre></details>"
    )


def _methods(columns: Sequence[Column], methods: Sequence[Summary], classes: Sequence[str] = ()) -> str:
    found = cells(columns, methods)
    return table(found.header, found.rows, classes)


def _text(value: object) -> str:
    return html.escape(str(value))
