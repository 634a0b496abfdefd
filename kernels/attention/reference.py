"""The definition of attention over the vocabulary, in plain torch. B rows, V tokens, D query width, W value width."""

import torch
from torch import Tensor

from kernels.attention.partial import VocabularyPartial
from kernels.belief import first_argmax


def logits(hidden: Tensor, head: Tensor, scale: float, softcap: float, bias: Tensor | None) -> Tensor:
    """z = softcap · tanh(scale · h Wᵀ / softcap) + bias, [B, V] float32; softcap 0 leaves the tanh out."""
    z = (hidden.float() @ head.float().T) * scale
    if softcap > 0:
        z = softcap * torch.tanh(z / softcap)
    return z if bias is None else z + bias.float()


def partial_from_logits(z: Tensor, table: Tensor, temperature: Tensor, top_k: int) -> VocabularyPartial:
    """One part of the vocabulary from its logits z [B, V]; see VocabularyPartial."""
    rows, vocabulary = z.shape
    device = z.device
    if not vocabulary or not rows:
        return VocabularyPartial(
            torch.full((rows,), float("-inf"), device=device),
            torch.zeros(rows, dtype=torch.float64, device=device),
            torch.zeros(rows, dtype=torch.float64, device=device),
            torch.zeros(rows, table.shape[1], device=device),
            torch.full((rows,), -1, device=device),
            torch.full((rows, top_k), float("-inf"), device=device),
            torch.full((rows, top_k), -1, device=device),
        )
    maximum = z.amax(dim=1)
    argmax = torch.where(torch.isneginf(maximum), -1, first_argmax(z, maximum))
    frozen = (temperature == 0)[:, None]
    s = (z - maximum[:, None]) / torch.where(frozen, 1.0, temperature[:, None])
    one_hot = torch.arange(vocabulary, device=device)[None, :] == argmax[:, None]
    s = torch.where(frozen, torch.where(one_hot, 0.0, float("-inf")), s)
    w = torch.where(torch.isneginf(maximum)[:, None], 0.0, s.exp())
    count = min(top_k, vocabulary)
    if count:
        # A stable sort, so that of equal logits the lowest ids come first.
        values, ids = (sorted_[:, :count] for sorted_ in z.sort(dim=1, descending=True, stable=True))
    else:
        values, ids = z[:, :0], argmax[:, None][:, :0]
    return VocabularyPartial(
        maximum=maximum,
        total=w.double().sum(dim=1),
        energy=(w * torch.where(w > 0, s, 0.0)).double().sum(dim=1),
        accumulator=w @ table.float(),
        argmax=argmax,
        top_values=torch.nn.functional.pad(values, (0, top_k - count), value=float("-inf")),
        top_ids=torch.nn.functional.pad(ids, (0, top_k - count), value=-1),
    )
