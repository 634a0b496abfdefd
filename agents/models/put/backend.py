"""An agent that fills what is hidden of a picture, and has an expert look at what may stand there."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.beliefs.cards import card, create_belief_backend
from agents.errors import ConfigError, ModelError, UnknownName
from agents.models.checkpoint import load_model, located, save_model
from agents.models.put.config import PUTConfig
from agents.models.put.fillings import FILLINGS, Drawing, square
from agents.models.put.model import PUT
from agents.models.seeded import number_of
from agents.models.stored import made_of
from agents.models.vision.backend import check_picture
from agents.observation import Image, Observation
from agents.question import Question

MOST_COMPLETIONS = 64
EXPERT = "expert"
"""Folder of the expert within the agent's own."""
AS_IT_IS = "none"
OWN = ("put", "put_completions")


class PUTBackend(BeliefBackend):
    """The mean of an expert's beliefs over several completions of a picture (Stone, 1961); of a whole picture, the expert's own.

    Args:
        model: fills holes; in eval mode.
        expert: a belief backend that looks at pictures.
        expert_name: its card's name.
        filling: `sampled`, `expected`, `mean`, `nearest` or `shuffled` (`fillings.py`); `none` leaves the hole as it is.
        completions: how many are drawn.
        top_k: codes that are drawn from.
        at_once: patches that are filled before the model looks again.
        seed: of what is drawn, which depends on the picture too and on nothing else.
    """

    modality = "image"

    def __init__(
        self,
        model: PUT,
        expert: BeliefBackend,
        *,
        expert_name: str,
        filling: str = "sampled",
        completions: int = 4,
        top_k: int = 16,
        at_once: int = 7,
        seed: int = 0,
    ) -> None:
        if filling not in (*FILLINGS, AS_IT_IS):
            raise UnknownName("filling", filling, (*FILLINGS, AS_IT_IS))
        counts = {"completions": completions, "top_k": top_k, "at_once": at_once}
        for name, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} is a whole number of at least 1; got {value!r}")
        if completions > MOST_COMPLETIONS:
            raise ConfigError(f"completions are at most {MOST_COMPLETIONS}; got {completions}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ConfigError(f"seed is a whole number; got {seed!r}")
        self.model, self.expert, self.expert_name = model.eval(), expert, expert_name
        self.filling, self.seed, self.drawing = filling, seed, Drawing(**counts)

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | None = None,
        *,
        expert: str | None = None,
        expert_checkpoint: str | None = None,
        **options: Any,
    ) -> Self:
        """Return the agent of a folder of PUT, and an expert: one that is named, or the one that was saved with it.

        Args:
            checkpoint: folder that `debate train put` wrote, or that this agent saved.
            expert: a belief backend that looks at pictures, e.g. `crossvit`.
            expert_checkpoint: its checkpoint.
            options: `filling`, `completions`, `top_k`, `at_once`, `seed`; by default as saved.

        Raises:
            ModelError: no such model, or no expert.
            ConfigError: an expert that looks at something else.
        """
        model, stored = load_put(checkpoint, "put", cls)
        if expert is None and expert_checkpoint is not None:
            raise ModelError("expert_checkpoint is an expert's: name it too, e.g. expert: crossvit")
        if expert is None:
            if not (name := stored.get("expert_name")):
                raise ModelError(
                    "put fills what is hidden and has an expert look at it: give options: {expert: crossvit, "
                    "expert_checkpoint: FOLDER}"
                )
            assert checkpoint is not None
            expert, expert_checkpoint = str(name), str(located(checkpoint) / EXPERT)
        if expert in OWN:
            raise ConfigError(
                f"an expert looks at pictures as they are, and {expert} does not: give crossvit or another"
            )
        if (modality := card(expert).modality) != cls.modality:
            raise ConfigError(f"an expert of completions looks at pictures; {expert} looks at {modality}")
        looking = create_belief_backend(expert, checkpoint=expert_checkpoint)
        return cls(model, looking, **{**stored, **options, "expert_name": expert})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json, and the expert's below `expert`."""
        self.expert.save_pretrained(folder / EXPERT)
        options = {"filling": self.filling, "seed": self.seed, **vars(self.drawing)}
        save_model(folder, self.model, self.model.config.sizes, expert_name=self.expert_name, **options)

    @property
    def name(self) -> str:
        """The backend's name."""
        return "put"

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the expert's."""
        return self.expert.labels(case)

    def check(self, observation: Observation) -> None:
        """Refuse what is too large or a strip, and what the expert does not take."""
        check_picture(self.name, observation)
        self.expert.check(observation)

    @torch.inference_mode()
    def completions(self, image: Image) -> list[Image]:
        """Return the pictures that the expert is shown: whole ones in place of one of which a part is hidden."""
        pixels, hidden = square(image, self.model.config.side)
        if self.filling == AS_IT_IS or not bool(hidden.any()):
            return [image]
        generator = torch.Generator().manual_seed(self._number(pixels, hidden))
        found = FILLINGS[self.filling](self.model, pixels, hidden, self.drawing, generator)
        return [Image(each.contiguous()) for each in found]

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [self._one(case, image) for case, image in zip(cases, observations, strict=True)]

    def _one(self, case: Question, image: Image) -> Belief:
        shown = [Question(case.id, case.text, (each,), case.labels, case.options) for each in self.completions(image)]
        beliefs: list[Belief] = [one for each in shown for one in self.expert.believe([each])]  # type: ignore[misc]
        if len(beliefs) == 1 or any(each.abstention for each in beliefs):
            return next((each for each in beliefs if each.abstention), beliefs[0])
        rows = [each.probabilities for each in beliefs]
        best = Counter(each.best for each in beliefs)
        said = ", ".join(f"{label} in {count}" for label, count in best.most_common())
        return Belief.of(
            beliefs[0].labels,
            [sum(column) / len(rows) for column in zip(*rows, strict=True)],
            grounds=f"Of {len(rows)} completions the best label is {said}.",
        )

    def _number(self, *tensors: torch.Tensor) -> int:
        """Return the seed of what is drawn for a picture."""
        return number_of(f"{self.seed}|".encode() + b"".join(each.contiguous().numpy().tobytes() for each in tensors))


def load_put(checkpoint: str | None, name: str, kind: type[BeliefBackend]) -> tuple[PUT, dict[str, Any]]:
    """Return the PUT of a folder, in eval mode, and the options of an agent that lie beside it.

    Raises:
        ModelError: none given, or no PUT there.
    """
    if checkpoint is None:
        raise ModelError(f"{name} ships no weights: give checkpoint: FOLDER, made by `debate train put`")
    model, stored = load_model(checkpoint, "PUT", lambda sizes: PUT(made_of(PUTConfig, sizes)), options_of=kind)
    return model.eval(), stored
