"""Strings of spoken digits: clips of one speaker, one after the other, with gaps of silence before, between and behind them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from agents.errors import ModelError
from agents.models.sounds.spoken_digits import DIGITS, Clip
from agents.observation import Audio

LENGTHS = (3, 8)
"""Least and most digits of a string."""
GAPS_S = (0.0, 0.25)
"""Least and most silence at each place."""


@dataclass(frozen=True)
class DigitString:
    """A string that is spoken, and by whom."""

    audio: Audio
    digits: tuple[int, ...]
    speaker: str

    @property
    def words(self) -> str:
        """The digits as words, a space between them."""
        return " ".join(DIGITS[digit] for digit in self.digits)


def by_speaker(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """Return the clips of each speaker, speakers by name.

    Raises:
        ModelError: clips of one speaker have several rates.
    """
    found: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        found[clip.speaker].append(clip)
    for own in found.values():
        first = own[0]
        if other := next((clip for clip in own if clip.audio.rate_hz != first.audio.rate_hz), None):
            raise ModelError(
                f"clips of one speaker are strung together at one rate; {first.name} has {first.audio.rate_hz} Hz and "
                f"{other.name} {other.audio.rate_hz}: resample them"
            )
    return dict(sorted(found.items()))


def drawn_string(
    voices: Mapping[str, Sequence[Clip]], generator: torch.Generator, *, lengths: tuple[int, int] = LENGTHS
) -> DigitString:
    """Return a string: its speaker, length, clips (each may come again) and gaps are drawn evenly.

    Args:
        voices: clips of each speaker, all of one rate.
        generator: of all that is drawn.
        lengths: least and most digits.
    """

    def drawn(least: int, most: int) -> int:
        return int(torch.randint(least, most + 1, (), generator=generator))

    names = list(voices)
    speaker = names[drawn(0, len(names) - 1)]
    own = voices[speaker]
    chosen = [own[drawn(0, len(own) - 1)] for _ in range(drawn(*lengths))]
    rate = chosen[0].audio.rate_hz
    least, most = (round(gap * rate) for gap in GAPS_S)
    pieces = [torch.zeros(drawn(least, most))]
    for clip in chosen:
        pieces += [clip.audio.samples, torch.zeros(drawn(least, most))]
    return DigitString(Audio(torch.cat(pieces), rate), tuple(clip.digit for clip in chosen), speaker)
