"""CASS-NAT (Fan et al., 2023, arXiv:2304.07611): every token in one pass, by an alignment that says how many there are.

An encoder with a CTC head makes an alignment. Each of its tokens, and the end, gathers an acoustic embedding of its frames: sines
and cosines of its place ask, the encoder's frames under the trigger mask answer. Blocks of attention among these embeddings, then
among them and over all frames, and a softmax a token: no token waits for another. Beside it an autoregressive decoder of the same
width hears the same encoder: the baseline, and who judges sampled paths.

B recordings, L samples, F frames of the spectrogram, T of the encoder (a fourth), U tokens, M bands, K labels, D width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.cass_nat.alignment import present, trigger_mask
from agents.models.cass_nat.config import CASSNATConfig
from agents.models.cass_nat.layers import ConvolvedBlock, TokenBlock, places
from agents.models.lmuformer.features import log_mel

END = 0
"""Of the decoders' scores: the place of the end, which in the alignment is the blank's; label k is at k + 1."""


@dataclass(frozen=True)
class Heard:
    """What the encoder made of recordings.

    Attributes:
        frames: [B, T, D].
        lengths: [B], how many of the frames are there.
        log_probabilities: [B, T, K + 1] of the CTC head.
        middle: [B, T, K + 1] of the CTC head in the middle of the encoder.
    """

    frames: Tensor
    lengths: Tensor
    log_probabilities: Tensor
    middle: Tensor

    @property
    def mask(self) -> Tensor:
        """Frames that are there [B, 1, T] bool."""
        return present(self.lengths, self.frames.shape[1])[:, None]

    def repeated(self, times: int) -> "Heard":
        """Return the same, each recording so many times."""
        parts = (self.frames, self.lengths, self.log_probabilities, self.middle)
        return Heard(*(part.repeat_interleave(times, 0) for part in parts))


class Head(nn.Module):
    """Log-probabilities of symbols, behind a norm where the states before it have none."""

    def __init__(self, width: int, symbols: int, *, norm: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.scores = nn.Linear(width, symbols)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., K + 1] of [..., D]."""
        found: Tensor = self.scores(self.norm(x)).log_softmax(-1)
        return found


class CASSNAT(nn.Module):
    """See the module's text."""

    def __init__(self, config: CASSNATConfig) -> None:
        super().__init__()
        self.config = config
        inner, width, symbols = config.encoder, config.encoder.width, len(config.labels) + 1
        self.subsampling = nn.ModuleList(nn.Conv1d(size, width, 3, 2, padding=1) for size in (config.mels, width))
        self.blocks = nn.ModuleList(ConvolvedBlock(inner, config.kernel) for _ in range(inner.layers))
        self.norm = nn.LayerNorm(width)
        self.ctc, self.middle_ctc = Head(width, symbols, norm=False), Head(width, symbols, norm=True)
        self.acoustic = nn.ModuleList(TokenBlock(inner, among=False, over=True) for _ in range(config.acoustic))
        self.self_blocks = nn.ModuleList(TokenBlock(inner, among=True, over=False) for _ in range(config.self_blocks))
        self.mixed_blocks = nn.ModuleList(TokenBlock(inner, among=True, over=True) for _ in range(config.mixed_blocks))
        self.middle_head = Head(width, symbols, norm=True)
        self.head = Head(width, symbols, norm=True)
        self.table = nn.Embedding(symbols, width)
        self.one_by_one = nn.ModuleList(TokenBlock(inner, among=True, over=True) for _ in range(config.autoregressive))
        self.next_head = Head(width, symbols, norm=True)

    def spectrogram(self, samples: Tensor) -> Tensor:
        """Return [F, M] of samples [L]: log power in mel bands, each with mean 0 and deviation 1 over the recording."""
        config = self.config
        found = log_mel(samples, rate_hz=config.rate_hz, window=config.window, hop=config.hop, bands=config.mels)
        return (found - found.mean(0)) / found.std(0, unbiased=False).clamp_min(1e-3)

    def encode(self, spectrograms: Sequence[Tensor]) -> Heard:
        """Return what the encoder makes of spectrograms [F, M]; shorter ones are padded."""
        lengths = torch.tensor([len(each) for each in spectrograms])
        x = nn.utils.rnn.pad_sequence(list(spectrograms), batch_first=True)
        for convolution in self.subsampling:
            x = functional.gelu(convolution(x.transpose(1, 2)).transpose(1, 2))
            lengths = (lengths + 1) // 2
            x = x * present(lengths, x.shape[1])[..., None]
        there = present(lengths, x.shape[1])
        # What is heard outweighs where, which a convolution knows too.
        x = math.sqrt(x.shape[2]) * x + places(x.shape[1], x.shape[2])
        middle = x
        for place, block in enumerate(self.blocks):
            x = block(x, there)
            if place == (len(self.blocks) - 1) // 2:
                middle = x
        x = self.norm(x)
        return Heard(x, lengths, self.ctc(x), self.middle_ctc(middle))

    def tokens(self, heard: Heard, path: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities [B, U + 1, K + 1] of every token of a path [B, T] and of the end, all in one pass.

        Beside them those of the middle, and how many rows there are [B]: as many as the path has tokens, and one.
        """
        config, mask = self.config, heard.mask
        segments, rows = trigger_mask(path, heard.lengths, left=config.left, right=config.right)
        # Rows of padding attend to everything, so that there is something to attend to.
        segments = segments | (~present(rows, segments.shape[1])[..., None] & mask)
        seen = present(rows, segments.shape[1])[:, None]
        x = places(segments.shape[1], heard.frames.shape[2]).expand(len(path), -1, -1)
        for block in self.acoustic:
            x, _ = block(x, seen, heard.frames, segments)
        for block in self.self_blocks:
            x, _ = block(x, seen, heard.frames, mask)
        middle = self.middle_head(x)
        for block in self.mixed_blocks:
            x, _ = block(x, seen, heard.frames, mask)
        return self.head(x), middle, rows

    def following(self, heard: Heard, said: Tensor, past: Sequence[Tensor] = ()) -> tuple[Tensor, list[Tensor]]:
        """Return log-probabilities [B, U, K + 1] of what follows each symbol [B, U], and what the next call needs as `past`.

        One call of the autoregressive decoder. A sentence begins with the symbol of its end.
        """
        before = past[0].shape[1] if past else 0
        count = said.shape[1]
        x = self.table(said) + places(count, self.table.embedding_dim, first=before)
        seen = torch.ones(count, before + count, dtype=torch.bool).tril(before)[None]
        kept = []
        for place, block in enumerate(self.one_by_one):
            x, known = block(x, seen, heard.frames, heard.mask, past=past[place] if past else None)
            kept.append(known)
        return self.next_head(x), kept
