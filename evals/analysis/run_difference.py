"""What two runs differ in: their agents, their questions, their settings, and how each fared."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.errors import ConfigError
from evals.analysis.run_record import MethodRecord, RunRecord
from evals.samples import read_kept

Matched = tuple[MethodRecord, MethodRecord]
# Of a config: what says who an agent is rather than how it is set.
IDENTITY = ("adapter", "checkpoint", "role")
# What changes no result, and what other methods do.
ASIDE = ("execution", "methods")
CORRECT = "correct"


def check_questions(matched: Sequence[Matched], paths: tuple[str, str]) -> None:
    """Refuse to pair debates of one id over different questions.

    Raises:
        ConfigError: a question that both runs have is not the same in both.
    """
    for one, other in matched:
        theirs = {debate.question: debate for debate in other.debates}
        for debate in one.debates:
            same = theirs.get(debate.question)
            if same is not None and (same.text, same.target) != (debate.text, debate.target):
                raise ConfigError(
                    f"the question {debate.question!r} is {debate.text[:60]!r} in {paths[0]} and {same.text[:60]!r} in "
                    f"{paths[1]}: the runs asked different questions, and cannot be compared one by one"
                )


def check_shown(first: Path, second: Path) -> None:
    """Refuse to pair questions of one id that show other pictures, sounds or tables, which no words of them tell apart.

    Of a run that kept no digest of what its questions show, the small copies of pictures are compared.

    Raises:
        ConfigError: a question that both runs have shows something else in each.
        RunError: a file of questions is damaged.
    """
    theirs = {kept.sample.id: kept for kept in read_kept(second)}
    for kept in read_kept(first):
        same = theirs.get(kept.sample.id)
        if same is not None and kept.shows_other(same):
            raise ConfigError(
                f"the question {kept.sample.id!r} shows one thing in {first} and another in {second}, though its words are "
                "the same: the runs asked different questions, and cannot be compared one by one"
            )


def other_agents(one: RunRecord, other: RunRecord, matched: Sequence[Matched]) -> str:
    """Return a sentence about the first agent that is not the same in both runs; nothing where all are.

    Of two methods of different names only the agents that both have are looked at.
    """
    for ours, theirs in matched:
        found = _identities(one, ours), _identities(other, theirs)
        names = [*found[0], *(name for name in found[1] if name not in found[0])]
        for name in names:
            said = [identities.get(name) for identities in found]
            if _are_one(*said) or (ours.name != theirs.name and None in said):
                continue
            words = [_identity_in_words(who) for who in said]
            return f"agent {name} of {ours.name} is {words[0]} in {one.path}, and {words[1]} in {other.path}"
    return ""


def config_differences(one: MethodRecord, other: MethodRecord) -> list[str]:
    """Return `key: value → value` for each setting that two methods' configs differ in."""
    ours, theirs = (dict(_leaves(_settings(method), "")) for method in (one, other))
    keys = [*ours, *(key for key in theirs if key not in ours)]
    return [f"{key}: {ours.get(key)} → {theirs.get(key)}" for key in keys if ours.get(key) != theirs.get(key)]


def accuracy_in_words(method: MethodRecord) -> str:
    """Return how many questions a method answered correctly, over all that it ended."""
    right, total = sum(debate.verdict == CORRECT for debate in method.debates), len(method.debates)
    return f"{right}/{total} correct" + (f" ({100 * right / total:.1f} %)" if total else "")


def left_out_in_words(one: MethodRecord, other: MethodRecord, paths: tuple[str, str]) -> str:
    """Return how each did on the questions that both ended, where one ended others too; nothing where they are the same."""
    ended = [{debate.question: debate.verdict == CORRECT for debate in method.debates} for method in (one, other)]
    shared = ended[0].keys() & ended[1].keys()
    more = [len(questions) - len(shared) for questions in ended]
    if not any(more):
        return ""
    rights = [sum(questions[name] for name in shared) for questions in ended]
    left_out = " and ".join(f"{count} of {path}" for count, path in zip(more, paths, strict=True) if count)
    return (
        f"On the {len(shared)} questions that both have: {rights[0]} and {rights[1]} correct; "
        f"left out, since the other run has no answer to them: {left_out}"
    )


def _identities(run: RunRecord, method: MethodRecord) -> dict[str, dict[str, Any]]:
    """Return agent → who it is: backend, model, its weights' fingerprint where the run kept one, role and checkpoint."""
    config, models = method.config, run.facts.get("models") or {}
    found = {}
    for name, agent in config.agents.items():
        model = config.model_of(name)
        found[name] = {
            "backend": agent.backend or config.backend,
            "model": model,
            "dtype": config.dtype_of(name),
            "weights": (models.get(model) or {}).get("weights"),
            **{key: getattr(agent, key) for key in IDENTITY},
        }
    return found


def _are_one(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two agents are the same, as far as both runs know their weights."""
    if one is None or other is None:
        return one is other
    known = one["weights"] and other["weights"]
    return all(one[key] == other[key] for key in one if key != "weights" or known)


def _identity_in_words(who: Mapping[str, Any] | None) -> str:
    if who is None:
        return "not there"
    weights = f"weights {who['weights'][:12]}" if who["weights"] else ""
    named = [f"{key} {who[key]}" for key in IDENTITY if who[key] is not None]
    return ", ".join(filter(None, [f"{who['model']} by {who['backend']} in {who['dtype']}", weights, *named]))


def _settings(method: MethodRecord) -> dict[str, Any]:
    values = method.config.model_dump(mode="json", by_alias=True)
    return {key: value for key, value in values.items() if key not in ASIDE}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
