"""An agent that tells which of several completions of one picture is the true one."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import BeliefError, ConfigError, RequestError, UnknownName
from agents.models.checkpoint import save_model
from agents.models.put.backend import load_put
from agents.models.put.completion import log_likelihood
from agents.models.put.fillings import square
from agents.models.put.model import PUT
from agents.models.vision.backend import check_picture
from agents.models.vision.holes import border_jump, filled_with_mean, filled_with_nearest
from agents.observation import Observation, PartlyHidden
from agents.question import Question

Measure = Callable[[PUT, Tensor, Tensor, int], Tensor]
"""Model, completions [R, 3, S, S] of one picture, what was hidden [S, S], patches judged at once → how good each is [R]."""


def _likelihood(model: PUT, completions: Tensor, hidden: Tensor, at_once: int) -> Tensor:
    return log_likelihood(model, completions, hidden, model.autoencoder.codes(completions), at_once=at_once)


def _shuffled(model: PUT, completions: Tensor, hidden: Tensor, at_once: int) -> Tensor:
    order = torch.randperm(model.config.codes, generator=torch.Generator().manual_seed(0))
    return log_likelihood(model, completions, hidden, order[model.autoencoder.codes(completions)], at_once=at_once)


def _border(model: PUT, completions: Tensor, hidden: Tensor, at_once: int) -> Tensor:
    del model, at_once
    return torch.tensor([-border_jump(each, hidden) for each in completions], dtype=torch.float64)


def _mean(model: PUT, completions: Tensor, hidden: Tensor, at_once: int) -> Tensor:
    del model, at_once
    return _near(completions, filled_with_mean(completions[0], hidden), hidden)


def _nearest(model: PUT, completions: Tensor, hidden: Tensor, at_once: int) -> Tensor:
    del at_once
    return _near(completions, filled_with_nearest(completions[0], hidden, model.config.patch), hidden)


def _near(completions: Tensor, filling: Tensor, hidden: Tensor) -> Tensor:
    return -(completions - filling)[:, :, hidden].double().square().mean((1, 2))


MEASURES: dict[str, Measure] = {
    "likelihood": _likelihood,
    "border": _border,
    "mean": _mean,
    "nearest": _nearest,
    "shuffled": _shuffled,
}
"""log p of its codes, nats; how little it jumps at the `border` of the hole; how near it is to the `mean` colour of what is
known, or to copies of the `nearest` known patch; and `shuffled`, log p where each code stands for another."""


class PUTCompletions(BeliefBackend):
    """A belief over completions of one picture, which stand side by side: softmax of how good each is / temperature.

    Args:
        model: in eval mode.
        measure: `likelihood`, or a rule that needs no model: `border`, `mean`, `nearest`; or `shuffled`, a control.
        at_once: patches that are judged before the model looks again.
        temperatures: measure → temperature, as fitted; 1 of others.
        temperature: in place of the measure's.
    """

    modality = "image"

    def __init__(
        self,
        model: PUT,
        *,
        measure: str = "likelihood",
        at_once: int = 7,
        temperatures: Mapping[str, float] | None = None,
        temperature: float | None = None,
    ) -> None:
        if measure not in MEASURES:
            raise UnknownName("measure of completions", measure, MEASURES)
        if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
            raise ConfigError(f"at_once is a whole number of at least 1; got {at_once!r}")
        self.model, self.measure, self.at_once = model.eval(), measure, at_once
        self.temperatures = dict(temperatures or {})
        self.temperature = self.temperatures.get(measure, 1.0) if temperature is None else temperature
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise BeliefError(f"temperature must be finite and above 0; got {self.temperature}")

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the agent of a folder that `debate train put` wrote; `options` are the class's."""
        model, stored = load_put(checkpoint, "put_completions", cls)
        if "measure" in options:
            # A temperature that was set for another measure is none of this one's.
            stored.pop("temperature", None)
        return cls(model, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        save_model(
            folder,
            self.model,
            self.model.config.sizes,
            measure=self.measure,
            at_once=self.at_once,
            temperatures=self.temperatures,
            temperature=self.temperature,
        )

    @property
    def name(self) -> str:
        """The backend's name."""
        return "put_completions"

    def check(self, observation: Observation) -> None:
        """Refuse what is too large or a strip, or of which nothing is said to be hidden."""
        check_picture(self.name, observation)
        if not isinstance(observation, PartlyHidden):
            raise RequestError(
                f"{self.name} compares completions, and is told what was hidden: pictures side by side and a mask (PartlyHidden)"
            )

    def panels(self, image: PartlyHidden, count: int) -> tuple[Tensor, Tensor]:
        """Return the completions [count, 3, S, S] that stand side by side, and what was hidden of them, [S, S].

        Raises:
            RequestError: they are not so many, or not of one picture with one hole.
        """
        height, width = image.hidden.shape
        if width != count * height:
            raise RequestError(
                f"{self.name} is shown a square for each of the {count} options, side by side; this has {width} x {height}"
            )
        side = self.model.config.side
        parts = [
            square(
                PartlyHidden(image.pixels[..., start : start + height], image.hidden[:, start : start + height]), side
            )
            for start in range(0, width, height)
        ]
        pixels, holes = torch.stack([each for each, _ in parts]), torch.stack([each for _, each in parts])
        hidden = holes[0]
        if bool((holes != hidden).any()) or bool((pixels != pixels[:1])[:, :, ~hidden].any()):
            raise RequestError(
                f"{self.name} compares completions of one picture: alike but for what was hidden, the same in all"
            )
        return pixels, hidden

    @torch.inference_mode()
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [self._one(case, image) for case, image in zip(cases, observations, strict=True)]

    def _one(self, case: Question, image: PartlyHidden) -> Belief:
        labels = case.labels or case.options
        if len(labels) < 2:
            return Belief.abstain(labels, "the case has no options to compare")
        pixels, hidden = self.panels(image, len(labels))
        if not bool(hidden.any()):
            return Belief.abstain(labels, "nothing is hidden in the picture")
        found = MEASURES[self.measure](self.model, pixels, hidden, self.at_once)
        return Belief.from_log_likelihoods(labels, (found / self.temperature).tolist())
