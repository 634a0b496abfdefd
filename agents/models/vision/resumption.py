"""A training on disk between epochs: weights, optimiser and generator in one file of tensors, so that it goes on where it was."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from agents.errors import ModelError

FILE = "training.safetensors"


class Resumption:
    """What a training has come to, in a file of its folder.

    Args:
        folder: the training's.
        what: all that determines it, in words; a training of something else is not gone on with.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.path, self.what = folder / FILE, what

    def save(self, epochs: int, model: nn.Module, optimiser: torch.optim.Optimizer, generator: torch.Generator) -> None:
        """Write what there is after so many epochs."""
        from safetensors.torch import save_file

        held: dict[str, Tensor] = {f"model.{name}": value for name, value in model.state_dict().items()}
        for number, moments in optimiser.state_dict()["state"].items():
            held |= {f"optimiser.{number}.{name}": value for name, value in moments.items()}
        held["generator"] = generator.get_state()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        save_file(held, part, metadata={"epochs": str(epochs), "what": self.what})
        part.replace(self.path)

    def load(self, model: nn.Module, optimiser: torch.optim.Optimizer, generator: torch.Generator) -> int:
        """Take up what there is, and return after how many epochs that is; 0 where there is nothing.

        Raises:
            ModelError: a damaged file, or one of another training.
        """
        from safetensors import SafetensorError, safe_open

        if not self.path.is_file():
            return 0
        try:
            with safe_open(self.path, "pt") as file:
                facts: Mapping[str, str] = file.metadata() or {}
                held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if facts.get("what") != self.what:
                raise ModelError(f"{self.path} is of another training: {facts.get('what')}; remove it to begin anew")
            model.load_state_dict({name[6:]: value for name, value in held.items() if name.startswith("model.")})
            state: dict[int, dict[str, Tensor]] = {}
            for name, value in held.items():
                if name.startswith("optimiser."):
                    _, number, moment = name.split(".")
                    state.setdefault(int(number), {})[moment] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
            generator.set_state(held["generator"])
            return int(facts["epochs"])
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise ModelError(f"cannot go on with {self.path}: {error}; remove it to begin anew") from error

    def end(self) -> None:
        """Remove the file: the training is over."""
        self.path.unlink(missing_ok=True)
