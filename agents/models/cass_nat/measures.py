"""How a CASS-NAT fares on strings of spoken digits: token errors by each way of telling, calls and seconds, calibration."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median
from typing import TypeVar

import torch
from torch import Tensor

from agents.beliefs.sound_files import with_noise
from agents.models.cass_nat.decoding import at_once, greedy_ctc, likeliest, one_by_one
from agents.models.cass_nat.model import CASSNAT, Heard
from agents.models.sounds.digit_strings import DigitString, by_speaker, drawn_string
from agents.models.sounds.edits import aligned, edits
from agents.models.sounds.spoken_digits import Clip
from agents.models.sounds.training import TEST_SNR_DB
from agents.models.vision.measures import calibration_error, fitted_temperature
from agents.observation import Audio

LEVELS = (20.0, TEST_SNR_DB, 0.0)
"""Decibels of the tests."""
TESTED, FITTED, TIMED = 150, 150, 20
"""Strings of a test, for a temperature, and timed."""
TIMED_DIGITS = 8
PATHS = 16
T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """What one model came to.

    Attributes:
        errors: decibels → way of telling → edits over tokens that were said.
        lengths: decibels → way → share of strings with the right number of tokens.
        calibration: expected calibration error of a token's belief, without a temperature and with the fitted one.
        calls: of the decoder for eight digits one by one, the mean; all at once it is one.
        times_decoding: seconds one by one over those all at once, of decoder and alignment; medians.
        times_whole: the same with the encoder of both.
    """

    errors: dict[float, dict[str, float]]
    lengths: dict[float, dict[str, float]]
    calibration: tuple[float, float]
    calls: float
    times_decoding: float
    times_whole: float

    @property
    def right(self) -> dict[str, float]:
        """Way of telling → 1 less the token error at 10 dB."""
        return {way: 1 - error for way, error in self.errors[TEST_SNR_DB].items()}


def strings_in_noise(
    clips: Sequence[Clip], count: int, snr_db: float, *, seed: int, lengths: tuple[int, int] | None = None
) -> list[tuple[Audio, DigitString]]:
    """Return strings of clips in noise, the same for everybody."""
    generator, voices = torch.Generator().manual_seed(seed), by_speaker(clips)
    limits = {} if lengths is None else {"lengths": lengths}
    drawn = [drawn_string(voices, generator, **limits) for _ in range(count)]
    return [(with_noise(each.audio, snr_db, generator), each) for each in drawn]


def heard_of(model: CASSNAT, audio: Audio) -> Heard:
    """Return what the encoder makes of one sound."""
    return model.encode([model.spectrogram(audio.samples)])


@torch.inference_mode()
def measured(model: CASSNAT, clips: Sequence[Clip], *, temperature: float) -> Measured:
    """Return how a model in eval mode fares on strings of test clips."""
    ways: dict[str, Callable[[Heard, int], list[int]]] = {
        "CTC": lambda heard, _: greedy_ctc(heard)[0],
        "at once": lambda heard, _: at_once(model, heard)[0].symbols,
        "16 paths": lambda heard, place: likeliest(model, heard, PATHS, torch.Generator().manual_seed(place)).symbols,
        "one by one": lambda heard, _: one_by_one(model, heard).symbols,
    }
    errors: dict[float, dict[str, float]] = {}
    lengths: dict[float, dict[str, float]] = {}
    for level in LEVELS:
        strings = strings_in_noise(clips, TESTED, level, seed=1)
        wrong, fitting, total = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0), 0
        for place, (audio, string) in enumerate(strings):
            heard, wanted = heard_of(model, audio), [digit + 1 for digit in string.digits]
            total += len(wanted)
            for way, tell in ways.items():
                said = tell(heard, place)
                wrong[way] += edits(said, wanted)
                fitting[way] += len(said) == len(wanted)
        errors[level] = {way: count / total for way, count in wrong.items()}
        lengths[level] = {way: count / len(strings) for way, count in fitting.items()}
    scores, right = scored_tokens(model, strings_in_noise(clips, TESTED, TEST_SNR_DB, seed=1))
    calibration = calibration_error(scores, right), calibration_error(scores, right, temperature)
    return Measured(errors, lengths, calibration, *timed(model, strings_in_noise(
        clips, TIMED, TEST_SNR_DB, seed=2, lengths=(TIMED_DIGITS, TIMED_DIGITS)
    )))  # fmt: skip


@torch.inference_mode()
def scored_tokens(
    model: CASSNAT, strings: Sequence[tuple[Audio, DigitString]], *, inserted: bool = True
) -> tuple[Tensor, Tensor]:
    """Return the scores [n, K] of tokens that are said all at once, and which label is right [n]; −1 of what was inserted.

    Tokens and digits stand for each other by the alignment of fewest edits.

    Args:
        model: in eval mode.
        strings: recordings, and what is said in them.
        inserted: whether tokens are counted that stand for no digit.
    """
    rows, right = [], []
    for audio, string in strings:
        scores = at_once(model, heard_of(model, audio))[0].scores[:, 1:]
        for place, other in aligned(scores.argmax(-1).tolist(), string.digits):
            if place is not None and (other is not None or inserted):
                rows.append(scores[place])
                right.append(-1 if other is None else string.digits[other])
    return torch.stack(rows), torch.tensor(right)


def temperature_of(model: CASSNAT, clips: Sequence[Clip]) -> float:
    """Return the temperature that fits tokens of strings of clips at 10 dB best, those that stand for a digit."""
    strings = strings_in_noise(clips, FITTED, TEST_SNR_DB, seed=3)
    return fitted_temperature(*scored_tokens(model, strings, inserted=False))


def timed(model: CASSNAT, strings: Sequence[tuple[Audio, DigitString]]) -> tuple[float, float, float]:
    """Return calls of the decoder one by one, and seconds one by one over all at once, without and with the encoder.

    A string is told in both ways by turns, and each ratio is of medians.
    """
    seconds: dict[str, list[float]] = {"encoder": [], "at once": [], "one by one": []}

    def clock(name: str, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        found = work()
        seconds[name].append(time.perf_counter() - started)
        return found

    calls = []
    for audio, _ in strings:
        heard = clock("encoder", partial(heard_of, model, audio))
        clock("at once", partial(at_once, model, heard))
        calls.append(clock("one by one", partial(one_by_one, model, heard)).calls)
    encoder, fast, slow = (median(seconds[name]) for name in ("encoder", "at once", "one by one"))
    return fmean(calls), slow / fast, (encoder + slow) / (encoder + fast)
