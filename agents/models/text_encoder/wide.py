"""The recipe of wide attention: six layers of four heads against one of twenty-four, at the same steps."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time

import torch

from agents.beliefs.claims import Claim
from agents.models.blocks.config import EncoderConfig, aspect_ratio
from agents.models.blocks.cost import cost_of
from agents.models.blocks.encoder import Encoder
from agents.models.seeded import seeded
from agents.models.text_encoder.training import Recipe, read_corpus, right, trained
from agents.pretrained import Progress

HEADS, WIDTH, HEAD_WIDTH, HIDDEN = 24, 64, 16, 256
DEEP = aspect_ratio(HEADS, 6, width=WIDTH, head_width=HEAD_WIDTH, hidden=HIDDEN)
WIDE = aspect_ratio(HEADS, 1, width=WIDTH, head_width=HEAD_WIDTH, hidden=HIDDEN)
MARGIN = 0.01
"""By how much wide may be below deep."""
SHARE = 0.5
"""Of the deep encoder's parameters, that the wide one has at most."""
TOKENS = 64


def claims(out: Path, *, seeds: int = 5, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return whether one wide layer does what six do, and what it costs; models are kept under `out`.

    Multiply-adds of attention are equal by construction, and counted. Times are the CPU's of one text on one thread, the least of
    a hundred interleaved runs; they are told and not claimed.

    Args:
        out: models that are there are not trained again.
        seeds: training seeds, from 0.
        data: folder of SST-2.
        progress: told of each step that takes time, and of costs.
    """
    corpus, recipe = read_corpus(data), Recipe()
    deep, wide = cost_of(DEEP, TOKENS), cost_of(WIDE, TOKENS)
    progress(
        f"parameters {deep.parameters:,} and {wide.parameters:,}; multiply-adds of {TOKENS} words: attention {deep.attention:,} "
        f"and {wide.attention:,}, feed-forward {deep.feed_forward:,} and {wide.feed_forward:,}"
    )
    found: dict[str, list[float]] = {"deep": [], "wide": []}
    for seed in range(seeds):
        for name, config in (("deep", DEEP), ("wide", WIDE)):
            model = trained(out / f"{name}-{seed}", config, corpus, recipe, seed=seed, progress=progress)
            found[name].append(right(model, corpus.test))
            progress(f"{name}-{seed}: {found[name][-1]:.3f} right")
    for each in (64, 256):
        told = latency(DEEP, WIDE, tokens=each)
        progress(
            f"one text of {each} words: deep {told.first_ms:.2f} ms, wide {told.second_ms:.2f} ms, {told.ratio:.2f} times"
        )
    lowered = tuple(value - MARGIN for value in found["deep"])
    share = wide.parameters / deep.parameters
    return [
        Claim("SST-2: one layer of 24 heads above six of 4 less one point", tuple(found["wide"]), lowered, least=0.0),
        Claim("parameters of the encoder (negated share): at most half", (-share,) * seeds, (-SHARE,) * seeds, least=0.0),
        Claim("multiply-adds of attention, as a share of the deep one's: equal", (wide.attention / deep.attention,) * seeds,
              (1.0,) * seeds, within=0.0),
    ]  # fmt: skip


@dataclass(frozen=True)
class Latency:
    """Least CPU milliseconds of two encoders for one sequence, of interleaved runs, and how many times longer the first takes."""

    first_ms: float
    second_ms: float

    @property
    def ratio(self) -> float:
        """First over second."""
        return self.first_ms / self.second_ms


@torch.inference_mode()
def latency(first: EncoderConfig, second: EncoderConfig, *, tokens: int, runs: int = 100) -> Latency:
    """Return how long two encoders of random weights take for one sequence, in turns; the first ten runs are not counted.

    CPU time, since a busy machine keeps a process waiting for longer than a layer takes.
    """
    models = [seeded(partial(Encoder, config), 0).eval() for config in (first, second)]
    inputs = [
        torch.randn(1, tokens, config.width, generator=torch.Generator().manual_seed(0)) for config in (first, second)
    ]
    times: tuple[list[float], list[float]] = ([], [])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for run in range(runs + 10):
            for place, (model, x) in enumerate(zip(models, inputs, strict=True)):
                start = process_time()
                model(x)
                if run >= 10:
                    times[place].append(1000 * (process_time() - start))
    finally:
        torch.set_num_threads(threads)
    return Latency(min(times[0]), min(times[1]))
