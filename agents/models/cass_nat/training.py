"""The recipe: strings of spoken digits (Free Spoken Digit Dataset) in white noise of 0 to 30 dB, drawn anew in each step."""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from agents.beliefs.claims import Claim, claims_of
from agents.beliefs.sound_files import with_noise
from agents.models.blocks.config import EncoderConfig
from agents.models.cass_nat.backend import CASSNATBackend
from agents.models.cass_nat.config import CASSNATConfig
from agents.models.cass_nat.losses import loss_of, symbols_of
from agents.models.cass_nat.measures import Measured, measured, temperature_of
from agents.models.cass_nat.model import CASSNAT
from agents.models.checkpoint import CONFIG
from agents.models.fusion.calibration import save_calibration, shown
from agents.models.seeded import seeded
from agents.models.sounds.digit_strings import LENGTHS, by_speaker, drawn_string
from agents.models.sounds.spoken_digits import DIGITS, Clip, read_digits
from agents.models.sounds.training import SNR_DB, Recipe, train_on_digits
from agents.pretrained import Progress

CONFIGURED = CASSNATConfig(DIGITS, hop=100, encoder=EncoderConfig(64, 4, 4, 16, 192))
RECIPE = Recipe(epochs=20, batch=16, learning_rate=3e-3, weight_decay=0.01, longest=1.0)
STRINGS = 480
"""Of an epoch."""
GROWING = ((0.25, (1, 2)), (0.5, (1, 4)), (1.0, LENGTHS))
"""Shares of the steps up to which strings have so many digits: short ones first, which are aligned sooner."""
HELD_OUT_TAKES = ("18", "19")
"""Of the training clips: the temperature is fitted on strings of them, and nothing else is learnt from them."""


def train(
    model: CASSNAT,
    clips: Sequence[Clip],
    recipe: Recipe,
    *,
    strings: int,
    seed: int,
    progress: Progress = lambda _: None,
) -> CASSNAT:
    """Return the trained model; every string is drawn for its step, and `strings` of them are an epoch."""
    voices, drawn = by_speaker(clips), count()
    low, high = SNR_DB

    def loss(places: Sequence[int], generator: torch.Generator) -> Tensor:
        done = next(drawn) / (recipe.epochs * -(-strings // recipe.batch))
        lengths = next(lengths for share, lengths in GROWING if done < share)
        chosen = [drawn_string(voices, generator, lengths=lengths) for _ in places]
        decibels = low + (high - low) * torch.rand(len(chosen), generator=generator)
        noisy = [with_noise(each.audio, float(snr), generator) for each, snr in zip(chosen, decibels, strict=True)]
        heard = model.encode([model.spectrogram(sound.samples) for sound in noisy])
        return loss_of(model, heard, *symbols_of([each.digits for each in chosen]))

    return train_on_digits(model, range(strings), loss, recipe, seed=seed, progress=progress)


def _right(ours: str, baseline: str) -> Callable[[Measured], tuple[float, float]]:
    return lambda found: (found.right[ours], found.right[baseline])


# Text of a claim → the figures, `least`, `within`.
ASKED: dict[str, tuple[Callable[[Measured], tuple[float, float]], float | None, float | None]] = {
    "tokens right at 10 dB: all at once above the encoder's CTC": (_right("at once", "CTC"), 0.0, None),
    "tokens right at 10 dB: all at once near one by one": (_right("at once", "one by one"), None, 0.01),
    "tokens right at 10 dB: 16 sampled alignments above the best path": (_right("16 paths", "at once"), 0.0, None),
    "eight digits: calls of a decoder, one by one over all at once": (lambda found: (found.calls, 1.0), 2.0, None),
    "eight digits: seconds of alignment and decoder, one by one over all at once": (
        lambda found: (found.times_decoding, 1.0), 2.0, None,
    ),
    "eight digits: seconds with the encoder, one by one over all at once": (
        lambda found: (found.times_whole, 1.0), 0.5, None,
    ),
    "calibration error of a token at 10 dB (negated): with its temperature below that without": (
        lambda found: (-found.calibration[1], -found.calibration[0]), 0.0, None,
    ),
}  # fmt: skip


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return what of the paper's findings holds on strings of spoken digits; every model is kept under `out`.

    `by_noise.md` has the token errors by noise and how often the length is right, `calibration.md` the calibration errors.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of the spoken digits.
        progress: told of each step that takes time.
    """
    clips, test = (read_digits(data, split, rate_hz=CONFIGURED.rate_hz) for split in ("train", "test"))
    held_out = [clip for clip in clips if clip.name.split("_")[2] in HELD_OUT_TAKES]
    learnt = [clip for clip in clips if clip.name.split("_")[2] not in HELD_OUT_TAKES]
    found = []
    for seed in range(seeds):
        folder = out / f"strings-{seed}"
        if not (folder / CONFIG).is_file():
            progress(f"training CASS-NAT, seed {seed}")
            fresh = seeded(lambda: CASSNAT(CONFIGURED), seed)
            made = train(fresh, learnt, RECIPE, strings=STRINGS, seed=seed, progress=progress)
            CASSNATBackend(made, temperature=temperature_of(made, held_out)).save_pretrained(folder)
        backend = CASSNATBackend.from_pretrained(str(folder))
        progress(f"measuring seed {seed}")
        found.append(measured(backend.model, test, temperature=backend.temperature))
    _write(out, found)
    return claims_of(
        {text: [take(each) for each in found] for text, (take, _, _) in ASKED.items()},
        {text: (least, within) for text, (_, least, within) in ASKED.items()},
    )


def _write(out: Path, found: Sequence[Measured]) -> None:
    levels = list(found[0].errors)
    lines = [f"| wrong tokens, percent | {' | '.join(f'{level:g} dB' for level in levels)} |"]
    lines.append(f"|---|{'---|' * len(levels)}")
    for way in found[0].errors[levels[0]]:
        cells = [shown([100 * each.errors[level][way] for each in found], "{:.1f}") for level in levels]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    for way in found[0].lengths[levels[0]]:
        cells = [shown([100 * each.lengths[level][way] for each in found], "{:.1f}") for level in levels]
        lines.append(f"| {way}: strings of the right length | {' | '.join(cells)} |")
    (out / "by_noise.md").write_text("\n".join(lines) + "\n")
    save_calibration(out, {"a token, all at once": [each.calibration for each in found]})
