"""Training data of a witness: what it sees of a hidden string, what it hears of others, and the string.

The right answer is the hidden string itself, so what is learned is to say each symbol as often as it is the right one: a
calibrated belief, though no probability is ever shown but in stated shares. What others say in text is made from what they may
believe exactly. Lines of evidence are of the training split alone.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agents.backend import Prompt
from agents.message import Message
from agents.prompts import Heard, Prompts
from debate.config.shipped import prompts_folder, role_folder
from evals.tasks.evidence import Line, World, asked, draw_case, draw_line, draw_string, likeliest, posterior, shares
from evals.training.recipe import Kind
from evals.training.turns import TaughtTurn

Form = Literal["plain", "chat"]
IN_WORDS, IN_SHARES = "witnesses", "witnesses_shares"


@dataclass(frozen=True)
class Overheard:
    """What every witness of a string said, as vectors.

    Attributes:
        world: its name.
        string: the hidden one.
        messages: of each witness, in order.
    """

    world: str
    string: str
    messages: tuple[Message, ...]


class WitnessCurriculum:
    """Draws a witness's turns: the world, the string, and which of the witnesses it is.

    Args:
        worlds: the worlds by name.
        format: of the prompts.
        heard: what debate turns hear, in place of text.
        split: of the lines.
    """

    def __init__(
        self, worlds: Mapping[str, World], format: Form, heard: Sequence[Overheard] = (), split: str = "train"
    ) -> None:
        self._worlds, self._heard, self._split = dict(worlds), list(heard), split
        most = max(len(world.noise) for world in worlds.values())
        self._prompts = {
            folder: [Prompts(prompts_folder(folder), format, role=role_folder(f"witness_{n + 1}")) for n in range(most)]
            for folder in (IN_WORDS, IN_SHARES)
        }

    def draw(self, rng: random.Random, mixture: Mapping[Kind, float]) -> TaughtTurn:
        """Return a turn of a kind drawn by weight: `solve`, `shares`, `debate` or `weigh`."""
        (kind,) = rng.choices(list(mixture), list(mixture.values()))
        if kind == "debate":
            return self.hear(rng) if self._heard else self.debate(rng)
        if kind == "weigh":
            return self.debate(rng, in_shares=True)
        return self.solve(rng, in_shares=kind == "shares")

    def solve(self, rng: random.Random, *, in_shares: bool = False) -> TaughtTurn:
        """Return a turn that says the string after what the witness sees, or states what may be believed of it."""
        world = self._worlds[rng.choice(list(self._worlds))]
        witness, string = rng.randrange(len(world.noise)), draw_string(world, rng)
        line = draw_line(world, witness, string, rng, self._split)
        folder = IN_SHARES if in_shares else IN_WORDS
        prompt = self.initial(world, witness, line, folder)
        return TaughtTurn(prompt, shares(world, posterior(world, line)) if in_shares else string)

    def debate(self, rng: random.Random, *, in_shares: bool = False) -> TaughtTurn:
        """Return a turn that hears the others in text: their likeliest strings, or what they may believe, stated."""
        world = self._worlds[rng.choice(list(self._worlds))]
        case = draw_case(world, rng, self._split)
        beliefs = [posterior(world, line) for line in case.lines]
        said = [shares(world, belief) if in_shares else likeliest(world, belief, rng) for belief in beliefs]
        witness = rng.randrange(len(case.lines))
        return self._hearing(
            world, witness, case.lines[witness], said, case.string, IN_SHARES if in_shares else IN_WORDS
        )

    def hear(self, rng: random.Random) -> TaughtTurn:
        """Return a turn that hears vectors; what the hearer itself sees of the string is drawn anew.

        It may be: given the string, its line is independent of what the other saw, and a prompt of witnesses shows what it said
        of an earlier line nowhere.
        """
        found = rng.choice(self._heard)
        world = self._worlds[found.world]
        witness = rng.randrange(len(found.messages))
        line = draw_line(world, witness, found.string, rng, self._split)
        return self._hearing(world, witness, line, found.messages, found.string, IN_WORDS)

    def initial(self, world: World, witness: int, line: Line, folder: str = IN_WORDS) -> Prompt:
        """Return the first round's prompt of a witness."""
        return self._prompts[folder][witness].initial(asked(world, [line] * len(world.noise)))

    def _hearing(
        self, world: World, witness: int, line: Line, said: Sequence[Heard], string: str, folder: str
    ) -> TaughtTurn:
        others = [message for place, message in enumerate(said) if place != witness]
        # Its prompt shows a witness its own line alone: those of the others may be anything.
        question = asked(world, [line] * len(world.noise))
        return TaughtTurn(self._prompts[folder][witness].debate(question, said[witness], others), string)
