"""What a recipe teaches: arithmetic, or to be a witness. Where examples come from, what is looked at, and the test at the end."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agents.backend import Prompt
from agents.message import Message
from agents.prompts import Prompts
from debate.config.shipped import prompts_folder, role_folder
from evals.task import Task, create_task
from evals.tasks.evidence import draw_line, draw_string, load_world
from evals.tasks.sums import paper_form, worked, written
from evals.training.experts import ExpertCurriculum
from evals.training.recipe import Recipe
from evals.training.speaking import held_out, held_out_operands
from evals.training.testimony import IN_WORDS, Overheard, WitnessCurriculum
from evals.training.turns import QUESTION, Attempts, Curriculum, Drawer, TaughtTurn, training_operands

# Prompts → the CIPHER messages that they are answered with.
Say = Callable[[Sequence[Prompt]], Sequence[Message]]


class Subject(ABC):
    """What a recipe teaches."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @abstractmethod
    def curriculum(self, pool: Sequence[Attempts] = ()) -> Drawer:
        """Return where examples in text come from; of the pool what debate turns hear."""

    @abstractmethod
    def overheard(self, say: Say, other: Say, count: int, seed: str, split: str) -> Sequence[Any]:
        """Return what the model itself and the other one say of so many questions of a split, as vectors."""

    @abstractmethod
    def listening(self, overheard: Sequence[Any]) -> Drawer:
        """Return where examples come from whose debate turns hear what was overheard."""

    @abstractmethod
    def held_out(self, count: int, overheard: Sequence[Any] = ()) -> dict[str, list[TaughtTurn]]:
        """Return questions of the validation split: `solve`, alone, and `debate`, after hearing others."""

    @abstractmethod
    def test(self) -> tuple[Task, Prompts]:
        """Return the task that a trained model is asked single answers of, and the prompts."""


def subject_of(recipe: Recipe) -> Subject:
    """Return what a recipe teaches."""
    return Witnessing(recipe) if recipe.worlds else Sums(recipe)


class Sums(Subject):
    """The paper's arithmetic."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.prompts, self.own_first = (
            Prompts(prompts_folder(name), recipe.format) for name in ("tiny", "tiny_own_first")
        )

    def curriculum(self, pool: Sequence[Attempts] = ()) -> Drawer:
        """Return the curriculum of a debater, or of an expert."""
        if self.recipe.knows:
            return ExpertCurriculum(self.prompts, self.recipe.knows)
        return Curriculum(self.prompts, self.own_first, pool)

    def overheard(self, say: Say, other: Say, count: int, seed: str, split: str) -> Sequence[Attempts]:
        """Return expressions, each with two solutions, the other one's last."""
        rng = random.Random(f"{seed}|overheard")
        draw = training_operands if split == "train" else held_out_operands
        drawn = [draw(rng) for _ in range(count)]
        asked = [self.prompts.initial(QUESTION.format(written(paper_form(*operands)))) for operands in drawn]
        said = list(zip(say(asked), other(asked), strict=True))
        return [Attempts(operands, solutions) for operands, solutions in zip(drawn, said, strict=True)]

    def listening(self, overheard: Sequence[Attempts]) -> Drawer:
        """Return a debater's curriculum, or an expert's, whose debate turns hear vectors alone."""
        if self.recipe.knows:
            return ExpertCurriculum(self.prompts, self.recipe.knows, overheard)
        return Curriculum(self.prompts, self.own_first, overheard, only_pool=True)

    def held_out(self, count: int, overheard: Sequence[Attempts] = ()) -> dict[str, list[TaughtTurn]]:
        """Return single questions, and debate turns with one mistaken solution, or with what was overheard."""
        found = held_out(self.prompts, count, seed="held out", knows=self.recipe.knows)
        if overheard:
            found["debate"] = [self._turn(attempts) for attempts in overheard]
        return found

    def test(self) -> tuple[Task, Prompts]:
        """Return arithmetic on expressions that training never draws."""
        return create_task("arithmetic:held_out", split="test"), self.prompts

    def _turn(self, attempts: Attempts) -> TaughtTurn:
        terms = paper_form(*attempts.operands)
        own, *others = attempts.solutions
        return TaughtTurn(self.prompts.debate(QUESTION.format(written(terms)), own, others), str(worked(terms)))


class Witnessing(Subject):
    """Hidden strings, as their witnesses see and hear of them."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.worlds = {name: load_world(name) for name in recipe.worlds}

    def curriculum(self, pool: Sequence[Attempts] = ()) -> Drawer:
        """Return a witness's curriculum, in text."""
        return self._curriculum()

    def overheard(self, say: Say, other: Say, count: int, seed: str, split: str) -> Sequence[Overheard]:
        """Return hidden strings, each with what all its witnesses say as the other one says it: none hears itself."""
        rng = random.Random(f"{seed}|overheard")
        curriculum, asked, cases = self._curriculum(), [], []
        for _ in range(count):
            name = rng.choice(list(self.worlds))
            world = self.worlds[name]
            string = draw_string(world, rng)
            cases.append((name, string, len(world.noise)))
            for witness in range(len(world.noise)):
                asked.append(curriculum.initial(world, witness, draw_line(world, witness, string, rng, split)))
        said = iter(other(asked))
        return [Overheard(name, string, tuple(next(said) for _ in range(many))) for name, string, many in cases]

    def listening(self, overheard: Sequence[Overheard]) -> Drawer:
        """Return a witness's curriculum whose debate turns hear vectors."""
        return self._curriculum(overheard)

    def held_out(self, count: int, overheard: Sequence[Overheard] = ()) -> dict[str, list[TaughtTurn]]:
        """Return turns on lines of the validation split, also of stated shares where the recipe teaches them.

        Even the best witness says many strings wrong (`optima.py`); what shares are to be stated is certain.
        """
        rng = random.Random("held out")
        curriculum = self._curriculum(overheard, split="validation")
        debate = curriculum.hear if overheard else curriculum.debate
        found = {"solve": [curriculum.solve(rng) for _ in range(count)], "debate": [debate(rng) for _ in range(count)]}
        taught = {kind for stage in self.recipe.stages for kind, weight in stage.mixture.items() if weight}
        if "shares" in taught:
            found["shares"] = [curriculum.solve(rng, in_shares=True) for _ in range(count)]
        if "weigh" in taught:
            found["weigh"] = [curriculum.debate(rng, in_shares=True) for _ in range(count)]
        return found

    def test(self) -> tuple[Task, Prompts]:
        """Return the first world's task, asked of its first witness."""
        task = create_task(f"witnesses:{self.recipe.worlds[0]}", split="test")
        return task, Prompts(prompts_folder(IN_WORDS), self.recipe.format, role=role_folder("witness_1"))

    def _curriculum(self, heard: Sequence[Overheard] = (), split: str = "train") -> WitnessCurriculum:
        worlds: Mapping[str, Any] = self.worlds
        return WitnessCurriculum(worlds, self.recipe.format, heard, split)
