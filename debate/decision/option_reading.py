"""What a CIPHER message holds of the options of a choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.message import Message
from debate.decision.decision import Decode


@dataclass(frozen=True)
class OptionReading:
    """What a CIPHER message holds of the options of a choice, at the step where it says one.

    Attributes:
        probabilities: label → share, over the options that were kept; sums to 1.
        mass: their share of the kept belief before it was divided: how much of it was about options at all.
        missing: labels of which no token was kept. Their belief is at most that of the least token kept.
        step: index of the step.
    """

    probabilities: Mapping[str, float]
    mass: float
    missing: tuple[str, ...]
    step: int

    @property
    def is_exact(self) -> bool:
        """Whether every option was among the kept tokens."""
        return not self.missing


def read_options(message: Message, options: Sequence[str], decode: Decode) -> OptionReading | None:
    """Return the belief over options at the last step whose nearest token is one of them; None where there is no such step.

    Args:
        message: the message; a text holds no beliefs.
        options: labels as single tokens spell them, white space aside, e.g. `A` or `Yes`.
        decode: token of a model → its text.
    """
    cipher = message.cipher
    if cipher is None or not options:
        return None
    labels = set(options)

    def option(token: int) -> str | None:
        text = (decode(message.model, token) or "").strip()
        return text if text in labels else None

    # What a model thought before it answered is no answer.
    for step in range(len(cipher) - 1, message.thinking_tokens - 1, -1):
        if option(int(cipher.nearest[step])) is None:
            continue
        belief: dict[str, float] = {}
        kept = zip(cipher.top_ids[step].tolist(), cipher.top_probabilities[step].tolist(), strict=True)
        for token, weight in kept:
            if weight > 0 and (name := option(token)) is not None:
                belief[name] = belief.get(name, 0.0) + weight
        total = sum(belief.values())
        if total > 0:
            shares = {name: weight / total for name, weight in belief.items()}
            return OptionReading(shares, total, tuple(name for name in options if name not in belief), step)
    return None
