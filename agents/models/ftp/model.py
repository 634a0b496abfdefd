"""FTP as a causal language model of transformers: a Llama with a decoder of the future in place of its head.

Its logits are those of the decoder's first step, so that whatever runs causal language models runs it. Everything up to z_t is
transformers' own: caches, masks, rotary positions. The table that looks tokens up may be another model's, and is tied to the
logits, so that CIPHER messages are of that table.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.modeling_outputs import CausalLMOutputWithPast

from agents.errors import ConfigError
from agents.models.ftp.decoder import (
    UNSCORED,
    FutureDecoder,
    embeddings_ahead,
    future_loss,
    losses_by_step,
    targets_ahead,
)


class FTPConfig(LlamaConfig):  # type: ignore[misc]
    """A Llama's config and the sizes of what foretells. The paper's own sizes could not be read.

    Attributes:
        horizon: N, tokens that are foretold of one position.
        memory: P, vectors of the pseudo-sequence.
        decoder_layers: blocks of the decoder.
        discount: γ of the loss.
        chosen: positions of a row that a training step foretells from, drawn anew each time; 0 for all.
    """

    model_type = "ftp"
    base_model_tp_plan = None

    horizon: int = 8
    memory: int = 4
    decoder_layers: int = 1
    discount: float = 0.8
    chosen: int = 16

    def __post_init__(self, **kwargs: Any) -> None:
        if min(self.horizon, self.memory, self.decoder_layers) < 1 or not 0 < self.discount <= 1 or self.chosen < 0:
            raise ConfigError(
                "an FTP model has a horizon, memory and decoder_layers of at least 1, a discount above 0 and at most 1, and "
                f"chosen of at least 0; got {self.horizon}, {self.memory}, {self.decoder_layers}, {self.discount} and "
                f"{self.chosen}"
            )
        super().__post_init__(**kwargs)
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"an FTP model's hidden_size is a multiple of its heads; got {self.hidden_size} and "
                f"{self.num_attention_heads}"
            )


@dataclass
class FTPOutput(CausalLMOutputWithPast):  # type: ignore[misc]
    """What a forward pass gives.

    Attributes:
        states: z [B, keep, D] of the positions that have logits.
    """

    states: Tensor | None = None


class FTPForCausalLM(LlamaForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = FTPConfig
    config: FTPConfig

    def __init__(self, config: FTPConfig) -> None:
        super().__init__(config)
        self.future = FutureDecoder(config, config.horizon, config.memory, config.decoder_layers)
        self.post_init()

    @property
    def horizon(self) -> int:
        """N."""
        return self.config.horizon

    def foretell(self, states: Tensor, given: Tensor | None = None, *, keep: int = 0) -> Tensor:
        """Return the logits [..., n, V] of tokens t + 1 … t + n.

        Args:
            states: z [..., D].
            given: [..., n − 1, D], embeddings of t + 1 … t + n − 1, or vectors in their place; None for n = 1.
            keep: how many of the last; 0 for all.
        """
        logits: Tensor = self.lm_head(self.future(states, given)[..., -keep:, :])
        return logits

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Any = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> FTPOutput:
        """Return the next token's logits [B, keep, V] and the states.

        With labels [B, T] a model in training gives FTP's loss and no logits, and one that is not the loss of the next token,
        whose exponential is the perplexity. Labels are ids at their own places, `UNSCORED` where there is none.
        """
        kwargs.pop("num_items_in_batch", None)
        if inputs_embeds is None:
            inputs_embeds = self.get_input_embeddings()(input_ids)
        outputs = self.model(
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        states = outputs.last_hidden_state[:, kept]
        found = FTPOutput(
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            states=states,
        )
        if labels is not None and self.training:
            found.loss = self._future_loss(outputs.last_hidden_state, inputs_embeds, labels, position_ids)
            return found
        found.logits = self.foretell(states).squeeze(-2)
        if labels is not None:
            every = torch.arange(labels.shape[1], device=labels.device).expand(len(labels), -1)
            targets = targets_ahead(labels, every, 1, position_ids)
            found.loss = losses_by_step(found.logits[..., None, :], targets)[0][0]
        return found

    def _future_loss(self, states: Tensor, embeddings: Tensor, labels: Tensor, positions: Tensor | None) -> Tensor:
        chosen = choose(labels, self.config.chosen, positions)
        targets = targets_ahead(labels, chosen, self.horizon, positions)
        given = embeddings_ahead(embeddings, chosen, self.horizon)
        from_them = states.gather(1, chosen[..., None].expand(-1, -1, states.shape[-1]))
        return future_loss(self.foretell(from_them, given), targets, self.config.discount)


def choose(labels: Tensor, count: int, positions: Tensor | None = None) -> Tensor:
    """Return positions [B, S] drawn without replacement by torch's generator, first of those whose next token is scored.

    Args:
        labels: [B, T].
        count: S, or 0 for all T.
        positions: see `targets_ahead`.
    """
    every = torch.arange(labels.shape[1], device=labels.device).expand(len(labels), -1)
    if not count or count >= labels.shape[1]:
        return every
    scored = targets_ahead(labels, every, 1, positions)[..., 0] != UNSCORED
    return (torch.rand(labels.shape, device=labels.device) + scored).topk(count, dim=1).indices


AutoConfig.register("ftp", FTPConfig)
AutoModelForCausalLM.register(FTPConfig, FTPForCausalLM)
