"""The rules, one class each. p is the belief softmax(z / T), E the table, v a token."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from kernels import noise
from kernels import scan as native_scan
from kernels.belief import restrict, scaled_logits
from kernels.encoders.base import Encoder, Mixed, RowKeys
from kernels.scan import Scan
from kernels.table import EmbeddingTable

# Up to so many likely tokens a scan collects itself; for more a sort is the better tool.
_MANY = 256


def _restricted(scanned: Scan, table: EmbeddingTable, top: int, top_k: int | None, top_p: float | None) -> Mixed:
    """The expectation over what is left after sorting whole rows."""
    keep = torch.isfinite(restrict(scaled_logits(scanned.logits, scanned.temperature), top_k, top_p, None))
    logits = scanned.logits.masked_fill(~keep, float("-inf"))
    return _mean(native_scan.scan(logits, scanned.temperature, delta=table.delta, top=top), table, top)


def _one_hot(ids: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(like).scatter_(1, ids[:, None], 1.0)


def _argmax(scaled: Tensor) -> Tensor:
    """The lowest id of the largest entry, which `scaled` holds as an exact 0."""
    return (scaled == 0).to(torch.uint8).argmax(dim=-1)


def _check(name: str, condition: bool, rule: str, value: object) -> None:
    if not condition:
        raise ValueError(f"encoder {name}: {rule}, got {value!r}")


def _check_scale(name: str, option: str, value: float) -> None:
    """Refuse what, divided or multiplied by, would leave float32."""
    _check(name, 1e-6 <= value <= 1e6, f"{option} must be positive, from 1e-06 to 1e+06", value)


def sample(scaled: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
    """A token from p a row, [B] int64, by inverting the cumulative distribution at one uniform."""
    u = _sampling_uniform(noise.row_keys(seeds, steps)[:, None]).double()
    cumulative = scaled.double().exp().cumsum(dim=-1)
    ids = torch.searchsorted(cumulative, u * cumulative[:, -1:], right=True)[:, 0]
    return ids.clamp_max(scaled.shape[1] - 1)


def _mean(scanned: Scan, table: EmbeddingTable, top: int) -> Mixed:
    """The plain expectation of scanned beliefs, and its likeliest tokens."""
    vectors, _ = native_scan.expectation(scanned, table.weight)
    probabilities = (scanned.top_weights[:, :top] / scanned.total[:, None]).float()
    return Mixed(vectors, scanned.top_ids[:, :top], probabilities)


def _mix_lists(rows: list[tuple[Tensor, Tensor]], table: EmbeddingTable, top: int) -> Mixed:
    """The mean of each row's (ids ascending, probabilities), and the likeliest of them, lowest id first of equal ones."""
    top_ids = torch.zeros(len(rows), top, dtype=torch.int64)
    top_probabilities = torch.zeros(len(rows), top)
    if top:
        for row, (ids, q) in enumerate(rows):
            order = q.argsort(descending=True, stable=True)[:top]
            top_ids[row, : len(order)] = ids[order].long()
            top_probabilities[row, : len(order)] = q[order]
    return Mixed(native_scan.mix(table.weight, rows), top_ids, top_probabilities)


def _written_out(rule: Encoder, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
    """A rule by its whole distribution, for rules that are studied rather than run."""
    scaled = scaled_logits(scanned.logits, scanned.temperature)
    q = rule.weights(scaled, scanned.logits.float(), keys.seeds, keys.steps)
    q = torch.where((scanned.temperature == 0)[:, None], scaled.softmax(dim=-1), q)
    # Row by row, as a row must not depend on the rows beside it.
    mixed = _mix_lists([(ids, row[ids]) for row in q for ids in [row.nonzero()[:, 0]]], table, top)
    return replace(mixed, top_probabilities=rule.reported(mixed.top_probabilities, q))


def _copy(ids: Tensor, table: EmbeddingTable) -> Mixed:
    """The embeddings of single tokens."""
    return Mixed(table.weight[ids], ids[:, None], torch.ones(len(ids), 1))


def _sampled(scanned: Scan, keys: RowKeys) -> Tensor:
    return native_scan.sample(scanned, _sampling_uniform(keys.keys[:, None])[:, 0])


def _sampling_uniform(keys: Tensor) -> Tensor:
    return noise.uniform(keys, torch.zeros_like(keys))


def _prefix(scanned: Scan, keep: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The first keep[b] of each row's top tokens, renormalised, as lists by ascending id."""
    weights = scanned.top_weights
    rows = []
    for row, count in enumerate(keep.tolist()):
        ids, order = scanned.top_ids[row, :count].sort()
        w = weights[row, :count][order]
        rows.append((ids, w / w.sum(dtype=torch.float64).float()))
    return rows


@dataclass(frozen=True)
class Expectation(Encoder):
    """p · E: CIPHER (Pham et al., 2024, arXiv:2310.06272)."""

    name: ClassVar[str] = "expectation"
    averages: ClassVar[bool] = True
    weighs_plainly: ClassVar[bool] = True

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        return scaled.softmax(dim=-1)

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        return _mean(scanned, table, top)


@dataclass(frozen=True)
class TopK(Encoder):
    """p restricted to its k most probable tokens and renormalised, · E: an option of CIPHER, Soft Thinking's rule."""

    name: ClassVar[str] = "topk"
    k: int = 10

    def __post_init__(self) -> None:
        _check(self.name, self.k >= 1, "k must be at least 1", self.k)

    @property
    def needs_top(self) -> int:
        return self.k if self.k <= _MANY else 0

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        return restrict(scaled, self.k, None, None).softmax(dim=-1)

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        if self.k > _MANY:
            return _restricted(scanned, table, top, self.k, None)
        keep = torch.isfinite(scanned.top_values[:, : self.k]).sum(dim=-1)
        keep = torch.where(scanned.temperature == 0, 1, keep)
        return _mix_lists(_prefix(scanned, keep), table, top)


@dataclass(frozen=True)
class TopP(Encoder):
    """p restricted to its nucleus of mass p and renormalised, · E (Holtzman et al., 2020; an option of CIPHER)."""

    name: ClassVar[str] = "topp"
    p: float = 0.95

    def __post_init__(self) -> None:
        _check(self.name, 0 < self.p <= 1, "p must be in (0, 1]", self.p)

    @property
    def needs_top(self) -> int:
        return 64

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        return restrict(scaled, None, self.p, None).softmax(dim=-1)

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        share = scanned.top_weights.double() / scanned.total[:, None]
        before = share.cumsum(dim=-1) - share
        if self.p == 1 or not bool((before[:, -1] + share[:, -1] >= self.p).all()):
            return _restricted(scanned, table, top, None, self.p)
        return _mix_lists(_prefix(scanned, (before < self.p).sum(dim=-1)), table, top)


@dataclass(frozen=True)
class MinP(Encoder):
    """p restricted to tokens with at least p_min times the largest probability and renormalised, · E."""

    name: ClassVar[str] = "minp"
    p: float = 0.05

    def __post_init__(self) -> None:
        _check(self.name, 0 <= self.p <= 1, "p must be in [0, 1]", self.p)

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        return restrict(scaled, None, None, self.p).softmax(dim=-1)

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        s = (scanned.logits - scanned.maximum[:, None]) / scanned.temperature.clamp_min(1e-30)[:, None]
        logits = scanned.logits.masked_fill(s.exp() < self.p, float("-inf"))
        return _mean(native_scan.scan(logits, scanned.temperature, delta=table.delta, top=top), table, top)


@dataclass(frozen=True)
class _Partial(Encoder):
    """The expectation in some rows and the argmax token in the others.

    `published` is the rule that the published code computes (`models/agent.py` of the CIPHER repository): in the other rows every
    token has weight 1 whose probability at temperature T is at least what the row is told by, the largest probability without
    temperature, or the entropy. That is the argmax token where T sharpens; where T flattens, or the entropy exceeds every
    probability, it is no token, and the vector is zero.
    """

    needs_plain: ClassVar[bool] = True
    averages: ClassVar[bool] = True
    published: bool = field(default=False, kw_only=True)

    @property
    def may_exceed(self) -> bool:
        # Several tokens may each have weight 1.
        return self.published

    @property
    def params(self) -> dict[str, Any]:
        """Those of the rule, and `published` last, where it is."""
        found = super().params
        published = found.pop("published")
        return {**found, "published": True} if published else found

    def mixes(self, entropy: Tensor, max_probability: Tensor) -> Tensor:
        """Which rows take the expectation, [B] bool, from facts about the belief without temperature, [B] each."""
        raise NotImplementedError

    def told_by(self, entropy: Tensor, max_probability: Tensor) -> Tensor:
        """Which of these facts the rows are told by, [B]."""
        raise NotImplementedError

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        plain = logits.log_softmax(dim=-1)
        facts = -(plain.exp() * plain.nan_to_num(neginf=0.0)).sum(dim=-1), plain.amax(dim=-1).exp()
        p = scaled.softmax(dim=-1)
        if self.published:
            # By the same steps as p, so that at T = 1 the largest is not less than itself.
            most = (logits - logits.amax(dim=-1, keepdim=True)).softmax(dim=-1).amax(dim=-1)
            others = (p >= self.told_by(facts[0], most)[:, None]).float()
        else:
            others = _one_hot(_argmax(scaled), scaled)
        return torch.where(self.mixes(*facts)[:, None], p, others)

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        if self.published:
            return _written_out(self, scanned, table, keys, top)
        assert scanned.plain_entropy is not None
        assert scanned.plain_max_probability is not None
        mixes = self.mixes(scanned.plain_entropy, scanned.plain_max_probability)
        return _mean(scanned.where(mixes), table, top)


@dataclass(frozen=True)
class _ByMax(_Partial):
    threshold: float = 0.85

    def told_by(self, entropy: Tensor, max_probability: Tensor) -> Tensor:
        return max_probability


@dataclass(frozen=True)
class _ByEntropy(_Partial):
    threshold: float = 0.5

    def told_by(self, entropy: Tensor, max_probability: Tensor) -> Tensor:
        return entropy


@dataclass(frozen=True)
class PartialMax(_ByMax):
    """The expectation where max softmax(z) < threshold, the argmax token elsewhere (CIPHER, Fig. 6)."""

    name: ClassVar[str] = "partial-max"

    def mixes(self, entropy: Tensor, max_probability: Tensor) -> Tensor:
        return max_probability < self.threshold


@dataclass(frozen=True)
class PartialMaxReversed(_ByMax):
    """The expectation where max softmax(z) >= threshold, the argmax token elsewhere (CIPHER, Fig. 6, reversed)."""

    name: ClassVar[str] = "partial-max-reversed"

    def mixes(self, entropy: Tensor, max_probability: Tensor) -> Tensor:
        return max_probability >= self.threshold


@dataclass(frozen=True)
class PartialEntropy(_ByEntropy):
    """The expectation where the entropy of softmax(z) exceeds threshold nats, the argmax token elsewhere (CIPHER, Fig. 6)."""

    name: ClassVar[str] = "partial-entropy"

    def mixes(self, entropy: Tensor, max_probability: Tensor) -> Tensor:
        return entropy > self.threshold


@dataclass(frozen=True)
class PartialEntropyReversed(_ByEntropy):
    """The expectation where the entropy of softmax(z) is at most threshold nats (CIPHER, Fig. 6, reversed)."""

    name: ClassVar[str] = "partial-entropy-reversed"

    def mixes(self, entropy: Tensor, max_probability: Tensor) -> Tensor:
        return entropy <= self.threshold


@dataclass(frozen=True)
class Gumbel(Encoder):
    """softmax((log p + g) / τ) · E with g ~ Gumbel(0, 1) a token (arXiv:2508.03440)."""

    name: ClassVar[str] = "gumbel"
    tau: float = 0.5

    def __post_init__(self) -> None:
        _check_scale(self.name, "tau", self.tau)

    @property
    def draws(self) -> bool:
        return True

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        keys = noise.row_keys(seeds, steps)[:, None]
        g = noise.gumbel(keys, torch.arange(scaled.shape[1], device=scaled.device))
        return ((scaled + g) / self.tau).softmax(dim=-1)

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        noisy = native_scan.add_gumbel(scanned, keys.keys)
        frozen = scanned.temperature == 0
        # Temperature 0 has no noise, and a division by it behind it.
        noisy[frozen] = scanned.logits[frozen]
        tau = torch.where(frozen, 0.0, torch.full_like(scanned.temperature, self.tau))
        return _mean(native_scan.scan(noisy, tau, delta=table.delta, low_rank=table.low_rank, top=top), table, top)


@dataclass(frozen=True)
class GumbelTopK(Encoder):
    """The same over the k most probable tokens alone, as Soft Thinking's published code draws it (its log p, renormalised)."""

    name: ClassVar[str] = "gumbel-topk"
    k: int = 10
    tau: float = 0.5

    def __post_init__(self) -> None:
        _check(self.name, self.k >= 1, "k must be at least 1", self.k)
        _check_scale(self.name, "tau", self.tau)

    @property
    def draws(self) -> bool:
        return True

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        return Gumbel(tau=self.tau).weights(restrict(scaled, self.k, None, None), logits, seeds, steps)

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        return _written_out(self, scanned, table, keys, top)


@dataclass(frozen=True)
class Dirichlet(Encoder):
    """q · E with q ~ Dirichlet(γ p) (arXiv:2508.03440; Soft Thinking's code)."""

    name: ClassVar[str] = "dirichlet"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        _check_scale(self.name, "gamma", self.gamma)

    @property
    def draws(self) -> bool:
        return True

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        keys = noise.row_keys(seeds, steps)[:, None]
        tokens = torch.arange(scaled.shape[1], device=scaled.device)
        return noise.log_gamma_variate(self.gamma * scaled.softmax(dim=-1), keys, tokens).softmax(dim=-1)

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        rows = []
        for (ids, weights), key in zip(native_scan.supports(scanned), keys.keys, strict=True):
            shape = self.gamma * weights / weights.sum(dtype=torch.float64).float()
            draws = noise.log_gamma_variate(shape[None], key[None, None], ids.long()[None])
            rows.append((ids, draws[0].softmax(dim=-1)))
        return _mix_lists(rows, table, top)


@dataclass(frozen=True)
class Mixture(Encoder):
    """H · (p + β onehot(v)) / (1 + β) · E + (1 − H) · E_v: Mixture of Inputs (arXiv:2505.14827), over the whole vocabulary.

    v is sampled from p, and H is the entropy of p over its maximum, the logarithm of the number of unmasked tokens. Its published
    code looks at the likeliest tokens alone: `mixture-published`.
    """

    name: ClassVar[str] = "mixture"
    averages: ClassVar[bool] = True
    beta: float = 1.0

    def __post_init__(self) -> None:
        _check(self.name, 0 <= self.beta <= 1e6, "beta must not be negative, and at most 1e+06", self.beta)

    @property
    def draws(self) -> bool:
        return True

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        log_p = scaled.log_softmax(dim=-1)
        p = log_p.exp()
        entropy = -(p * log_p.nan_to_num(neginf=0.0)).sum(dim=-1, keepdim=True)
        allowed = torch.isfinite(logits).sum(dim=-1, keepdim=True)
        share = (entropy / torch.log(allowed.clamp_min(2).float())).clamp(0, 1)
        onehot = _one_hot(sample(scaled, seeds, steps), scaled)
        return share * (p + self.beta * onehot) / (1 + self.beta) + (1 - share) * onehot

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        ids = _sampled(scanned, keys)
        allowed = torch.isfinite(scanned.logits).sum(dim=-1).clamp_min(2)
        share = (scanned.entropy / torch.log(allowed.float())).clamp(0, 1)[:, None]
        share = torch.where(scanned.temperature[:, None] == 0, 0.0, share)
        mean = _mean(scanned, table, top + 1)
        token = share * self.beta / (1 + self.beta) + 1 - share
        vectors = share / (1 + self.beta) * mean.vectors + token * table.weight[ids].float()
        if not top:
            return Mixed(vectors, mean.top_ids[:, :0], mean.top_probabilities[:, :0])
        # The sampled token may lie outside of the likeliest; it joins them, and leaves the list where it was in it.
        q = share / (1 + self.beta) * mean.top_probabilities
        own = share / (1 + self.beta) * self._probability(scanned, ids)[:, None] + token
        q = torch.cat([own, q.masked_fill(mean.top_ids == ids[:, None], -1.0)], dim=-1)
        candidates = torch.cat([ids[:, None], mean.top_ids], dim=-1)
        q, order = q.sort(dim=-1, descending=True, stable=True)
        return Mixed(vectors, candidates.gather(1, order)[:, :top], q[:, :top].clamp_min(0))

    @staticmethod
    def _probability(scanned: Scan, ids: Tensor) -> Tensor:
        """p of one token a row, [B] float32."""
        frozen = scanned.temperature == 0
        s = (scanned.logits.gather(1, ids[:, None])[:, 0] - scanned.maximum) / torch.where(
            frozen, 1.0, scanned.temperature
        )
        return torch.where(frozen, 1.0, (s.exp() / scanned.total).float())


@dataclass(frozen=True)
class MixturePublished(Encoder):
    """Mixture of Inputs as its published code computes it: H · (r + β onehot(v)) / (1 + β) · E + (1 − H) · E_v.

    r is softmax(z) without temperature over its k most probable tokens, renormalised (vLLM's log-probabilities), H its entropy
    over log k, and v is sampled from softmax(z / T). Of a v that is none of the k the observation is left out, and the weights
    sum to less than 1.
    """

    name: ClassVar[str] = "mixture-published"
    beta: float = 1.0
    k: int = 20

    def __post_init__(self) -> None:
        _check(self.name, 0 <= self.beta <= 1e6, "beta must not be negative, and at most 1e+06", self.beta)
        _check(self.name, self.k >= 2, "k must be at least 2", self.k)

    @property
    def draws(self) -> bool:
        return True

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        log_r = restrict(logits, self.k, None, None).log_softmax(dim=-1)
        r = log_r.exp()
        share = -(r * log_r.nan_to_num(neginf=0.0)).sum(dim=-1, keepdim=True) / math.log(self.k)
        onehot = _one_hot(sample(scaled, seeds, steps), scaled)
        observed = onehot * torch.isfinite(log_r)
        return share * (r + self.beta * observed) / (1 + self.beta) + (1 - share) * onehot

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        return _written_out(self, scanned, table, keys, top)


@dataclass(frozen=True)
class Token(Encoder):
    """E_v of the token sampled from p, or of the argmax token: text, as the degenerate encoder."""

    name: ClassVar[str] = "token"
    sample: bool = True

    @property
    def draws(self) -> bool:
        return self.sample

    def weights(self, scaled: Tensor, logits: Tensor, seeds: Tensor, steps: Tensor) -> Tensor:
        ids = sample(scaled, seeds, steps) if self.sample else _argmax(scaled)
        return _one_hot(ids, scaled)

    def mix(self, scanned: Scan, table: EmbeddingTable, keys: RowKeys, top: int) -> Mixed:
        return _copy(_sampled(scanned, keys) if self.sample else scanned.argmax, table)
