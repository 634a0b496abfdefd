"""An agent that looks at several channels, or at one of them; what it says is not for clinical use."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend
from agents.beliefs.sound_files import resampled
from agents.errors import ConfigError, ModelError, RequestError, UnknownName
from agents.models.checkpoint import load_model, save_model
from agents.models.fusion.bands import CONFIG as BANDS
from agents.models.fusion.bands import band_statistics
from agents.models.fusion.config import AUDIO, NOT_CLINICAL, FusionConfig
from agents.models.fusion.model import FusionModel, broken
from agents.models.fusion.pool import FOLDER as POOL
from agents.models.fusion.pool import attributions, save_pool
from agents.models.seeded import generator_of
from agents.models.stored import made_of
from agents.observation import Audio, Observation, Series
from agents.question import Question

LONGEST_S = 60.0


class FusionBackend(BeliefBackend):
    """A belief over grades or classes, of all channels that are there; its grounds say what each added.

    A series' steps are recordings of one case, and their mean is looked at. A channel of which a column is not there is
    missing; where none is left, it abstains.

    Args:
        model: fitted, in eval mode.
        channel: looks at this one alone, and says its own belief, calibrated; by default at all, pooled.
        noise: channel → deviations of normal noise that it is broken by, drawn from (seed, case): a broken instrument.
        seed: of that noise.

    Raises:
        UnknownName: no such channel.
        ConfigError: a channel that is no name, noise that is no mapping, or a level of it that is no number, is not finite
            or is below 0.
    """

    template = f"{NOT_CLINICAL} Answer: {{label}}"

    def __init__(
        self,
        model: FusionModel,
        *,
        channel: str | None = None,
        noise: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        known = model.config.channels
        if not isinstance(noise, Mapping | None):
            raise ConfigError(
                f"noise is a mapping of channels to deviations, e.g. {{{next(iter(known))}: 4}}; got {noise!r}"
            )
        if not isinstance(channel, str | None):
            raise ConfigError(f"a channel is a name, one of {', '.join(known)}; got {channel!r}")
        for name in (*([] if channel is None else [channel]), *(noise or {})):
            if name not in known:
                raise UnknownName("channel", name, known)
        for name, level in (noise or {}).items():
            if isinstance(level, bool) or not isinstance(level, int | float) or not 0 <= level < float("inf"):
                raise ConfigError(f"noise of channel {name} is a number of deviations, 0 or more; got {level!r}")
        if model.config.modality == AUDIO and model.config.columns != BANDS.columns:
            raise ModelError("a fusion of sound has the bands' statistics as columns; this one has others")
        self.model, self.channel, self.noise, self.seed = model.eval(), channel, dict(noise or {}), seed
        # An instance's: sound, or columns of any source.
        self.modality = model.config.modality  # type: ignore[misc]

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder.

        Raises:
            ModelError: no such model there.
        """
        if checkpoint is None:
            raise ModelError(
                "fusion ships no weights: give checkpoint: FOLDER, made by `debate train fusion --data DIR`"
            )
        model, _ = load_model(checkpoint, "fusion", lambda sizes: FusionModel(made_of(FusionConfig, sizes)))
        return cls(model, **options)

    def save_pretrained(self, folder: Path) -> None:
        """Write model.safetensors and config.json, and the pool alone in `pool`; options are not kept."""
        save_pool(folder / POOL, self.model.pool)
        save_model(folder, self.model, self.config.sizes, notice=NOT_CLINICAL)

    @property
    def config(self) -> FusionConfig:
        """The model's."""
        return self.model.config

    @property
    def name(self) -> str:
        """The backend's name."""
        return "fusion"

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the model's."""
        return self.config.labels

    def check(self, observation: Observation) -> None:
        """Refuse a sound that is too long."""
        if isinstance(observation, Audio) and len(observation.samples) > LONGEST_S * observation.rate_hz:
            raise RequestError(f"fusion takes at most {LONGEST_S:g} s of sound; cut it into pieces")

    @torch.inference_mode()
    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        # One case at a time, so that a sum's order does not depend on how many there are.
        return [self._belief(observation) for observation in observations]

    def seen(self, columns: Tensor) -> Tensor:
        """Return standardised columns [F] of columns as they were measured, in the noise that its channels are broken by."""
        standard = self.model.standardised(columns[None])
        for name, level in self.noise.items():
            standard = broken(standard, self.config.places[name], level, self._drawn(columns, name))
        return standard[0]

    def channel_beliefs(self, columns: Tensor) -> Tensor:
        """Return what each channel believes [M, K] of columns [F] as they were measured."""
        return self.model.beliefs(self.seen(columns)[None])[0]

    def _belief(self, observation: Observation) -> Belief:
        columns, heard = self._columns(observation)
        asked = list(self.config.channels)
        if self.channel is not None:
            heard &= torch.tensor([name == self.channel for name in asked])
        labels = self.config.labels
        if not bool(heard.any()):
            wanted = "none of its channels" if self.channel is None else f"the channel {self.channel}"
            return Belief.abstain(labels, f"{wanted} is {'' if self.channel is None else 'not '}there")
        beliefs = self.channel_beliefs(columns)
        if self.channel is not None:
            said = beliefs[asked.index(self.channel)].tolist()
            return Belief.of(labels, said, grounds=f"{self.channel} alone. {NOT_CLINICAL}")
        belief = Belief.of(labels, self.model.pool(beliefs[None], heard[None])[0].exp().tolist())
        assert belief.best is not None
        added = attributions(self.model.pool.of_beliefs, beliefs, heard, labels.index(belief.best))
        return Belief.of(
            labels, belief.probabilities, grounds=f"{explained(asked, heard, added, belief.best)}. {NOT_CLINICAL}"
        )

    def _columns(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Return the columns [F] of what is looked at, 0 where there are none, and which channels are there [M]."""
        channels = self.config.channels
        if isinstance(observation, Audio):
            return band_statistics(resampled(observation, self.config.rate_hz)), torch.ones(len(channels)).bool()
        assert isinstance(observation, Series)
        means = dict(zip(observation.names, observation.values.double().mean(0).tolist(), strict=True))
        columns = torch.tensor([means.get(column, 0.0) for column in self.config.columns], dtype=torch.float64)
        there = [all(column in means for column in needed) for needed in channels.values()]
        return columns, torch.tensor(there)

    def _drawn(self, columns: Tensor, channel: str) -> torch.Generator:
        key = f"{self.seed}|{channel}|".encode() + struct.pack(f"<{len(columns)}d", *columns.tolist())
        return generator_of(key)


def explained(channels: Sequence[str], heard: Tensor, added: Tensor, label: str) -> str:
    """Return what each channel added to the log belief in a label, in words."""
    parts = [
        name + f" {value:+.2f}".replace("-", "−") if is_heard else f"{name} missing"
        for name, value, is_heard in zip(channels, added.tolist(), heard.tolist(), strict=True)
    ]
    return f"for {label}, nats: {', '.join(parts)}"
