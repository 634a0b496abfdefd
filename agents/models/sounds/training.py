"""The recipe that sound models share: spoken digits in white noise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from agents.beliefs.sound_files import with_noise
from agents.models.sounds.spoken_digits import Clip
from agents.observation import Audio
from agents.pretrained import Progress

# White noise of the training, drawn anew for each clip and epoch, and of the test.
SNR_DB = (0.0, 30.0)
TEST_SNR_DB = 10.0
M = TypeVar("M", bound=nn.Module)
S = TypeVar("S")


@dataclass(frozen=True)
class Recipe:
    """How it is trained; gradients longer than `longest` are shortened, where it is above 0."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    longest: float = 0.0


def train_on_digits(
    model: M,
    clips: Sequence[S],
    loss_of: Callable[[Sequence[S], torch.Generator], Tensor],
    recipe: Recipe,
    *,
    seed: int,
    progress: Progress,
) -> M:
    """Return the trained model, in eval mode.

    Args:
        model: to train.
        clips: clips, or strings of them; each is seen once an epoch, in an order that is drawn.
        loss_of: clips of a batch → its mean loss; noise and places are drawn from the generator.
        recipe: how.
        seed: of order and noise.
        progress: told of each epoch.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * -(-len(clips) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total_steps=steps)
    model.train()
    for epoch in range(recipe.epochs):
        total = 0.0
        for places in torch.split(torch.randperm(len(clips), generator=generator), recipe.batch):
            chosen = [clips[int(place)] for place in places]
            loss = loss_of(chosen, generator)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if recipe.longest > 0:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.longest)
            optimiser.step()
            schedule.step()
            total += loss.item() * len(chosen)
        progress(f"epoch {epoch + 1} of {recipe.epochs}: loss {total / len(clips):.3f}")
    return model.eval()


def digits_of(clips: Sequence[Clip]) -> Tensor:
    """Return which digits are said [n]."""
    return torch.tensor([clip.digit for clip in clips])


def in_test_noise(clips: Sequence[Clip], snr_db: float = TEST_SNR_DB) -> list[Audio]:
    """Return clips in the test's noise, the same for everybody."""
    generator = torch.Generator().manual_seed(0)
    return [with_noise(clip.audio, snr_db, generator) for clip in clips]
