"""What a CASS-NAT is trained by, as published: 0.5 CTC + 0.5 middle CTC + cross-entropy + 0.01 middle cross-entropy.

The cross-entropy of the autoregressive decoder is added: one encoder serves both. In training the segments are those of the
likeliest path that spells the reference.
"""

import torch
from torch import Tensor
from torch.nn import functional

from agents.models.cass_nat.alignment import BLANK, present, viterbi
from agents.models.cass_nat.model import CASSNAT, END, Heard

SMOOTHING = 0.1
CTC, MIDDLE_CTC, MIDDLE_CE = 0.5, 0.5, 0.01


def ctc_loss(log_probabilities: Tensor, heard: Heard, targets: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean of −log p(text) / U over recordings; a text that has no path counts nothing."""
    return functional.ctc_loss(
        log_probabilities.transpose(0, 1), targets, heard.lengths, lengths, blank=BLANK, zero_infinity=True
    )


def token_loss(log_probabilities: Tensor, wanted: Tensor, rows: Tensor) -> Tensor:
    """Return the mean cross-entropy of the tokens that are there, with smoothed targets: the wrong symbols share 0.1."""
    symbols = log_probabilities.shape[-1]
    there = present(rows, wanted.shape[1])
    right = log_probabilities.gather(-1, wanted[..., None])[..., 0]
    wrong = (log_probabilities.sum(-1) - right) / (symbols - 1)
    return -((1 - SMOOTHING) * right + SMOOTHING * wrong)[there].mean()


def loss_of(model: CASSNAT, heard: Heard, targets: Tensor, lengths: Tensor) -> Tensor:
    """Return the loss of a batch.

    Args:
        model: in training mode.
        heard: what its encoder makes of the recordings.
        targets: symbols [B, U], padded with 0; labels begin at 1.
        lengths: tokens of each text [B].
    """
    path = viterbi(heard.log_probabilities.detach(), heard.lengths, targets, lengths)
    scores, middle, rows = model.tokens(heard, path)
    # Behind a text its end, which padding is too.
    wanted = functional.pad(targets, (0, 1), value=END)
    said, _ = model.following(heard, functional.pad(targets, (1, 0), value=END))
    return (
        CTC * ctc_loss(heard.log_probabilities, heard, targets, lengths)
        + MIDDLE_CTC * ctc_loss(heard.middle, heard, targets, lengths)
        + token_loss(scores, wanted, rows)
        + MIDDLE_CE * token_loss(middle, wanted, rows)
        + token_loss(said, wanted, rows)
    )


def symbols_of(texts: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """Return labels by number as symbols [B, U], which begin at 1, padded with 0, and their lengths [B]."""
    rows = [torch.tensor(text, dtype=torch.long) + 1 for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])
