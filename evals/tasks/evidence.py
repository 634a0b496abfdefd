"""What witnesses see of a hidden string, and what may be believed of it: a world as data, its draws, exact posteriors.

Every place of the hidden string holds one of A symbols, each as likely. A witness has G glimpses of every place. At a level
of noise of n tenths each glimpse is wrong with probability n / 10, and is then any other symbol, each as likely. The level is
drawn for each witness and place from those of the witness, who is told it: a witness is sharp at some places and vague at
others. Given the string, glimpses are independent, so beliefs of several witnesses are pooled by their product.

A symbols, G glimpses, L places, W witnesses.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator

from agents.errors import ConfigError, TaskError, UnknownName
from agents.yaml_file import read_yaml
from debate.config.frozen import Frozen
from debate.config.shipped import configs_folder
from evals.tasks.sums import split_of

Floats = NDArray[np.float64]
Digits = NDArray[np.int64]

ALPHABET = "abcdefgh"
FOLDER = "witnesses"
# Shares are stated in tenths, by one digit.
TENTHS = 10
# Rounding must not move a share of 0.3 to the digit below it.
ROUNDING = 1e-9
_LINE = re.compile(r"[0-9]+(?: [a-h]+)+")


class World(Frozen):
    """How strings are hidden, and how well each witness sees them."""

    symbols: int = Field(ge=2, le=len(ALPHABET))
    """A: the symbols are the first so many letters."""
    length: int = Field(ge=1, le=16)
    """L, places of the string."""
    glimpses: int = Field(default=2, ge=1, le=4)
    """G, glimpses of each place."""
    noise: tuple[tuple[int, ...], ...] = Field(min_length=1)
    """Of each witness the levels of noise in tenths, of which each place has one, each as likely."""

    @field_validator("noise")
    @classmethod
    def _levels(cls, noise: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        if not all(levels and all(0 < level < TENTHS for level in levels) for levels in noise):
            raise ValueError("every witness has at least one level of noise, each from 1 to 9 tenths")
        return noise

    @property
    def letters(self) -> str:
        """The symbols."""
        return ALPHABET[: self.symbols]

    def likelihood(self, level: int) -> Floats:
        """Return p(glimpse | symbol), [A glimpses, A symbols], at a level of noise in tenths."""
        wrong = level / TENTHS
        found = np.full((self.symbols, self.symbols), wrong / (self.symbols - 1))
        np.fill_diagonal(found, 1 - wrong)
        return found


@dataclass(frozen=True)
class Line:
    """What one witness sees.

    Attributes:
        levels: of noise, at each place.
        glimpses: G strings, each of one glimpse of every place.
    """

    levels: tuple[int, ...]
    glimpses: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(("".join(map(str, self.levels)), *self.glimpses))

    @classmethod
    def read(cls, text: str) -> "Line":
        """Return the line that a text writes.

        Raises:
            TaskError: it is none.
        """
        levels, *glimpses = text.split(" ")
        if not _LINE.fullmatch(text) or {len(part) for part in glimpses} != {len(levels)}:
            raise TaskError(
                f"what a witness sees is levels and glimpses of as many places, e.g. 15 ab ad; got {text!r}"
            )
        return cls(tuple(map(int, levels)), tuple(glimpses))


@dataclass(frozen=True)
class Case:
    """One hidden string and what each witness sees of it."""

    string: str
    lines: tuple[Line, ...]


def draw_string(world: World, rng: random.Random) -> str:
    """Return a hidden string."""
    return "".join(rng.choice(world.letters) for _ in range(world.length))


def draw_line(world: World, witness: int, string: str, rng: random.Random, split: str) -> Line:
    """Return what a witness, counted from 0, sees of a string: a line whose hash is of a split, so that splits share none."""
    levels = world.noise[witness]
    while True:
        drawn = tuple(rng.choice(levels) for _ in string)
        glimpses = tuple(
            "".join(_glimpse(world, symbol, level, rng) for symbol, level in zip(string, drawn, strict=True))
            for _ in range(world.glimpses)
        )
        line = Line(drawn, glimpses)
        if split_of(str(line)) == split:
            return line


def draw_case(world: World, rng: random.Random, split: str) -> Case:
    """Return a string and what everyone sees of it."""
    string = draw_string(world, rng)
    return Case(string, tuple(draw_line(world, w, string, rng, split) for w in range(len(world.noise))))


def asked(world: World, lines: Sequence[Line]) -> str:
    """Return the question: the symbols, and a line for each witness. Each witness's prompt shows its own line alone."""
    return "\n".join((f"a-{world.letters[-1]}", *map(str, lines)))


def read_lines(question: str) -> tuple[Line, ...]:
    """Return what the witnesses see, of a question."""
    return tuple(map(Line.read, question.split("\n")[1:]))


def posterior(world: World, line: Line) -> Floats:
    """Return what a witness may believe of each place after what it sees, [L, A] float64."""
    found = np.ones((len(line.levels), world.symbols))
    for place, level in enumerate(line.levels):
        likelihood = world.likelihood(level)
        for glimpse in line.glimpses:
            found[place] *= likelihood[world.letters.index(glimpse[place])]
    normed: Floats = found / found.sum(axis=1, keepdims=True)
    return normed


def pooled(beliefs: Sequence[Floats]) -> Floats:
    """Return what may be believed after what all saw, [L, A]: the product of the beliefs, the prior being even."""
    product = np.prod(np.stack(beliefs), axis=0)
    normed: Floats = product / product.sum(axis=1, keepdims=True)
    return normed


def likeliest(world: World, belief: Floats, rng: random.Random) -> str:
    """Return the likeliest symbol of each place, of equals one drawn."""
    said = []
    for row in belief:
        best = np.flatnonzero(row >= row.max() * (1 - ROUNDING))
        said.append(world.letters[int(rng.choice(best))])
    return "".join(said)


def first_likeliest(world: World, belief: Floats) -> str:
    """Return the likeliest symbol of each place, of equals (up to rounding) the first."""
    equal = belief >= belief.max(axis=1, keepdims=True) * (1 - ROUNDING)
    return "".join(world.letters[int(place)] for place in equal.argmax(axis=1))


def shares(world: World, belief: Floats) -> str:
    """Return a belief stated in words: each symbol, and after it the digits of its share at every place, e.g. a07b90."""
    rows = zip(world.letters, tenths(belief).T, strict=True)
    return "".join(f"{letter}{''.join(map(str, row))}" for letter, row in rows)


def tenths(belief: Floats) -> Digits:
    """Return the digits by which a belief is stated, [L, A]: each share in tenths, 9 from 0.9 on."""
    digits: Digits = np.minimum(TENTHS - 1, np.floor(TENTHS * belief + ROUNDING)).astype(np.int64)
    return digits


def read_shares(world: World, text: str) -> Digits | None:
    """Return the digits [L, A] that a statement of shares has; None where it is not of the form that `shares` writes."""
    form = "".join(rf"{letter}([0-9]{{{world.length}}})" for letter in world.letters)
    if (found := re.fullmatch(form, text.strip())) is None:
        return None
    return np.array([[int(digit) for digit in row] for row in found.groups()], dtype=np.int64).T


def worlds() -> list[str]:
    """Return the names of the shipped worlds."""
    return sorted(path.stem for path in (configs_folder() / FOLDER).glob("*.yaml"))


def load_world(name: str | Path) -> World:
    """Return a shipped world by name, or one of a file.

    Raises:
        UnknownName: there is none of that name.
        ConfigError: the file is no world.
    """
    path = name if isinstance(name, Path) else configs_folder() / FOLDER / f"{name}.yaml"
    if not isinstance(name, Path) and name not in worlds():
        raise UnknownName("world of witnesses", name, worlds())
    try:
        return World.model_validate(read_yaml(path))
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()]
        raise ConfigError("\n".join(lines)) from error


def _glimpse(world: World, symbol: str, level: int, rng: random.Random) -> str:
    if rng.random() >= level / TENTHS:
        return symbol
    return rng.choice([letter for letter in world.letters if letter != symbol])
