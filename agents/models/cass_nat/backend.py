"""An agent that hears a whole sequence: a belief at each of its positions, of one pass."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.sequence import BeliefSequence
from agents.beliefs.sound_files import with_noise
from agents.errors import ConfigError
from agents.models.cass_nat.config import CASSNATConfig
from agents.models.cass_nat.decoding import at_once, likeliest, opinions
from agents.models.cass_nat.model import CASSNAT
from agents.models.seeded import number_of
from agents.models.sounds.backend import SoundBackend
from agents.models.stored import made_of
from agents.observation import Audio
from agents.question import Question

MOST_PATHS, MOST_DB = 256, 100


class CASSNATBackend(SoundBackend):
    """A belief over the model's labels at each position that its alignment finds; it abstains where it finds none.

    Args:
        model, temperature: as of SoundBackend.
        paths: alignments that are looked at, the best one and sampled ones; of several the one is taken whose tokens are the
            likeliest to the autoregressive decoder.
        opinion: says what this one of the paths makes of it, whatever the others do; 0 is the best path's.
        snr_db: noise of its own microphone, in decibels of the recording over it; none by default.
        seed: of the paths and of the noise, which depend on the recording too and on nothing else.
    """

    what, suffixes, longest_s = "CASS-NAT", (), 60.0
    model: CASSNAT

    def __init__(
        self,
        model: CASSNAT,
        *,
        paths: int = 1,
        opinion: int | None = None,
        snr_db: float | None = None,
        seed: int = 0,
        temperature: float = 1.0,
    ) -> None:
        if isinstance(paths, bool) or not isinstance(paths, int) or not 1 <= paths <= MOST_PATHS:
            raise ConfigError(f"paths is a whole number from 1 to {MOST_PATHS}; got {paths!r}")
        if opinion is not None and (
            isinstance(opinion, bool) or not isinstance(opinion, int) or not 0 <= opinion < paths
        ):
            raise ConfigError(
                f"opinion is the number of one of the {paths} paths, from 0; got {opinion!r}. Give more paths"
            )
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ConfigError(f"seed is a whole number; got {seed!r}")
        if snr_db is not None and (
            isinstance(snr_db, bool) or not isinstance(snr_db, int | float) or not abs(snr_db) <= MOST_DB
        ):
            raise ConfigError(f"snr_db is a number of decibels from -{MOST_DB} to {MOST_DB}; got {snr_db!r}")
        super().__init__(model, temperature=temperature)
        self.paths, self.opinion, self.snr_db, self.seed = paths, opinion, snr_db, seed

    @classmethod
    def made(cls, sizes: dict[str, Any]) -> CASSNAT:
        """Return a model of the sizes that a folder holds."""
        return CASSNAT(made_of(CASSNATConfig, sizes))

    @property
    def stored(self) -> dict[str, object]:
        """The options that lie beside the weights, as JSON values."""
        options = {"opinion": self.opinion, "snr_db": self.snr_db}
        given = {name: value for name, value in options.items() if value is not None}
        return {"temperature": self.temperature, "paths": self.paths, "seed": self.seed, **given}

    @property
    def name(self) -> str:
        """The backend's name."""
        return "cass_nat"

    def nothing(self, case: Question, reason: str) -> BeliefSequence:
        """Return no belief about a case, and why."""
        return BeliefSequence.abstain(self.labels(case), reason)

    def class_scores(self, audio: Audio) -> Tensor:
        """Return the scores [U, K] of each token of one sound, at the model's rate; those of the end are left out."""
        drawn = torch.Generator().manual_seed(self._number(audio))
        heard = audio if self.snr_db is None else with_noise(audio, self.snr_db, drawn)
        made = self.model.encode([self.model.spectrogram(heard.samples)])
        if self.opinion is not None:
            said = opinions(self.model, made, self.paths, drawn)[0][self.opinion]
        elif self.paths > 1:
            said = likeliest(self.model, made, self.paths, drawn)
        else:
            (said,) = at_once(self.model, made)
        return said.scores[:, 1:]

    @torch.inference_mode()
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[BeliefSequence]:
        return [
            self._sequence(case, self.class_scores(self.at_its_rate(audio)))
            for case, audio in zip(cases, observations, strict=True)
        ]

    def _sequence(self, case: Question, scores: Tensor) -> BeliefSequence:
        if not len(scores):
            return self.nothing(case, "no token is heard in the audio")
        return BeliefSequence(
            self.labels(case), tuple(Belief.of(self.labels(case), self.weights(row)) for row in scores)
        )

    def _number(self, audio: Audio) -> int:
        """Return the seed of what is drawn for a recording."""
        return number_of(f"{self.seed}|{audio.rate_hz}|".encode() + audio.samples.contiguous().numpy().tobytes())
