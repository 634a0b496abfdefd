"""Recipes: the transforms that a model goes through, in order, as text that is read back.

`tiny/dee | optin(macs=0.8) | optin(macs=0.5)` names a transformed model wherever a model may be named; an agent's
`transforms: [...]` is another way of writing it.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.errors import ConfigError
from agents.registry import load_named
from agents.transforms.axformer.transform import axformer
from agents.transforms.calibration import OWN, SHIPPED, SUMS, source_file
from agents.transforms.dsformer.transform import dsformer, dsformer_stf, svd
from agents.transforms.optin.transform import optin
from agents.transforms.ptq.transform import ptq
from agents.transforms.repquant.transform import repquant
from agents.transforms.subject import Outcome, Subject
from agents.transforms.topk.transform import topk
from agents.transforms.vtrans.transform import vtrans
from kernels.names import Named

GROUP = "debate.transforms"
# Of files in the cache: what an earlier version made is not used any more.
VERSION = 2
TRANSFORMS: dict[str, Callable[..., Outcome]] = {
    "axformer": axformer,
    "dsformer": dsformer,
    "dsformer_stf": dsformer_stf,
    "optin": optin,
    "ptq": ptq,
    "repquant": repquant,
    "svd": svd,
    "topk": topk,
    "vtrans": vtrans,
}


@dataclass(frozen=True)
class Step:
    """One transform of a recipe.

    Attributes:
        written: its name, and every parameter it can have, those that were not given by their defaults.
        function: what carries it out.
    """

    written: Named
    function: Callable[..., Outcome]

    def apply(self, subject: Subject) -> Outcome:
        """Change a model."""
        return self.function(subject, **self.written.parameters)

    def identity(self) -> str:
        """Return what decides, besides the model, what it makes: its text, texts that it reads, and code that is not shipped.

        Raises:
            ConfigError: there is no such file, or no source of the code.
        """
        files = []
        named = self.written.parameters.get("calibration")
        if isinstance(named, str) and named != OWN:
            files.append(SHIPPED if named == SUMS else source_file(named))
        if self.function not in TRANSFORMS.values():
            files.append(_source_of(self))
        try:
            hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        except OSError as error:
            raise ConfigError(f"{self.written}: cannot read {error.filename}: {error.strerror}") from error
        return " ".join([str(self.written), *hashes])


def _source_of(step: Step) -> Path:
    """Return the file that a transform of somebody else's is written in."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(step.function))
    except (TypeError, ValueError):
        file = None
    if file is None or not Path(file).is_file():
        raise ConfigError(
            f"the transform {step.written.name} has no source file, so what it makes cannot be told apart; write it into a module"
        )
    return Path(file)


def parse_recipe(texts: Iterable[str]) -> tuple[Step, ...]:
    """Return the steps of a recipe.

    Raises:
        UnknownName: a transform that does not exist.
        ConfigError: a parameter that it does not take, or of another type; or no step at all.
    """
    steps = []
    for text in texts:
        function, named = load_named(text, "transform", GROUP, TRANSFORMS, positional=1)
        defaults = {
            key: parameter.default
            for key, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        steps.append(Step(Named(named.name, {**defaults, **named.parameters}), function))
    if not steps:
        raise ConfigError("a recipe has at least one transform, e.g. optin(macs=0.6)")
    return tuple(steps)


def known() -> list[str]:
    """Return a line for each shipped transform: its parameters with their defaults, and what it does."""
    lines = []
    for name, function in sorted(TRANSFORMS.items()):
        parameters = inspect.signature(function).parameters.values()
        taken = ", ".join(f"{p.name}={p.default!r}" for p in parameters if p.kind is p.KEYWORD_ONLY)
        lines.append(f"{name}({taken}): {(inspect.getdoc(function) or '').splitlines()[0]}")
    return lines


def digest(base: str, recipe: Iterable[Step]) -> str:
    """Return the hash of a transformed model: of what it was made of, and of everything that decided how.

    Args:
        base: the hash of all that is the base's (`base_hash`).
        recipe: the steps.
    """
    made_of: list[Any] = [VERSION, base, [step.identity() for step in recipe]]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def shown(recipe: Iterable[Step]) -> str:
    """Return a recipe as it is recorded."""
    return " | ".join(str(step.written) for step in recipe)


def beside(text: str, folder: Path) -> str:
    """Return a step with the file that it reads, if that lies in a folder, named by its whole path.

    What cannot be read as a step is returned as it is: who carries it out says what is wrong.
    """
    from agents.registry import parse_named

    try:
        named = parse_named(text, "transform")
    except ConfigError:
        return text
    file = named.parameters.get("calibration")
    if not isinstance(file, str) or file in (OWN, SUMS) or not (folder / file).is_file():
        return text
    return str(Named(named.name, {**named.parameters, "calibration": str((folder / file).resolve())}))
