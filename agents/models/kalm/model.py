"""Qwen2 without its causal mask, mean-pooled: KaLM-Embedding-V2's encoder. B texts, T positions, D width."""

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from agents.errors import UnknownName
from agents.models.sentences.batch import last_pooled, mean_pooled

POOLINGS = {"mean": mean_pooled, "last": last_pooled}


@dataclass(frozen=True)
class Reading:
    """How the language model is read; the defaults are the paper's, the others its baselines.

    Attributes:
        bidirectional: every position sees every other one.
        pooling: `mean` or `last`.
        longest: texts are cut there, in tokens.
    """

    bidirectional: bool = True
    pooling: str = "mean"
    longest: int = 512

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise UnknownName("pooling", self.pooling, POOLINGS)

    @property
    def sizes(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return asdict(self)


class Encoder(nn.Module):
    """One vector a text.

    Args:
        body: transformers' Qwen2Model.
        reading: how it is read.
    """

    def __init__(self, body: Any, reading: Reading) -> None:
        super().__init__()
        self.body, self.reading = body, reading

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """Return vectors [B, D], not normalised, of token numbers [B, T] and which are no padding [B, T]."""
        return POOLINGS[self.reading.pooling](self.states(tokens, there), there)

    def states(self, tokens: Tensor, there: Tensor) -> Tensor:
        """Return the states after the last norm [B, T, D]."""
        from transformers.masking_utils import create_bidirectional_mask

        # Asked for here, whatever the checkpoint's config says: transformers' masks go by it.
        self.body.config.is_causal = not self.reading.bidirectional
        embedded = self.body.embed_tokens(tokens)
        mask: Any = there.long()
        if self.reading.bidirectional:
            # Never left out: without a mask, the attention would take itself for causal again.
            seen = create_bidirectional_mask(
                config=self.body.config,
                inputs_embeds=embedded,
                attention_mask=there.long(),
                allow_is_bidirectional_skip=False,
            )
            mask = dict.fromkeys(("full_attention", "sliding_attention"), seen)
        found: Tensor = self.body(inputs_embeds=embedded, attention_mask=mask, use_cache=False).last_hidden_state
        return found
