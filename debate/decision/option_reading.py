"""What a CIPHER message holds of the options of a choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.message import Message
from agents.whole_words import whole_words
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
    """Return the belief over options at the step that says the last of them; None where no one step does.

    What is said last is looked for in the text, as a whole word: the token `valid` behind `in` says "invalid", and is not read as
    "valid". An option of several tokens is said by none of them.

    Args:
        message: the message; a text holds no beliefs.
        options: labels as single tokens spell them, white space aside, e.g. `A` or `Yes`.
        decode: token of a model → its text.
    """
    cipher = message.cipher
    if cipher is None or (last := _last_said(message.text, options)) is None:
        return None
    said, end = last
    labels = set(options)

    def option(token: int) -> str | None:
        text = (decode(message.model, token) or "").strip()
        return text if text in labels else None

    # What a model thought before it answered is no answer.
    nearest = cipher.nearest.tolist()
    steps = [step for step in range(message.thinking_tokens, len(nearest)) if option(nearest[step]) == said]
    # Some are within words: which one is the last is known where no later word holds it.
    within = len(steps) > sum(1 for _ in whole_words(message.text, said))
    if not steps or (within and said in message.text[end:]):
        return None
    step = steps[-1]
    belief: dict[str, float] = {}
    kept = zip(cipher.top_ids[step].tolist(), cipher.top_probabilities[step].tolist(), strict=True)
    for token, weight in kept:
        if weight > 0 and (name := option(token)) is not None:
            belief[name] = belief.get(name, 0.0) + weight
    total = sum(belief.values())
    if total <= 0:
        return None
    shares = {name: weight / total for name, weight in belief.items()}
    return OptionReading(shares, total, tuple(name for name in options if name not in belief), step)


def _last_said(text: str, options: Sequence[str]) -> tuple[str, int] | None:
    """Return the option that a text says last, and where it ends; of two that end together the longer one."""
    found = [(end, len(option), option) for option in options if option and (end := next(whole_words(text, option), 0))]
    if not found:
        return None
    end, _, option = max(found)
    return option, end
