"""Strings of spoken digits, clean or in white noise: which digits are said? (Free Spoken Digit Dataset, github Jakobovski.)

Three to eight clips of one speaker, one after the other with gaps, drawn from (seed, split, place). The variant is the
signal-to-noise ratio in decibels, `digit_strings:0`. Takes 0 to 4 are the test set; all speakers are in both splits.
"""

from collections.abc import Sequence

from agents.beliefs.sound_files import with_noise
from agents.errors import ModelError, TaskError
from agents.models.seeded import generator_of
from agents.models.sounds.digit_strings import by_speaker, drawn_string
from agents.models.sounds.edits import edits
from agents.models.sounds.spoken_digits import DIGITS
from evals.sample import Loaded, Sample, Score
from evals.scoring.digits import stated_digits
from evals.task import Task, TaskInfo
from evals.tasks.spoken_digits import RATIOS, clips_of

DEFAULT_SIZE = 200


class DigitStrings(Task):
    """Some of ten words, in order."""

    name = "digit_strings"
    info = TaskInfo(
        kind="text",
        splits=("test", "train"),
        source="Free Spoken Digit Dataset",
        licence="CC BY-SA 4.0",
        scoring="equal words; credit is 1 less the edits a word",
        needs_data=True,
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return the noise levels."""
        return RATIOS

    def load(self, at_least: int | None = None) -> Loaded:
        """Return strings of the split's clips: 200, or more where they are asked for."""
        try:
            voices = by_speaker(clips_of(self))
        except ModelError as error:
            raise TaskError(str(error)) from error
        samples = []
        for place in range(max(at_least or 0, DEFAULT_SIZE)):
            name = f"digit_strings-{self.split}-{self.seed}-{place:05d}"
            said = drawn_string(voices, generator_of(name))
            audio = said.audio
            if self.variant is not None:
                audio = with_noise(audio, float(self.variant), generator_of(f"{name}|{self.variant}"))
            samples.append(
                Sample(
                    id=name,
                    question=f"Recording {place + 1}: which digits are spoken, in order?",
                    target=said.words,
                    metadata={"snr_db": self.variant, "speaker": said.speaker, "digits": len(said.digits)},
                    observations=(audio,),
                )
            )
        return Loaded(tuple(samples), len(samples), source=str(self.data))

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the digits after the last `Answer:`, as words; without it all that are said."""
        return " ".join(DIGITS[digit] for digit in stated_digits(response)) or None

    def score(self, answer: str | None, target: str) -> Score:
        """Return whether all digits are right, and 1 less the insertions, deletions and substitutions a digit of the target."""
        plain = super().score(answer, target)
        if answer is None:
            return plain
        wrong = edits(answer.split(), target.split())
        return Score(plain.value, answer, target, credit=max(0.0, 1 - wrong / max(1, len(target.split()))))
