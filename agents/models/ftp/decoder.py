"""What foretells N tokens of one state: a short pseudo-sequence made of the state, and a small decoder that sees nothing else.

Walker, Future Token Prediction: Causal Language Modelling with Per-Token Semantic State Vector (2024, arXiv 2410.18160). The
text was not at hand in full: that the pseudo-sequence and the decoder are as wide as the encoder, the blocks' norms and the
learned places are our reading. Held against a reference in float64 (tests/agents/models/test_ftp.py).

D width, V vocabulary, N horizon, P vectors of a pseudo-sequence, n steps foretold (n ≤ N); `…` any leading dimensions.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

# Of targets, what the loss leaves out (torch's default).
UNSCORED = -100


class Attention(nn.Module):
    """Attention of several heads, in plain products: an engine that exchanges its models' attention leaves this one alone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: Tensor, memory: Tensor, *, causal: bool) -> Tensor:
        """Return [..., n, D] of queries x [..., n, D] to a memory [..., L, D]; `causal`: query i sees keys 0 … i."""
        q, k, v = (self._split(f(y)) for f, y in ((self.q_proj, x), (self.k_proj, memory), (self.v_proj, memory)))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        shares = torch.softmax(scores, -1, dtype=torch.promote_types(x.dtype, torch.float32)).to(x.dtype)
        out: Tensor = self.o_proj((shares @ v).transpose(-2, -3).flatten(-2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(-2, -3)


class FutureBlock(nn.Module):
    """Self-attention to the steps so far, attention to the pseudo-sequence, a feed-forward part; norms before each."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        width, heads = config.hidden_size, config.num_attention_heads
        self.self_attention, self.cross_attention = Attention(width, heads), Attention(width, heads)
        self.mlp = LlamaMLP(config)
        self.first_norm, self.second_norm, self.third_norm = (
            LlamaRMSNorm(width, eps=config.rms_norm_eps) for _ in range(3)
        )

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Return [..., n, D] of steps [..., n, D] and pseudo-sequences [..., P, D]."""
        normed = self.first_norm(x)
        x = x + self.self_attention(normed, normed, causal=True)
        x = x + self.cross_attention(self.second_norm(x), memory, causal=False)
        out: Tensor = x + self.mlp(self.third_norm(x))
        return out


class FutureDecoder(nn.Module):
    """h_1 … h_n of z_t and the inputs of steps 2 … n: softmax(E h_i) is the belief about token t + i.

    The memory of position t is M_t = W z_t + b as P vectors, and of no other position. Step 1 is fed a begin vector, and step i
    the embedding of token t + i − 1, or a vector in its place; each with the place of the step.

    Args:
        config: a Llama's, whose width, heads and feed-forward part it takes.
        horizon: N.
        memory: P.
        layers: blocks.
    """

    def __init__(self, config: LlamaConfig, horizon: int, memory: int, layers: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.memory = nn.Linear(width, memory * width)
        # The first place is the begin vector.
        self.places = nn.Embedding(horizon, width)
        self.layers = nn.ModuleList([FutureBlock(config) for _ in range(layers)])
        self.norm = LlamaRMSNorm(width, eps=config.rms_norm_eps)

    def forward(self, states: Tensor, given: Tensor | None = None) -> Tensor:
        """Return h [..., n, D].

        Args:
            states: z [..., D].
            given: [..., n − 1, D], what steps 2 … n are fed; None for n = 1.
        """
        # Leading dimensions stay as they are: an adapter's part is added by the first of them (row by row).
        ahead = states.shape[:-1]
        memory = self.memory(states).view(*ahead, -1, states.shape[-1])
        steps = 1 if given is None else given.shape[-2] + 1
        x = self.places.weight[:steps].expand(*ahead, -1, -1)
        if given is not None:
            x = x + functional.pad(given, (0, 0, 1, 0))
        for layer in self.layers:
            x = layer(x, memory)
        out: Tensor = self.norm(x)
        return out


def targets_ahead(labels: Tensor, chosen: Tensor, horizon: int, positions: Tensor | None = None) -> Tensor:
    """Return the labels of t + 1 … t + N [B, S, N] of chosen positions t [B, S]; `UNSCORED` past the row's end, never wrapped.

    Args:
        labels: [B, T].
        chosen: [B, S].
        horizon: N.
        positions: [B, T], where a row has several texts, each from position 0 on: nothing is foretold past the end of one.
    """
    row = torch.arange(len(labels), device=labels.device)[:, None, None]
    steps = torch.arange(1, horizon + 1, device=labels.device)
    places = chosen[..., None] + steps
    inside = places < labels.shape[1]
    places = places.clamp_max(labels.shape[1] - 1)
    if positions is not None:
        inside = inside & (positions[row, places] == positions[row, chosen[..., None]] + steps)
    return labels[row, places].masked_fill(~inside, UNSCORED)


def embeddings_ahead(embeddings: Tensor, chosen: Tensor, horizon: int) -> Tensor:
    """Return the inputs of t + 1 … t + N − 1 [B, S, N − 1, D] of chosen positions [B, S]; past the end the last is repeated.

    What is foretold of a repeated one is never scored.
    """
    row = torch.arange(len(embeddings), device=embeddings.device)[:, None, None]
    places = chosen[..., None] + torch.arange(1, horizon, device=embeddings.device)
    return embeddings[row, places.clamp_max(embeddings.shape[1] - 1)]


def losses_by_step(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return CE_n [N] in nats, a mean over scored targets, and how many these are [N]; logits [..., N, V], targets [..., N]."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    each = functional.cross_entropy(wide.flatten(0, -2), targets.flatten(), ignore_index=UNSCORED, reduction="none")
    each, scored = each.view(-1, targets.shape[-1]), (targets != UNSCORED).view(-1, targets.shape[-1])
    counts = scored.sum(0)
    return each.sum(0) / counts.clamp_min(1), counts


def future_loss(logits: Tensor, targets: Tensor, discount: float) -> Tensor:
    """Return Σ_n γ^(n−1) CE_n / Σ_n γ^(n−1), over the n of which anything was scored; 0 where nothing was.

    It is no perplexity: that is CE_1 alone.
    """
    losses, counts = losses_by_step(logits, targets)
    weights = discount ** torch.arange(len(losses), dtype=losses.dtype, device=losses.device) * (counts > 0)
    return (weights * losses).sum() / weights.sum().clamp_min(1e-12)
