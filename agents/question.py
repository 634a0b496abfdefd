"""What is debated: a question in words, and what specialists look at with it."""

from dataclasses import dataclass, field

from agents.errors import ObservationError
from agents.observation import Observation, Text


@dataclass(frozen=True)
class Question:
    """What is debated, and what a belief is formed about.

    Attributes:
        id: identifier, unique in a run.
        text: the question in words.
        observations: data that specialists look at, at most one of each modality; they come with the sample and are not
            recorded with the debate.
        labels: names of the possible answers, if the task defines them.
        options: texts of the possible answers in the same order, if they have any.
        round: round of the debate in which it is asked, from 1, for agents that look at more in each round.
    """

    id: str
    text: str
    observations: tuple[Observation, ...] = field(default=(), compare=False, repr=False)
    labels: tuple[str, ...] = field(default=(), compare=False)
    options: tuple[str, ...] = field(default=(), compare=False)
    round: int = field(default=1, compare=False, repr=False)

    def __post_init__(self) -> None:
        kinds = [observation.modality for observation in self.observations]
        if len(set(kinds)) < len(kinds):
            raise ObservationError(f"a question has at most one observation of a modality; got {', '.join(kinds)}")

    @property
    def alternatives(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Labels and texts of the options, each standing for the other where only one is given; none where they do not fit."""
        labels, texts = self.labels or self.options, self.options or self.labels
        return (labels, texts) if len(labels) == len(texts) else (labels, ())

    def observation(self, modality: str) -> Observation | None:
        """Return the observation of a modality, or None; the question is a text where no other is given."""
        found = next((each for each in self.observations if each.modality == modality), None)
        return Text(self.text) if found is None and modality == "text" else found
