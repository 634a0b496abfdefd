"""A text from a text, all its tokens at once: an encoder, and a decoder that sees masks and the encoder's states.

The first chapters of Yoshida, Making the Most of your Model (2024, arXiv 2408.16241): both parts begin as copies of one masked
language model. The decoder reads as many masks as the text is foretold to have tokens, with full attention among them, and
attends to the encoder's states by attention that is new; it stands between the two parts of each block and adds nothing at first,
so that the decoder begins as the masked model that it was. The length is told from the state of the first token. Where the new
attention stands and what tells the length are our reading.

B texts, S tokens of a source, T of a target, D width, V rows of the table.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.models.blocks.config import EncoderConfig
from agents.models.blocks.encoder import EPSILON, Encoder
from agents.models.blocks.layers import Attention
from agents.models.blocks.masked import MaskedEncoder


class CrossAttention(Attention):
    """Tokens ask, and another text's answer. It gives nothing at first."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def of(self, x: Tensor, memory: Tensor, keys: Tensor) -> Tensor:
        """Return [B, T, D] of tokens [B, T, D] and others [B, S, D], of which those are keys that [B, S] bool says."""
        q, k, v = (
            each(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for each, y in ((self.q, x), (self.k, memory), (self.v, memory))
        )
        heard = functional.scaled_dot_product_attention(q, k, v, keys[:, None, None, :])
        found: Tensor = self.out(heard.transpose(1, 2).flatten(2))
        return found


class CrossEncoder(Encoder):
    """An encoder whose every layer also attends to another text, between its two parts."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.cross = nn.ModuleList(CrossAttention(config) for _ in range(config.layers))
        self.before_cross = nn.ModuleList(nn.LayerNorm(config.width, eps=EPSILON) for _ in range(config.layers))

    def hearing(self, x: Tensor, there: Tensor, memory: Tensor, keys: Tensor) -> Tensor:
        """Return states [B, T, D] of tokens [B, T, D] that hear others [B, S, D]; see `CrossAttention.of`."""
        for layer in range(self.config.layers):
            x = x + self._of(self.attention, layer)(self._of(self.before_attention, layer)(x), there)
            cross = self.cross[layer]
            assert isinstance(cross, CrossAttention)
            x = x + cross.of(self.before_cross[layer](x), memory, keys)
            x = x + self._of(self.feed_forward, layer)(self._of(self.before_feed_forward, layer)(x))
        found: Tensor = self.norm(x)
        return found


class NonAutoregressive(nn.Module):
    """See the module's text.

    Args:
        rows: V; the last row is the mask's.
        longest: tokens of a source or a target.
        config: of the blocks, without experts.
    """

    def __init__(self, rows: int, longest: int, config: EncoderConfig) -> None:
        super().__init__()
        self.mask, self.longest = rows - 1, longest
        self.source = MaskedEncoder(rows, longest, Encoder(config))
        self.target = MaskedEncoder(rows, longest, CrossEncoder(config))
        self.length = nn.Linear(config.width, longest + 1)

    def begin_with(self, masked: MaskedEncoder) -> None:
        """Take the weights of a masked language model for both parts; new attention and the length's map stay as they are."""
        weights = masked.state_dict()
        self.source.load_state_dict(weights)
        missing = self.target.load_state_dict(weights, strict=False)
        assert not missing.unexpected_keys
        assert all("cross" in name for name in missing.missing_keys)

    def read(self, tokens: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Return states [B, S, D] and scores of lengths [B, longest + 1] of sources [B, S]; `there` is False of padding."""
        states = self.source.states(tokens, there)
        return states, self.length(states[:, 0])

    def believe(self, memory: Tensor, keys: Tensor, lengths: Tensor) -> Tensor:
        """Return scores [B, T, V] of the tokens of targets of so many [B], T the most; behind a shorter one they mean nothing."""
        places = torch.arange(int(lengths.max()), device=memory.device)
        there = places < lengths[:, None]
        # A row with no token at all would ask nobody.
        there[:, 0] = True
        masks = torch.full(there.shape, self.mask, device=memory.device)
        decoder = self.target.encoder
        assert isinstance(decoder, CrossEncoder)
        return self.target.scores(decoder.hearing(self.target.inputs(masks), there, memory, keys))

    def loss(self, sources: Tensor, there: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
        """Return the mean −log p of target tokens [B, T] of the lengths [B] that they have, and that of the lengths, added."""
        memory, foretold = self.read(sources, there)
        scores = self.believe(memory, there, lengths)
        own = torch.arange(scores.shape[1]) < lengths[:, None]
        tokens = functional.cross_entropy(scores[own], targets[:, : scores.shape[1]][own])
        return tokens + functional.cross_entropy(foretold, lengths)

    @torch.inference_mode()
    def say(self, sources: Tensor, there: Tensor) -> list[Sequence[int]]:
        """Return the likeliest token at each place of the likeliest length, of sources [B, S]; at least one each."""
        memory, foretold = self.read(sources, there)
        lengths = foretold[:, 1:].argmax(-1) + 1
        tokens = self.believe(memory, there, lengths).argmax(-1)
        return [row[:length] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]
