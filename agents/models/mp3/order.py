"""The network that tells the places of a solution's steps, and how plausible it so finds an order.

A step is read by itself: its words, with their places in it, through blocks, to their mean. Steps then stand beside the words of
the question, without positions, and go through blocks whose keys are the steps of the context and the question, as in MP3; a
linear head tells each step's place.

B solutions, N steps, T words of a step, Q words of a question, D width, P places.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from agents.errors import ConfigError
from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.encoder import Encoder
from agents.models.blocks.words import PAD, UNKNOWN, Vocabulary, padded
from agents.models.mp3.positions import within


@dataclass(frozen=True)
class OrderConfig:
    """What a judge of order is made of.

    Attributes:
        words: that it knows; the first two are PAD and UNKNOWN.
        places: the most steps of a solution.
        longest: words of a step that are read.
        asked: words of a question that are read.
        reading: blocks over the words of a step.
        ordering: blocks over steps and the question.
        others: whether steps are keys for each other; without, each is judged by itself and the question, as a control.
    """

    words: tuple[str, ...]
    places: int = 12
    longest: int = 40
    asked: int = 80
    reading: EncoderConfig = field(default_factory=lambda: EncoderConfig(48, 1, 4, 12, 96))
    ordering: EncoderConfig = field(default_factory=lambda: EncoderConfig(48, 2, 4, 12, 96))
    others: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        for name in ("reading", "ordering"):
            if isinstance(value := getattr(self, name), Mapping):
                object.__setattr__(self, name, EncoderConfig(**value))
        if self.words[:2] != (PAD, UNKNOWN):
            raise ConfigError(f"the first words are {PAD} and {UNKNOWN}; got {self.words[:2]}")
        if self.places < 2 or min(self.longest, self.asked) < 1 or self.reading.width != self.ordering.width:
            raise ConfigError(
                f"a judge of order has two places, words to read, and one width; got {self.places} places, {self.longest} and "
                f"{self.asked} words, widths {self.reading.width} and {self.ordering.width}"
            )

    @property
    def sizes(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**asdict(self), "words": list(self.words)}


@dataclass(frozen=True)
class Batch:
    """Solutions as word numbers: steps [B, N, T] in their order, 0 where there are no more, and questions [B, Q]."""

    steps: Tensor
    question: Tensor

    @property
    def there(self) -> Tensor:
        """Which steps [B, N] there are."""
        return self.steps.ne(0).any(-1)


class StepOrder(nn.Module):
    """Scores of places, of steps and a question."""

    def __init__(self, config: OrderConfig) -> None:
        super().__init__()
        self.config, width = config, config.reading.width
        self.vocabulary = Vocabulary(config.words)
        self.words = nn.Embedding(len(config.words), width, padding_idx=0)
        self.inside = nn.Embedding(max(config.longest, config.asked), width)
        self.reading, self.ordering = Encoder(config.reading), Encoder(config.ordering)
        self.is_asked = nn.Parameter(torch.zeros(width))
        self.head = nn.Linear(width, config.places)

    def forward(self, batch: Batch, context: Tensor | None = None) -> Tensor:
        """Return the scores of places [B, N, P], −∞ where a solution has none; `context` [B, N], which steps are keys."""
        there = batch.there
        seen = there if context is None else context & there
        if not self.config.others:
            seen = torch.zeros_like(seen)
        words = batch.steps.flatten(0, 1)
        known = words.ne(0)
        h = self._read(words) * known[..., None]
        steps = torch.unflatten(h.sum(1) / known.sum(1, keepdim=True).clamp_min(1), 0, there.shape)
        asked = self._read(batch.question) + self.is_asked
        both = torch.cat([steps, asked], 1)
        is_key = torch.cat([seen, batch.question.ne(0)], 1)
        states = self.ordering(both, torch.cat([there, batch.question.ne(0)], 1), context=is_key)
        return within(self.head(states[:, : there.shape[1]]), there)

    def encode(self, solutions: Sequence[tuple[str, Sequence[str]]]) -> Batch:
        """Return questions and their steps as word numbers.

        Raises:
            ConfigError: a solution of more steps than there are places.
        """
        most = max(len(steps) for _, steps in solutions)
        if most > self.config.places:
            raise ConfigError(f"a solution has {most} steps, and this judge has {self.config.places} places")
        rows = [
            self.vocabulary.numbers(step, self.config.longest) if step else [0]
            for _, steps in solutions
            for step in (*steps, *[""] * (most - len(steps)))
        ]
        asked = [self.vocabulary.numbers(question, self.config.asked) for question, _ in solutions]
        return Batch(torch.unflatten(padded(rows), 0, (len(solutions), most)), padded(asked))

    @torch.inference_mode()
    def log_places(self, question: str, steps: Sequence[str]) -> Tensor:
        """Return the log-probability [N, N] of each place, of each step, float64.

        Steps are looked at in the order of the alphabet, so that the one in which they are given changes no bit.
        """
        order = sorted(range(len(steps)), key=steps.__getitem__)
        scores = self(self.encode([(question, [steps[place] for place in order])]))[0, :, : len(steps)]
        found = torch.empty(len(steps), len(steps), dtype=torch.float64)
        found[order] = torch.log_softmax(scores.double(), -1)
        return found

    def order_log_probabilities(self, question: str, orders: Sequence[Sequence[str]]) -> list[float]:
        """Return, of each order, the sum of the log-probabilities, nats, that each step stands where it stands.

        Orders of the same steps are looked at once.
        """
        tables: dict[tuple[str, ...], Tensor] = {}
        found = []
        for order in orders:
            steps = tuple(sorted(order))
            if steps not in tables:
                tables[steps] = self.log_places(question, steps)
            places = sorted(range(len(order)), key=order.__getitem__)
            found.append(float(tables[steps][range(len(order)), places].sum()))
        return found

    def plausibility(self, question: str, steps: Sequence[str]) -> float | None:
        """Return how plausible the order of some steps is: the geometric mean, over steps, of the probability of its place.

        None where there is no order to judge: fewer than two steps, all of them alike, or more than there are places.
        """
        if len(set(steps)) < 2 or len(steps) > self.config.places:
            return None
        return float(self.log_places(question, steps).diagonal().mean().exp())

    def _read(self, words: Tensor) -> Tensor:
        known = words.ne(0)
        # A step that is padding has its first word as a key: no keys at all are no attention.
        known = torch.cat([torch.ones_like(known[:, :1]), known[:, 1:]], 1)
        x = self.words(words) + self.inside.weight[: words.shape[1]]
        found: Tensor = self.reading(x, known)
        return found
