"""What SeqPE's encoder learns beside its model's loss: that near positions are alike, and that far ones are as those in use.

Contrastive: of 32 candidates the one nearest to a position is to have the largest product with it,

    L_ctr = −log softmax_c(v_p · v_c) at the c that is nearest to p.

Distillation: 32 positions of those that texts have, and the same ones moved to where texts never were, are to be as alike among
themselves. With the rows of softmax(V Vᵀ) of a head's share of the vectors, P of the former and Q of the latter,

    L_kd = mean over all entries of P (log P − log Q) + Q (log Q − log P),   P detached.

The mean is over entries, a row's length smaller than a divergence of rows, as in the published code, whose weights of 0.1 go with
it. So does which candidates are drawn: 40 % of positions have eight whose digits are edited and others from anywhere, the rest
have all of one stretch, which need not be about the position.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

CANDIDATES = 32
EDITED = 8
EDITING = 0.4
TAUGHT = 32


def contrastive_loss(pivots: Tensor, candidates: Tensor, nearest: Tensor) -> Tensor:
    """Return the mean loss of vectors [N, D] of positions, [N, C, D] of candidates and the number [N] of the nearest."""
    return functional.cross_entropy((candidates @ pivots[..., None])[..., 0], nearest)


def distillation_loss(teacher: Tensor, student: Tensor, heads: int) -> Tensor:
    """Return the mean loss of vectors [N, K, D] of moved positions, and [N, K, D] of those in use, which learn nothing of it."""
    log_p, log_q = (_log_alike(vectors, heads) for vectors in (teacher.detach(), student))
    p, q = log_p.exp(), log_q.exp()
    return (p * (log_p - log_q) + q * (log_q - log_p)).mean()


def _log_alike(vectors: Tensor, heads: int) -> Tensor:
    own = vectors.reshape(*vectors.shape[:-1], heads, -1).transpose(-3, -2)
    return torch.log_softmax(own @ own.mT, -1)


def draw_candidates(pivots: Sequence[int], reach: int, stretch: int, generator: torch.Generator) -> Tensor:
    """Return candidates [N, C] below `reach` for positions: none is the position itself, and none stands twice.

    Args:
        pivots: the positions.
        reach: more than C + 1.
        stretch: positions from which the candidates of most are drawn, at least 5 C where there are so many.
        generator: of all draws.
    """
    rows = []
    for pivot in pivots:
        anywhere = torch.randperm(reach, generator=generator)[: CANDIDATES + 1].tolist()
        if float(torch.rand(1, generator=generator)) < EDITING:
            # Edited digits are to mislead: none may be as near as the nearest of the others.
            bound = min((abs(one - pivot) for one in anywhere[: CANDIDATES + 1 - EDITED] if one != pivot), default=0)
            first = [edited(pivot, reach, generator) for _ in range(EDITED)]
            first = [one for one in first if abs(one - pivot) > bound]
        else:
            wide = min(max(stretch, 5 * CANDIDATES), reach)
            start = _below(reach - wide + 1, generator)
            first = (start + torch.randperm(wide, generator=generator)[:CANDIDATES]).tolist()
        chosen = [one for one in dict.fromkeys([*first, *anywhere]) if one != pivot]
        rows.append(chosen[:CANDIDATES])
    return torch.tensor(rows)


def nearest_of(pivots: Tensor, candidates: Tensor) -> Tensor:
    """Return the number [N] of the candidate [N, C] nearest to each position [N], the first of those that are equally near."""
    return (candidates - pivots[:, None]).abs().argmin(1)


def edited(position: int, reach: int, generator: torch.Generator) -> int:
    """Return a position below `reach` made of another by one to three edits of its digits: insert, delete, swap, replace."""
    digits = str(position)
    wanted = 1 + _below(3, generator)
    while wanted:
        place, kind = _below(len(digits), generator), _below(4, generator)
        digit = str(_below(10, generator))
        if kind == 0:
            place = _below(len(digits) + 1, generator)
            made = digits[:place] + digit + digits[place:]
        elif kind == 1:
            made = digits[:place] + digits[place + 1 :]
        elif kind == 2:
            other = _below(len(digits), generator)
            swapped = list(digits)
            swapped[place], swapped[other] = swapped[other], swapped[place]
            made = "".join(swapped)
        else:
            made = digits[:place] + digit + digits[place + 1 :]
        if made and str(int(made)) == made and int(made) < reach and made not in (digits, str(position)):
            digits, wanted = made, wanted - 1
    return int(digits)


def draw_moved(trained: int, reach: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return positions in use and moved ones [count, K]: K places of the first `trained`, and those behind another start.

    Args:
        trained: T, positions that texts have.
        reach: starts are from T to reach − T.
        count: starts.
        generator: of all draws.
    """
    kept = min(TAUGHT, trained)
    places = torch.stack([torch.randperm(trained, generator=generator)[:kept] for _ in range(count)])
    starts = torch.randint(trained, reach - trained + 1, (count, 1), generator=generator)
    return places, places + starts


def draw_starts(
    rows: int, trained: int, reach: int, generator: torch.Generator, *, rate: float = 0.1
) -> tuple[Tensor, bool]:
    """Return the first position [rows, 1] of each text of a batch, and whether the batch is moved: each to a start of its own."""
    if float(torch.rand(1, generator=generator)) >= rate:
        return torch.zeros(rows, 1, dtype=torch.long), False
    return torch.randint(reach - trained + 1, (rows, 1), generator=generator), True


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))
