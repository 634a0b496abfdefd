"""How severe is Parkinson's disease by one recording of a voice? (Parkinson's telemonitoring: Tsanas et al., 2010; UCI 189.)

Four grades of the total UPDRS. The question tells the sixteen measures, and the sample carries them as a series of one step, for
agents that look at columns. Every fifth person is asked about, and is not in the other split: recordings of one person are
alike. Not for clinical use.
"""

import re
from collections.abc import Sequence

import torch

from agents.errors import ModelError, TaskError
from agents.models.fusion.config import NOT_CLINICAL
from agents.models.fusion.voice import BORDERS, CHANNELS, CONFIG, GRADES, asked_about, read_voices
from agents.observation import Series
from evals.sample import Loaded, Sample
from evals.scoring.text import said
from evals.task import Task, TaskInfo

_MEANING = (
    f"1 (below {BORDERS[0]:g})",
    f"2 (from {BORDERS[0]:g})",
    f"3 (from {BORDERS[1]:g})",
    f"4 ({BORDERS[2]:g} or more)",
)
_GRADE = re.compile(r"(?<![\d.,])[1-4](?![\d.,]*\d)")


class VoiceSeverity(Task):
    """One of four grades; a variant names a channel whose measures are left out."""

    name = "voice_severity"
    info = TaskInfo(
        kind="choice",
        splits=("test", "train"),
        source="Parkinson's telemonitoring (UCI 189)",
        licence="CC BY 4.0",
        scoring="equal grades",
        needs_data=True,
    )

    @classmethod
    def variants(cls) -> tuple[str, ...]:
        """Return what may be missing."""
        return tuple(f"without-{name}" for name in CHANNELS)

    def load(self, at_least: int | None = None) -> Loaded:
        """Return every recording of the split's people, in an order drawn from the seed."""
        if self.data is None:
            raise TaskError(f"{self.name} has no hub source: give a folder with parkinsons_updrs.csv with --data")
        try:
            voices = read_voices(self.data)
        except ModelError as error:
            raise TaskError(str(error)) from error
        is_asked = torch.isin(voices.people, asked_about(voices))
        places = torch.arange(len(voices))[is_asked if self.split == "test" else ~is_asked]
        left_out = set(CHANNELS[self.variant.removeprefix("without-")]) if self.variant else set()
        kept = [place for place, name in enumerate(CONFIG.columns) if name not in left_out]
        names = tuple(CONFIG.columns[place] for place in kept)
        samples = []
        for place in places[torch.randperm(len(places), generator=torch.Generator().manual_seed(self.seed))].tolist():
            row = voices.columns[place, kept]
            measures = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, row.tolist(), strict=True))
            samples.append(
                Sample(
                    id=f"voice-{self.split}-{place:04d}",
                    question=f"Measures of a voice: {measures}. Which grade of Parkinson's disease has its speaker, by the total "
                    f"UPDRS: {', '.join(_MEANING[:-1])}, or {_MEANING[-1]}? {NOT_CLINICAL}",
                    target=GRADES[int(voices.grades[place])],
                    metadata={"person": int(voices.people[place])},
                    observations=(Series(row[None].float(), names),),
                )
            )
        return Loaded(tuple(samples), len(samples), source=str(self.data))

    def labels(self, sample: Sample) -> tuple[str, ...]:
        """Return the four grades."""
        return GRADES

    def extract(self, response: str, options: Sequence[str] = ()) -> str | None:
        """Return the grade after the last `Answer:`; else the only one that is said."""
        _, cue, after = said(response).rpartition("Answer:")
        found: list[str] = _GRADE.findall(after)
        if cue and found:
            return found[0]
        return found[0] if len(set(found)) == 1 else None
