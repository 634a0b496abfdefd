"""An agent that knows in which order the steps of a solution stand."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.errors import BeliefError
from agents.models.checkpoint import load_model, save_model
from agents.models.mp3.order import OrderConfig, StepOrder
from agents.models.mp3.steps import steps_of
from agents.models.stored import made_of
from agents.observation import Observation
from agents.question import Question

SHIPPED = Path(__file__).resolve().parent / "checkpoints"
DEFAULT = "arithmetic"


def load_judge(checkpoint: str | None = None) -> tuple[StepOrder, dict[str, Any]]:
    """Return the network of a folder and the options beside it; the shipped one, of sums of products, by default.

    Raises:
        ModelError: no such judge there.
    """
    model, stored = load_model(
        SHIPPED / DEFAULT if checkpoint is None else checkpoint,
        "judge of order",
        lambda sizes: StepOrder(made_of(OrderConfig, sizes)),
        options_of=OrderJudge,
    )
    return model.eval(), stored


class OrderJudge(BeliefBackend):
    """A belief over options that are orders of a solution's steps: softmax of the log-probability of each order / temperature.

    The observation is the question that the solution is of. It abstains where options have no order to judge.

    Args:
        model: in eval mode.
        temperature: fitted on a validation split it is calibrated.
    """

    modality = "text"

    def __init__(self, model: StepOrder, *, temperature: float = 1.0) -> None:
        if not (temperature > 0 and math.isfinite(temperature)):
            raise BeliefError(f"temperature must be finite and above 0; got {temperature}")
        self.model, self.temperature = model.eval(), temperature

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the judge of a folder; the shipped one, of sums of products, by default."""
        model, stored = load_judge(checkpoint)
        return cls(model, **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        save_model(folder, self.model, self.model.config.sizes, temperature=self.temperature)

    @property
    def name(self) -> str:
        """The backend's name."""
        return "mp3_order"

    def check(self, observation: Observation) -> None:
        """Take any text; what is long is read to the judge's last word."""

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [self._one(case, observation.text) for case, observation in zip(cases, observations, strict=True)]

    def _one(self, case: Question, asked: str) -> Belief:
        labels, texts = case.alternatives
        if not texts:
            return Belief.abstain(labels, "the case has no options to compare")
        orders, most = [steps_of(text) for text in texts], self.model.config.places
        wrong = next((steps for steps in orders if not 2 <= len(steps) <= most), None)
        if wrong is not None:
            return Belief.abstain(labels, f"an option has {len(wrong)} steps; a judge takes 2 to {most}")
        if len({tuple(sorted(steps)) for steps in orders}) > 1:
            return Belief.abstain(labels, "the options are not orders of the same steps")
        found = self.model.order_log_probabilities(asked, orders)
        return Belief.from_log_likelihoods(labels, [value / self.temperature for value in found])
