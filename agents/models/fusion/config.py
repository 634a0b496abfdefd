"""What a fusion of channels looks at, and what its belief is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from agents.errors import ModelError
from agents.models.sounds.ranges import check_ranges

NOT_CLINICAL = "Not for clinical use."
AUDIO, SERIES = "audio", "series"


@dataclass(frozen=True)
class FusionConfig:
    """Labels and channels.

    Attributes:
        labels: what beliefs are over; lowest grade first where they are ordered.
        channels: channel → its columns, none in two channels.
        ordered: whether labels are grades, each head then one score between cutpoints (proportional odds).
        modality: `series`, whose columns have these names, or `audio`, of which mel statistics are the columns.
        rate_hz: samples a second of the sound that statistics are taken of.
    """

    labels: tuple[str, ...]
    channels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ordered: bool = False
    modality: str = SERIES
    rate_hz: int = 8000

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or not self.channels:
            raise ModelError("a fusion has two labels or more, and a channel or more")
        if self.modality not in (AUDIO, SERIES):
            raise ModelError(f"a fusion looks at {AUDIO} or {SERIES}; got {self.modality!r}")
        if wrong := check_ranges(self):
            raise ModelError(wrong)
        if not all(self.channels.values()) or len(set(self.columns)) < len(self.columns):
            raise ModelError("each channel of a fusion has a column or more, and no column is in two channels")
        # JSON has lists of both.
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "channels", {name: tuple(columns) for name, columns in self.channels.items()})

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All columns, channel by channel."""
        return tuple(column for columns in self.channels.values() for column in columns)

    @cached_property
    def places(self) -> dict[str, slice]:
        """Channel → where its columns stand among all."""
        found, start = {}, 0
        for name, columns in self.channels.items():
            found[name] = slice(start, start + len(columns))
            start += len(columns)
        return found

    @property
    def sizes(self) -> dict[str, object]:
        """Its fields as JSON values."""
        return {
            "labels": list(self.labels),
            "channels": {name: list(columns) for name, columns in self.channels.items()},
            "ordered": self.ordered,
            "modality": self.modality,
            "rate_hz": self.rate_hz,
        }
