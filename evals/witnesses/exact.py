"""A witness that is no language model: it believes exactly what may be believed of what it sees, and hands that over.

Its belief is over whole strings, the product of its places' posteriors, so its message has at each place that place's exact
posterior. What a listener loses that hears it is the listener's own.

A config names it by its card, `backend: evals.witnesses.exact:CARD`.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Self

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.beliefs.cards import Card
from agents.errors import ConfigError, DebateError, RequestError
from agents.observation import Observation, Text
from agents.question import Question
from evals.tasks.evidence import ALPHABET, Line, World, posterior, read_lines

# Strings of a belief: eight symbols at four places.
MOST_STRINGS = 4096

CARD = Card(
    name="exact_witness",
    paper="Bayes' rule",
    modality="text",
    message="belief over the strings that a witness may have seen copies of",
    checkpoint="none: it computes its belief",
    licence="Apache-2.0 (this project's)",
    backend="evals.witnesses.exact:ExactWitness",
)


class ExactWitness(BeliefBackend):
    """A witness's exact belief, of a question of the task `witnesses`.

    Args:
        witness: whose line of the question it sees, counted from 1.
    """

    modality = "text"
    # As witnesses say their strings: bare.
    template = "{label}"

    def __init__(self, witness: int = 2) -> None:
        if witness < 1:
            raise ConfigError(f"witness: witnesses are counted from 1; got {witness}")
        self._witness = witness

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, *, witness: int = 2, **options: Any) -> Self:
        """Return the witness of a number; it has no checkpoint."""
        if checkpoint is not None:
            raise ConfigError(f"an exact witness computes its belief, and has no checkpoint {checkpoint!r}")
        return cls(witness)

    def save_pretrained(self, folder: Path) -> None:
        """It has nothing to save."""
        raise RequestError("an exact witness computes its belief, and has nothing to save")

    @property
    def name(self) -> str:
        """Which witness it is."""
        return f"exact witness {self._witness}"

    def check(self, observation: Observation) -> None:
        """Raise RequestError where a text is no question of witnesses, or has no line for this one."""
        assert isinstance(observation, Text)
        self._seen(observation)

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return every string of the world, in order."""
        observation = case.observation(self.modality)
        assert isinstance(observation, Text)
        if observation.is_empty:
            return ()
        world, line = self._seen(observation)
        return tuple("".join(symbols) for symbols in product(world.letters, repeat=len(line.levels)))

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        found = []
        for case, observation in zip(cases, observations, strict=True):
            weights = [1.0]
            for place in posterior(*self._seen(observation)).tolist():
                weights = [before * share for before in weights for share in place]
            found.append(Belief.of(self.labels(case), weights))
        return found

    def _seen(self, observation: Text) -> tuple[World, Line]:
        """Return the symbols as a world, and the line that this witness sees."""
        head, _, _ = observation.text.partition("\n")
        try:
            lines = read_lines(observation.text)
            symbols = ALPHABET.index(head.removeprefix("a-")) + 1 if head[:2] == "a-" and len(head) == 3 else 0
            line = lines[self._witness - 1]
            world = World(
                symbols=symbols, length=len(line.levels), glimpses=len(line.glimpses), noise=(tuple(set(line.levels)),)
            )
        except (DebateError, ValueError, IndexError) as error:
            raise RequestError(
                f"{self.name} looks at a question of witnesses that has its line, e.g. 'a-d\\n1155 abcd abca\\n1515 abcd bbcd'; "
                f"got {observation.text[:60]!r}"
            ) from error
        if symbols ** len(line.levels) > MOST_STRINGS:
            raise RequestError(
                f"{self.name} believes in at most {MOST_STRINGS} strings; {symbols} symbols at {len(line.levels)} places are "
                f"{symbols ** len(line.levels)}"
            )
        if any(letter not in world.letters for glimpse in line.glimpses for letter in glimpse):
            raise RequestError(f"{self.name}: {line} has a symbol beyond {head}")
        return world, line
