"""The table of transformed copies, from run folders and the copies themselves: size, drift, and outcomes beside the base's.

A copy's figure is the mean over calibration seeds. Differences are paired: of each question (of each text, for drift) the
seeds are averaged first, and the interval is over questions, resampled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from agents.attention.options import attention_of, cache_of
from agents.attention.row_attention import full_scores
from agents.errors import ModelError, RunError
from agents.model_folder import TRANSFORM, read_config, transform_record
from agents.pretrained import Progress, is_transformed, locate
from agents.transforms.counted import kept_share
from evals.analysis.run_record import MethodRecord, RunRecord, read_run
from evals.analysis.stats import Interval, bootstrap, wilson
from evals.copies.drift import Scored, Whole
from evals.copies.experiment import FAMILIES, Variant, copies


@dataclass(frozen=True)
class Cell:
    """A row of one family.

    Attributes:
        right: share of right answers, mean over seeds.
        by_seed: numbers of right answers.
        difference, interval: to the base's row on the same questions, and its 95 % interval.
        cost: computed tokens a question, each times the share of multiply-accumulates of the maps that its speaker keeps; None
            where that of a speaker is not known.
    """

    right: float
    by_seed: tuple[int, ...]
    difference: float
    interval: Interval
    cost: float | None


@dataclass(frozen=True)
class Copy:
    """One transformed copy.

    Attributes:
        name: as rows name it.
        facts: figures of its last step, of the first seed, and of the whole copy; `of_steps` says how many steps there are.
        drift, interval: mean divergence of its beliefs from the base's (nats a token), and its 95 % interval over texts.
        drift_by_seed: of each calibration seed.
        agreement: share of tokens with the same likeliest one.
        cells: family → outcome.
    """

    name: str
    facts: Mapping[str, Any]
    drift: float
    interval: Interval
    drift_by_seed: tuple[float, ...]
    agreement: float
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Copied:
    """The whole table.

    Attributes:
        questions: that every row was asked.
        texts: that beliefs were compared on.
        base: family → outcome of the model itself.
        copies: in the order of the config.
        others: rows of no family, compared with `single`.
    """

    questions: int
    texts: int
    base: Mapping[str, Cell]
    copies: tuple[Copy, ...]
    others: Mapping[str, Cell]


def tabulate(out: Path, scored: Sequence[Scored], progress: Progress = lambda _: None) -> Copied:
    """Return the table of OUT/seed-N.

    Args:
        out: folder of the runs.
        scored: the texts that beliefs are compared on.
        progress: called with a sentence for each slow step.

    Raises:
        RunError: the model's own rows were not played, or a row has not the questions of the others.
    """
    runs = [read_run(folder) for folder in sorted(out.glob("seed-*"))]
    if not runs:
        raise RunError(f"{out} has no runs of copies: `debate copies CONFIG --out {out}` plays them")
    first = {method.name: method for method in runs[0].methods}
    if missing := [family for family in FAMILIES if family not in first]:
        raise RunError(f"{out}/seed-0 has no row {missing[0]}, which copies are compared with; play it too")
    base = {family: _cell([first[family]], first[family]) for family in FAMILIES}
    named = copies(runs[0].config)
    found, wholes = [], {}
    for copy, (model, *_) in named.items():
        progress(f"{copy}: how far its beliefs are from {model}'s")
        if model not in wholes:
            wholes[model] = Whole(model, scored, progress)
        length = round(fmean(len(text.ids) for text in scored))
        found.append(_copy(copy, runs, first, wholes[model], length, progress))
    rows = {f"{family}-{copy}" for copy in named for family in FAMILIES} | set(FAMILIES)
    others = {
        name: _cell([m for run in runs for m in run.methods if m.name == name], first["single"])
        for name in first
        if name not in rows
    }
    return Copied(len(first["single"].debates), len(scored), base, tuple(found), others)


def _copy(
    copy: str,
    runs: Sequence[RunRecord],
    first: Mapping[str, MethodRecord],
    whole: Whole,
    length: int,
    progress: Progress,
) -> Copy:
    variants = [copies(run.config)[copy] for run in runs if copy in copies(run.config)]
    drifts = [whole.drift(one.model, one.cache, one.attention) for one in dict.fromkeys(variants)]
    of_texts = [fmean(values) for values in zip(*(drift.divergences for drift in drifts), strict=True)]
    facts = exchanged_facts(variants[0], length, progress)
    if is_transformed(variants[0].model):
        folder = locate(variants[0].model, progress=progress)
        record = transform_record(folder) or {}
        if not (steps := record.get("steps")):
            raise ModelError(
                f"{folder / TRANSFORM} says nothing of how the copy was made; remove the folder, and it is made again"
            )
        # Factors and rounded weights stand in a folder as numbers of full size: what is counted of it says nothing of them.
        counted = {} if any("map_bytes" in step for step in steps) else record.get("whole", {})
        facts = {**steps[-1], "of_steps": len(steps), **counted, **facts}
    cells = {
        family: _cell(played, first[family])
        for family in FAMILIES
        if (played := [m for run in runs for m in run.methods if m.name == f"{family}-{copy}"])
    }
    return Copy(
        copy,
        facts,
        fmean(of_texts),
        bootstrap(of_texts),
        tuple(fmean(drift.divergences) for drift in drifts),
        fmean(drift.agreement for drift in drifts),
        cells,
    )


def exchanged_facts(copy: Variant, length: int, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Return what a copy's cache and attention cost: bits of a number of the cache, scales included, and the share of scores.

    Args:
        copy: what it is.
        length: tokens of the text that is counted for.
        progress: called with a sentence for each slow step.
    """
    facts: dict[str, Any] = {}
    if copy.cache is not None:
        config = read_config(locate(copy.model, progress=progress), name=copy.model).get_text_config()
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        facts["cache_bits"] = cache_of(copy.cache).bits_a_number(length, width)
    if copy.attention is not None:
        facts["scores"] = attention_of(copy.attention).scores(length) / full_scores(length)
    return facts | ({"counted_tokens": length} if facts else {})


def _cell(played: Sequence[MethodRecord], beside: MethodRecord) -> Cell:
    """Return the outcome of a row over its seeds, and its difference to another row.

    Raises:
        RunError: they were asked different questions.
    """
    theirs = beside.outcomes()
    by_seed = [method.outcomes() for method in played]
    if any(set(outcomes) != set(theirs) for outcomes in by_seed):
        raise RunError(
            f"{played[0].name} and {beside.name} were asked different questions, or one of them is not finished"
        )
    differences = [fmean(o[q][0] for o in by_seed) - theirs[q][0] for q in sorted(theirs)]
    rights = [sum(outcomes[q][0] for q in theirs) for outcomes in by_seed]
    return Cell(
        fmean(rights) / len(theirs),
        tuple(round(right) for right in rights),
        fmean(differences),
        bootstrap(differences),
        None
        if None in (costs := [_cost(method) for method in played])
        else fmean(cost for cost in costs if cost is not None),
    )


def _cost(method: MethodRecord) -> float | None:
    shares = {name: _share(method.config.model_of(name)) for name in method.config.agents}
    tokens = 0.0
    for turn in (turn for debate in method.debates for turn in debate.turns):
        if (share := shares.get(turn.agent, 1.0)) is None:
            return None
        tokens += share * (turn.prompt_tokens - turn.cached_tokens + turn.generated_tokens)
    return tokens / max(1, len(method.debates))


def _share(model: str) -> float | None:
    """Return the share of its base's multiply-accumulates that a model keeps; None where that is not known."""
    record = transform_record(locate(model))
    return 1.0 if record is None else kept_share(record)


def _drift(nats: float) -> str:
    """Return a drift with three places, and a small one with its first two figures: 0.000 is none."""
    return f"{nats:.3f}" if nats == 0 or abs(nats) >= 0.01 else f"{nats:.2g}"


def markdown(table: Copied) -> str:
    """Return the table as a page."""
    lines = [
        f"{table.questions} questions; beliefs compared on {table.texts} texts. Differences are to the model itself, paired over "
        "questions, with 95 % intervals.",
        "",
        "| copy | size | drift, nats a token | same likeliest token | alone | partner in text | partner in CIPHER |",
        "|---|---|---|---|---|---|---|",
        "| the model itself | 100 % | 0 | 100.0% | "
        + " | ".join(_plain(table.base[family], table.questions) for family in FAMILIES)
        + " |",
    ]
    for copy in table.copies:
        seeds = ", ".join(map(_drift, copy.drift_by_seed))
        lines.append(
            f"| {copy.name} | {size(copy.facts)} | {_drift(copy.drift)} ({_drift(copy.interval.low)} to "
            f"{_drift(copy.interval.high)}; seeds {seeds}) | {copy.agreement:.1%} | "
            + " | ".join(_against(copy.cells[f]) if f in copy.cells else "" for f in FAMILIES)
            + " |"
        )
    lines += ["", "| row | right | against `single` | cost of a question, `single` = 1 |", "|---|---|---|---|"]
    one, unknown = table.base["single"].cost, False
    for name, cell in {**table.base, **table.others}.items():
        against = "" if name in table.base else _points(cell)
        cost = "–" if cell.cost is None or not one else f"{cell.cost / one:.2f}"
        unknown = unknown or cost == "–"
        lines.append(f"| {name} | {_plain(cell, table.questions)} | {against} | {cost} |")
    lines += [
        "",
        "Costs are notional: tokens, each times the share of multiply-accumulates that its speaker keeps: as the transform "
        "reports it, and after several removals what is counted of the linear maps.",
    ]
    if unknown:
        lines[-1] += (
            " A dash is a copy of several transforms whose share cannot be counted: factors that a later step changed, or a copy "
            "made by an earlier version."
        )
    return "\n".join(lines) + "\n"


def size(facts: Mapping[str, Any]) -> str:
    """Return how large a copy is in words: by the figures of its transform, after several as it is counted."""
    said = []
    if "cache_bits" in facts:
        said.append(f"{facts['cache_bits']:.1f} bits a number of the cache at {facts['counted_tokens']} tokens")
    if "scores" in facts:
        said.append(f"{facts['scores']:.0%} of the scores at {facts['counted_tokens']} tokens")
    if facts.get("of_steps", 1) > 1 and facts.get("map_macs_before"):
        used, stored = (facts[key] / facts["map_macs_before"] for key in ("map_macs_used", "map_macs"))
        as_stored = f" ({stored:.0%} as stored)" if stored > used + 1e-9 else ""
        size_on_disk = facts["weight_bytes"] / facts["weight_bytes_before"]
        after = f"after {facts['of_steps']} transforms"
        of_maps = f"{used:.0%} of the maps' MACs{as_stored}, {size_on_disk:.0%} of the bytes as stored, {after}"
        return ", ".join([*said, of_maps])
    if "macs_kept" in facts:
        said.append(f"{facts['macs_kept']:.0%} of the MACs")
    if facts.get("macs_stored", 0) > facts.get("macs_kept", 0) + 1e-9:
        said.append(f"{facts['macs_stored']:.0%} as stored")
    if "factor_bytes" in facts:
        said.append(f"{facts['factor_bytes'] / facts['map_bytes']:.0%} of the bytes")
    elif "map_bytes_before" in facts:
        said.append(f"{facts['map_bytes'] / facts['map_bytes_before']:.0%} of the bytes")
    if said and facts.get("of_steps", 1) > 1:
        said.append(f"by the last of {facts['of_steps']} transforms alone")
    return ", ".join(said)


def _plain(cell: Cell, questions: int) -> str:
    if len(cell.by_seed) > 1:
        return f"{cell.right:.1%}"
    interval = wilson(cell.by_seed[0], questions)
    return f"{cell.right:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def _against(cell: Cell) -> str:
    return f"{cell.right:.1%}: {_points(cell)}"


def _points(cell: Cell) -> str:
    low, high = 100 * cell.interval.low, 100 * cell.interval.high
    return f"{100 * cell.difference:+.1f} ({low:+.1f} to {high:+.1f})"
