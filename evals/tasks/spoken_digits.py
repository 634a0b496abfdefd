"""Spoken digits, clean or in white noise: which one is it? (Free Spoken Digit Dataset, github Jakobovski.)

The question tells nothing; the sample carries the sound, for agents that hear. The variant is the signal-to-noise ratio in
decibels, `spoken_digits:0`; the noise of a clip depends on (seed, clip, ratio) alone. Takes 0 to 4 are the test set, as the
dataset's own rule has it; all six speakers are in both splits, so that this says nothing of strangers' voices.
"""

from collections.abc import Sequence

import torch

from agents.beliefs.sound_files import with_noise
from agents.errors import ModelError, ObservationError, TaskError
from agents.models.seeded import generator_of
from agents.models.sounds.spoken_digits import DIGITS, Clip, read_digits
from evals.sample import Loaded, Sample
from evals.scoring.digits import stated_digit
from evals.task import Task, TaskInfo

RATIOS = ("20", "10", "5", "0", "-5", "-10")


def clips_of(task: Task) -> list[Clip]:
    """Return the clips of a task's split.

    Raises:
        TaskError: they are not there, or damaged.
    """
    if task.data is None:
        raise TaskError(f"{task.name} has no hub source: give a folder with train.zip and test.zip with --data")
    try:
        return read_digits(task.data, task.split)
    except (ModelError, ObservationError) as error:
        raise TaskError(str(error)) from error


class SpokenDigits(Task):
    """One of ten words."""

    name = "spoken_digits"
    info = TaskInfo(
        kind="choice",
        splits=("test", "train"),
        source="Free Spoken Digit Dataset",
        licence="CC BY-SA 4.0",
        scoring="equal words",
        needs_data=True,
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the noise levels."""
        return RATIOS

    def load(self, at_least: int | None = None) -> Loaded:
        """Return every clip of the split, in an order drawn from the seed."""
        clips = clips_of(self)
        samples: list[Sample] = []
        for place in torch.randperm(len(clips), generator=torch.Generator().manual_seed(self.seed)).tolist():
            clip = clips[place]
            audio = clip.audio
            if self.variant is not None:
                noise = generator_of(f"{self.seed}|{clip.name}|{self.variant}")
                audio = with_noise(audio, float(self.variant), noise)
            samples.append(
                Sample(
                    id=f"spoken_digits-{self.split}-{clip.name}",
                    question=f"Recording {len(samples) + 1}: which digit is spoken?",
                    target=DIGITS[clip.digit],
                    metadata={"snr_db": self.variant},
                    observations=(audio,),
                )
            )
        return Loaded(tuple(samples), len(clips), source=str(self.data))

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the ten words."""
        return DIGITS

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the digit after the last `Answer:`, as a word; else the only one that is said."""
        found = stated_digit(response)
        return None if found is None else DIGITS[found]
