"""ATLAS as a causal language model of transformers: a Llama whose blocks have a memory in place of attention.

A block's memory, one a head: queries and keys go through a causal convolution of four positions, channel by channel, and become
polynomial features; the Omega rule writes keys and values; four gates of the stream say what is kept of the memory (α) and
of its momentum (θ), how large a step is (η) and how much a token weighs (γ). Nothing says where a position is but the
convolution and the order of writing. The feed-forward part, the norms and the head are transformers' own.

What a layer keeps of a position in a cache is what goes into the memory there: the key and the query before the convolution,
the value and the gates. The memory is a function of these, computed in segments that begin at multiples of 64 positions, so
that it is the same, number for number, whatever was cached, and whichever cache of keys and values holds them.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from agents.attention.dispatch import has_own, heard_in
from agents.attention.row_attention import Notes, NotingAttention
from agents.errors import ConfigError
from agents.models.atlas.features import polynomial_features
from agents.models.atlas.memory import State, Writes, bounded_steps, empty_state, read_in_chunks, read_step_by_step
from agents.models.remembered import Remembered, names_of

SEGMENT = 64
TAPS = 4
GATES = 4
# Added to the gate of what is kept of a memory, which is nearly everything at first.
KEEPS = 6.0
# Bytes of the states that are remembered, of all rows of a layer together.
KEPT_BYTES = 64 << 20


class AtlasConfig(LlamaConfig):  # type: ignore[misc]
    """A Llama's config and the settings of its memories.

    Attributes:
        rule: `omega` (OmegaNet: plain steps, no momentum) or `atlas` (momentum, and steps orthogonalised as Muon's).
        degree: p of the features.
        omega: c, the positions that the loss looks at.
        chunk: positions whose gradients are taken at one place; 1: each at its own, as the recurrence says.
        rate: the largest step, over the curvature that it meets; with `rule: atlas` the largest step itself.
    """

    model_type = "atlas"
    base_model_tp_plan = None

    rule: Literal["omega", "atlas"] = "omega"
    degree: int = 2
    omega: int = 8
    chunk: int = 1
    rate: float = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        if self.rule not in ("omega", "atlas"):
            raise ConfigError(f"an ATLAS memory's rule is omega or atlas; got {self.rule!r}")
        if not 1 <= self.degree <= 4 or self.omega < 1:
            raise ConfigError(
                f"an ATLAS memory's degree is 1 to 4 and its omega at least 1; got {self.degree} and {self.omega}"
            )
        if self.chunk < 1 or SEGMENT % self.chunk:
            raise ConfigError(f"an ATLAS memory's chunk divides {SEGMENT}; got {self.chunk}")
        most = 1 / self.chunk if self.rule == "omega" else math.inf
        if not 0 < self.rate <= most or not math.isfinite(self.rate):
            raise ConfigError(
                f"an ATLAS memory's rate is above 0 and, by the rule omega, at most 1 / chunk, beyond which a memory that also "
                f"forgets may grow without end; got {self.rate:g} with chunks of {self.chunk}"
            )
        super().__post_init__(**kwargs)


class MemoryMixer(nn.Module, NotingAttention):
    """The part of a block that hears other positions; H heads of width D, F features.

    Args:
        config: of the model.
        layer_idx: number of the block.
    """

    def __init__(self, config: AtlasConfig, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.heads, self.width = config.num_attention_heads, config.head_dim
        inner = self.heads * self.width
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(config.hidden_size, inner, bias=False) for _ in range(3))
        self.gates = nn.Linear(config.hidden_size, self.heads * GATES)
        # Of keys and of queries.
        self.taps = nn.Parameter(torch.randn(2, self.heads, TAPS, self.width) / TAPS**0.5)
        # Of each head by itself: what a memory gives is small while it knows little.
        self.norm = nn.RMSNorm(self.width, eps=config.rms_norm_eps)
        self.o_proj = nn.Linear(inner, config.hidden_size, bias=False)
        self._states = Remembered(KEPT_BYTES)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, past_key_values: Any = None, **kwargs: Any
    ) -> tuple[Tensor, None]:
        """Return what is heard [B, T, hidden]; see transformers' attention layers for the arguments.

        Without a cache a row may have several texts, one where its position ids do not go on (packed rows, in training).

        Raises:
            NotImplementedError: rows behind padding.
        """
        shape = (*hidden_states.shape[:-1], self.heads, -1)
        query, key, value, gates = (
            layer(hidden_states).view(shape).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj, self.gates)
        )
        keys, values = torch.cat([key, query], -1), torch.cat([value, gates], -1)
        if past_key_values is not None:
            keys, values = past_key_values.update(keys, values, self.layer_idx)
        begins = _beginnings(kwargs.get("position_ids")) if past_key_values is None else None
        if begins is not None and has_own(self.config):
            heard = self._read_apart(keys, values, begins).to(query)
        else:
            heard = heard_in(
                self,
                query,
                keys,
                values,
                attention_mask,
                what="a memory",
                own=lambda: self._read(keys, values, query.shape[2]).to(query),
            )
        return self.o_proj(self.norm(heard).flatten(2)), None

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        scaling: float,
        layer: int,
        queries: Tensor | None = None,
        notes: Notes | None = None,
    ) -> Tensor:
        """Return what the last positions of one row hear [H, Q, D], of what its cache holds; see `NotingAttention`."""
        return self._read(key[None], value[None], query.shape[1], notes)[0].to(query)

    def _read(self, keys: Tensor, values: Tensor, count: int, notes: Notes | None = None) -> Tensor:
        """Return y [B, H, count, D] of the last positions of L, in float32 at least."""
        length = keys.shape[2]
        start = (length - count) // SEGMENT * SEGMENT
        state, heard = self._state_at(keys, values, start, notes), []
        for first in range(start, length, SEGMENT):
            y, state = self._segment(keys, values, first, min(first + SEGMENT, length), state)
            heard.append(y)
        return torch.cat(heard, 2)[:, :, -count:]

    def _read_apart(self, keys: Tensor, values: Tensor, begins: Tensor) -> Tensor:
        """Return y [B, T, H, D] of rows of texts that begin where `begins` [B, T] says: each has a memory of its own."""
        first = begins.flatten().nonzero()[:, 0]
        text = begins.flatten().cumsum(0) - 1
        place = torch.arange(len(text), device=text.device) - first[text]
        longest = int(place.max()) + 1

        def apart(part: Tensor) -> Tensor:
            filled = part.new_zeros(len(first), longest, part.shape[1], part.shape[3])
            filled[text, place] = part.transpose(1, 2).flatten(0, 1)
            return filled.transpose(1, 2)

        heard: Tensor = self._read(apart(keys), apart(values), longest).transpose(1, 2)[text, place]
        return heard.reshape(*begins.shape, *heard.shape[1:])

    def _state_at(self, keys: Tensor, values: Tensor, start: int, notes: Notes | None) -> State | None:
        """Return the state before a segment's first position, from the last segment before whose state is remembered."""
        remembers = len(keys) == 1 and not torch.is_grad_enabled()
        names = names_of(self.taps, (keys[0], values[0]), SEGMENT, start, notes) if remembers else []
        known, kept = self._states.latest(names)
        state = None if kept is None else State(*kept)
        for place in range(known + 1, start // SEGMENT):
            _, state = self._segment(keys, values, place * SEGMENT, (place + 1) * SEGMENT, state)
            if remembers:
                # A rule without a momentum reads none.
                momentum = state.momentum if self.config.rule == "atlas" else state.momentum.new_zeros(0)
                self._states.keep(names[place], *state._replace(momentum=momentum))
        return state

    def _segment(self, keys: Tensor, values: Tensor, first: int, end: int, state: State | None) -> tuple[Tensor, State]:
        """Return y [B, H, end − first, D] and the state after, given the state before; None: at the beginning."""
        wide = torch.promote_types(keys.dtype, torch.float32)
        written = keys[:, :, max(0, first - TAPS + 1) : end].to(wide)
        written = functional.pad(written, (0, 0, TAPS - 1 - min(first, TAPS - 1), 0))
        key, query = (
            polynomial_features(_convolved(part, taps), self.config.degree)
            for part, taps in zip(written.chunk(2, -1), self.taps.to(written), strict=True)
        )
        now = values[:, :, first:end].to(wide)
        value, gates = now[..., : self.width], now[..., self.width :]
        keep, *others = gates.unbind(-1)
        alpha, theta, eta, gamma = map(torch.sigmoid, (keep + KEEPS, *others))
        rate, muon = self.config.rate * eta, self.config.rule == "atlas"
        writes = Writes(key, query, value, alpha, gamma, rate, theta if muon else None)
        state = empty_state(writes, self.config.omega) if state is None else state
        if not muon:
            writes = writes._replace(eta=bounded_steps(rate, writes.keys, gamma, state))
        if self.config.chunk == 1:
            return read_step_by_step(state, writes, muon=muon)
        return read_in_chunks(state, writes, chunk=self.config.chunk, muon=muon)


class AtlasForCausalLM(LlamaForCausalLM):  # type: ignore[misc]
    """See the module's text."""

    config_class = AtlasConfig
    config: AtlasConfig
    # Nothing that computes attention can stand in for a memory; what goes by a name of transformers' own is computed here.
    _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = False

    def __init__(self, config: AtlasConfig) -> None:
        if config.num_attention_heads != config.num_key_value_heads:
            raise ConfigError(
                "an ATLAS model's heads have keys of their own: num_key_value_heads is num_attention_heads"
            )
        super().__init__(config)
        for place, layer in enumerate(self.model.layers):
            layer.self_attn = MemoryMixer(config, place)
        self.post_init()


def _convolved(written: Tensor, taps: Tensor) -> Tensor:
    """Return [B, H, T, D] of T positions and the three before [B, H, T + 3, D]; taps [H, 4, D], the own position's last."""
    count = written.shape[2] - TAPS + 1
    parts = (written[:, :, tap : tap + count] * taps[:, tap : tap + 1] for tap in range(TAPS))
    return torch.stack(list(parts)).sum(0)


def _beginnings(positions: Tensor | None) -> Tensor | None:
    """Return where texts begin in rows [B, T] of positions that do not go on throughout; None where every row is one text."""
    if positions is None or bool((positions.diff(dim=-1) == 1).all()):
        return None
    return functional.pad(positions.diff(dim=-1) != 1, (1, 0), value=True)


AutoConfig.register("atlas", AtlasConfig)
AutoModelForCausalLM.register(AtlasConfig, AtlasForCausalLM)
