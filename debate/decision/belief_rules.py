"""Decisions that look at what agents believe, not only at what they say: confidence, option beliefs, centrality."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from agents.beliefs.belief_backend import EmbeddingBackend
from agents.beliefs.cards import card, create_text_embedding
from agents.errors import ConfigError, UnknownName
from agents.message import Message
from debate.decision.decision import Decision, Decode, Poll, Rule
from debate.decision.depth import Points, depths, drift, embed, outliers, text_points
from debate.decision.option_reading import read_options

if TYPE_CHECKING:
    from debate.transcript import Transcript

# Parts of a hundred, `8/10` or `8 out of 10`, or a share; with a point or a comma.
_STATED = re.compile(
    r"confidence\s*(?:is|:|=)?\s*(\d{1,3}(?:[.,]\d{1,6})?)\s*(?:(%)|(?:/|out\s+of)\s*(\d{1,3})(?!\d))?", re.IGNORECASE
)
NEUTRAL = 0.5
ENOUGH_FOR_A_TEST = 10


def weighted(*, by: str = "probability") -> Rule:
    """Votes weighted by confidence: `probability` and `entropy` as measured in CIPHER messages, or as `stated`.

    `probability` is the geometric mean of the highest probability of each step, `entropy` is exp(−mean entropy); an
    agent of whom nothing is measured or stated weighs as the mean of the others, or 0.5 where nobody is.
    """
    measures = {"probability": probability, "entropy": certainty, "stated": stated}
    if by not in measures:
        raise UnknownName("confidence", by, measures)

    def rule(poll: Poll) -> Decision:
        voters = {name: answer for name in poll.voters if (answer := poll.answers[name]) is not None}
        found = {name: measures[by](poll.last_message(name)) for name in voters}
        known = [weight for weight in found.values() if weight is not None]
        rest = sum(known) / len(known) if known else NEUTRAL
        votes: dict[str, float] = {}
        for name, answer in voters.items():
            weight = found[name]
            votes[answer] = votes.get(answer, 0.0) + (rest if weight is None else weight)
        note = "" if len(known) == len(voters) else f"; no {by} of {len(voters) - len(known)} agents"
        return poll.elect(votes, lambda most: f"a weight of {most:.3f} by {by}{note}")

    return rule


def belief_average(*, options: str = "ABCDEFGHIJ", decode: Decode | None = None) -> Rule:
    """The option with the highest mean belief of all agents: voting with whole distributions.

    An agent's belief is that of the last step of its CIPHER message whose nearest token is an option, over the option
    tokens and renormalised; one that spoke text believes in its answer alone.
    """
    if decode is None:
        raise ConfigError("decision belief_average reads tokens, and needs the engines' tokenizers: use it in a config")
    read = decode

    def rule(poll: Poll) -> Decision:
        total: dict[str, float] = {}
        counted = 0
        for name in poll.voters:
            found = read_options(poll.last_message(name), options, read)
            belief = dict(found.probabilities) if found else {}
            answer = poll.answers[name]
            if not belief and answer is not None and len(answer) == 1 and answer in options:
                belief = {answer: 1.0}
            counted += bool(belief)
            for option, weight in belief.items():
                total[option] = total.get(option, 0.0) + weight
        if not total:
            return poll.decide(None, f"nobody's message holds a belief over the options {options}")
        mean = {option: weight / counted for option, weight in total.items()}
        return poll.elect(mean, lambda most: f"a mean belief of {most:.3f} over {counted} agents")

    return rule


MEANS = "means"
"""Of a message's CIPHER vectors, or counts of its tokens where it has none: what `depth` goes by without an embedding model."""


def deepest(*, embeddings: str = MEANS, checkpoint: str = "", threshold: float = 3.0) -> Rule:
    """The answer in the message that is deepest among the last ones (TTE depth); outliers are named in the reason.

    Of ten agents and more the reason also says whether messages drifted since the first round. Of few agents depth is
    a score, not a test; many that say the same wrong thing make it the deepest.

    Args:
        embeddings: `means`, or a belief backend that embeds texts, as the paper's transformers do: what messages read as.
        checkpoint: checkpoint of that backend.
        threshold: robust standard deviations below the median from which a message is an outlier.
    """
    if embeddings == MEANS and checkpoint:
        raise ConfigError(
            'depth: a checkpoint is of embeddings="BACKEND", e.g. depth(embeddings="sentence_transformers")'
        )
    if embeddings != MEANS:
        # Refused now, and not after a debate.
        card(embeddings)

    def points(messages: Sequence[Message]) -> Points:
        return (
            embed(messages)
            if embeddings == MEANS
            else text_points(messages, _embedding(embeddings, checkpoint or None))
        )

    def rule(poll: Poll) -> Decision:
        voters = poll.voters
        if not voters:
            return poll.decide(None, "nobody whose answer counts spoke")
        values = depths(points([poll.last_message(name) for name in voters]))
        far = [voters[place] for place in outliers(values, threshold=threshold)]
        scores: dict[str, float] = {}
        for name, value in zip(voters, values.tolist(), strict=True):
            if (answer := poll.answers[name]) is not None:
                scores[answer] = max(value, scores.get(answer, 0.0))
        note = (f"; outliers: {', '.join(far)}" if far else "") + _drift_note(poll.transcript, voters, points)
        by = "" if embeddings == MEANS else f" by {embeddings}"
        return poll.elect(scores, lambda most: f"the deepest message{by}, {most:.3f}{note}")

    return rule


@cache
def _embedding(name: str, checkpoint: str | None) -> EmbeddingBackend:
    """Return an embedding model, loaded once for all rules of a process."""
    return create_text_embedding(name, checkpoint=checkpoint)


def _drift_note(transcript: "Transcript", voters: Sequence[str], points: Callable[[Sequence[Message]], Points]) -> str:
    """Return whether the last messages lie elsewhere than the first, where there are enough for a test to mean anything."""
    among = set(voters)
    first = {turn.key.agent: turn.message for turn in reversed(transcript.turns) if turn.key.agent in among}
    last = [transcript.last_of(name).message for name in voters]
    if len(voters) < ENOUGH_FOR_A_TEST or transcript.rounds < 2:
        return ""
    both = points([*first.values(), *last])
    moved = drift(both[: len(first)], both[len(first) :])
    return f"; drift since the first round: q = {moved.q:.2f}, p = {moved.p:.3f}"


def probability(message: Message) -> float | None:
    """Return the geometric mean of the steps' highest probability; None of text."""
    if message.cipher is None or not len(message.cipher):
        return None
    return float(message.cipher.max_probability.clamp_min(1e-9).log().mean().exp())


def certainty(message: Message) -> float | None:
    """Return exp(−mean entropy in nats); None of text."""
    if message.cipher is None or not len(message.cipher):
        return None
    return float(np.exp(-float(message.cipher.entropy.mean())))


def stated(message: Message) -> float | None:
    """Return the last stated confidence, `Confidence: 80%`, `8/10` or `0.8`, between 0 and 1; None without one."""
    found = _STATED.findall(message.text)
    if not found:
        return None
    number, percent, most = found[-1]
    said = float(number.replace(",", "."))
    whole = float(most) if most else 100.0 if percent or said > 1 else 1.0
    return said / whole if said <= whole > 0 else None
