"""Attention within windows, and the one layer whose windows also hear a vector of everything before them.

Yoshida, Ettinger and Gimpel, Adding Recurrence to Pretrained Transformers for Improved Efficiency and Context Size (2020, arXiv
2008.07027): a text is cut into windows of w positions; after each window the states behind a chosen layer are averaged, a small
network of three maps makes one vector of the mean, and the next window has it as one more position that it attends to, at a
chosen layer. What could be read says no more; where the vector stands (in the stream, before the layer's norm, one place before
the window's first position) is our reading.

    m_j = MLP(mean over i < w of h_i),   h = blocks a … b of window j, whose block a also attends to m_(j−1)

B texts, H heads, L positions that are cached or new, Q of them new, d width of a head, D = H d width of the stream.
"""

from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, rotate_half

from agents.attention.dispatch import heard_in
from agents.attention.row_attention import Notes, NotingAttention
from agents.models.remembered import Remembered, names_of

# Bytes of the vectors that are remembered, of all rows together.
KEPT_BYTES = 1 << 20


class WindowAttention(nn.Module, NotingAttention):
    """Causal attention of each window to itself, with rotary places that begin anew in each.

    Args:
        config: of the model; `window` is w.
        layer_idx: number of the block.
    """

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__()
        self.config, self.layer_idx = config, layer_idx
        self.heads, self.width, self.window = config.num_attention_heads, config.head_dim, config.window
        inner = self.heads * self.width
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(config.hidden_size, inner, bias=False) for _ in range(3))
        self.o_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        stream: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """Return what is heard [B, Q, D]; see transformers' attention layers for the arguments.

        `stream` [B, Q, D] is what the block read before its norm, where the layer's cache has to keep that.

        Raises:
            NotImplementedError: rows behind padding.
        """
        query, key, value = self._projected(hidden_states)
        if stream is not None:
            value = torch.cat([value, self._split(stream)], -1)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        what, own = "attention within windows", partial(self._read, query, key, value)
        heard = heard_in(self, query, key, value, attention_mask, what=what, own=own)
        return self.o_proj(heard.flatten(2)), None

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
        """Return what the last positions of one row hear [H, Q, d], of what its cache holds; see `NotingAttention`."""
        return self._read(query[None], key[None], value[None], notes)[0]

    def alone(self, x: Tensor, before: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return what one whole window [B, w, D] hears of itself, and of a key and value before it."""
        query, key, value = self._projected(x)
        found: Tensor = self.o_proj(self._heard(query, key, value, before).transpose(1, 2).flatten(2))
        return found

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (self._split(part(x)) for part in (self.q_proj, self.k_proj, self.v_proj))
        return query, key, value

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, self.width).transpose(-2, -3)

    def _read(self, query: Tensor, key: Tensor, value: Tensor, notes: Notes | None = None) -> Tensor:
        """Return what the last Q of L positions hear [B, H, Q, d], window by window."""
        length, start = key.shape[2], key.shape[2] - query.shape[2]
        opening, found = start // self.window * self.window, []
        vector = self._vector_at(value, opening, notes)
        for first in range(opening, length, self.window):
            end = min(first + self.window, length)
            before = None if vector is None else self._as_position(vector)
            asking = query[:, :, max(first, start) - start : end - start]
            found.append(self._heard(asking, key[:, :, first:end], value[:, :, first:end, : self.width], before))
            if end < length:
                vector = self._after(value[:, :, first:end], vector, first // self.window)
        return torch.cat(found, 2)

    def _heard(self, query: Tensor, key: Tensor, value: Tensor, before: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return what the last positions of the beginning of a window hear [B, H, n, d]; `before` is at place 0."""
        first = 1
        if before is not None:
            key, value, first = torch.cat([before[0], key], 2), torch.cat([before[1], value], 2), 0
        places = torch.arange(first, first + key.shape[2], device=key.device)
        asking = places[-query.shape[2] :]
        theta = float(self.config.rope_parameters["rope_theta"])
        query, key = (_turned(x, at, self.window, theta) for x, at in ((query, asking), (key, places)))
        scores = query @ key.transpose(-1, -2) * self.width**-0.5
        scores = scores.masked_fill(places > asking[:, None], -torch.inf)
        shares = torch.softmax(scores, -1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(value.dtype)
        return shares @ value

    def _vector_at(self, value: Tensor, start: int, notes: Notes | None) -> Tensor | None:
        """Return the vector [B, D] that the window from `start` on hears; None where it hears none."""
        return None

    def _after(self, value: Tensor, vector: Tensor | None, number: int) -> Tensor | None:
        """Return the vector after a whole window, of what is kept of it and the vector before it."""
        return None

    def _as_position(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return the key and value [B, H, 1, d] of a vector [B, D]."""
        raise NotImplementedError


class RecurrenceMap(nn.Linear):
    """A map of the network that makes a vector. It keeps the size of what it reads, as the small weights of a Llama do not."""

    def reset(self) -> None:
        """Draw the weights that it begins with."""
        nn.init.normal_(self.weight, std=(2 / self.in_features) ** 0.5)
        nn.init.zeros_(self.bias)


class RecurrentAttention(WindowAttention):
    """The attention of block a. Its cache keeps the stream beside each value, of which the vectors are a function.

    Args:
        config: of the model.
        layer_idx: a.
        blocks: the blocks a … b, this attention's own the first of them.
    """

    def __init__(self, config: Any, layer_idx: int, blocks: list[LlamaDecoderLayer]) -> None:
        super().__init__(config, layer_idx)
        width = config.hidden_size
        self.recurrence = nn.Sequential(
            RecurrenceMap(width, width), nn.GELU(), RecurrenceMap(width, width), nn.GELU(), RecurrenceMap(width, width)
        )
        # A plain list: they are the model's own blocks, and not parts of this one.
        self._blocks = blocks
        self._vectors = Remembered(KEPT_BYTES)

    def train(self, mode: bool = True) -> "RecurrentAttention":
        """Set the mode, and forget vectors of weights that may have changed."""
        self._vectors.clear()
        super().train(mode)
        return self

    def _vector_at(self, value: Tensor, start: int, notes: Notes | None) -> Tensor | None:
        """See the class above; vectors are taken from the last window before whose own is remembered."""
        remembers = len(value) == 1 and not torch.is_grad_enabled()
        weights = self.o_proj.weight
        names = names_of(weights, (value[0],), self.window, start, notes) if remembers and start else []
        known, kept = self._vectors.latest(names)
        vector = None if kept is None else kept[0]
        for place in range(known + 1, start // self.window):
            vector = self._after(value[:, :, place * self.window : (place + 1) * self.window], vector, place)
            if remembers:
                self._vectors.keep(names[place], vector)
        return vector

    def _after(self, value: Tensor, vector: Tensor | None, number: int) -> Tensor:
        x = value[..., self.width :].transpose(1, 2).flatten(2)
        if vector is not None and number % self.config.truncated == 0:
            vector = vector.detach()
        for block in self._blocks:
            attention = block.self_attn
            before = None if attention is not self or vector is None else self._as_position(vector)
            x = x + attention.alone(block.input_layernorm(x), before)
            x = x + block.mlp(block.post_attention_layernorm(x))
        found: Tensor = self.recurrence(x.mean(1))
        return found

    def _as_position(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        _, key, value = self._projected(self._blocks[0].input_layernorm(vector)[:, None])
        return key, value


class RecurrentBlock(LlamaDecoderLayer):  # type: ignore[misc]
    """A block that shows its attention the stream as it is before the norm."""

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> Tensor:
        """Return [B, Q, D] of [B, Q, D]; see transformers' Llama."""
        found: Tensor = super().forward(hidden_states, stream=hidden_states, **kwargs)
        return found


def _turned(x: Tensor, places: Tensor, window: int, theta: float) -> Tensor:
    """Return x [B, H, n, d] rotated to its places [n]."""
    cosine, sine = (part.to(x.device)[places].to(x.dtype) for part in _turns(x.shape[-1], window, theta))
    found: Tensor = x * cosine + rotate_half(x) * sine
    return found


@lru_cache(maxsize=16)
def _turns(width: int, window: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cosines and sines [w + 1, d] of places 0 … w, as Llama has them."""
    frequencies = theta ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.outer(torch.arange(window + 1, dtype=torch.float64), frequencies).repeat(1, 2)
    return angles.cos().float(), angles.sin().float()
