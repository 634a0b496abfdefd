"""Render a CIPHER message for a receiver whose table is not the sender's (CIPHER, section 3: cross-model rule).

Between models that share a tokenizer the sender's probabilities are averaged over the receiver's table, so a receiver
always gets vectors of its own hull.
"""

import torch

from agents.errors import MessageMismatch
from agents.fingerprint import ModelFingerprint
from agents.message import Message
from agents.message_file import check_receiver


def rerender(
    message: Message, table: torch.Tensor, receiver: ModelFingerprint, *, min_mass: float = 0.9
) -> torch.Tensor:
    """Return the message's vectors [T, D'] on the receiver's table, in the table's dtype.

    The same table: the vectors as they are. Another table of the same tokenizer: what the sender's engine rendered on it from
    whole beliefs, or, of a message that was not meant for it, the kept beliefs, renormalised, times the receiver's table, summed
    in float32.

    Args:
        message: a CIPHER message.
        table: [V, D'], the receiver's looked-up embeddings.
        receiver: the receiver's fingerprint.
        min_mass: the least probability that the kept beliefs of every step must carry.

    Raises:
        MessageMismatch: the tokenizers differ, or the kept beliefs carry too little.
    """
    cipher = message.cipher
    assert cipher is not None, "only CIPHER messages are rendered"
    vectors = vectors_for(message, receiver)
    if vectors is not None:
        return vectors.to(table.device, table.dtype)
    weights = renormalised(message, receiver, min_mass=min_mass)
    if not len(cipher):
        return table.new_zeros(0, table.shape[1])
    rows = table[cipher.top_ids.to(table.device)].float()
    return torch.einsum("tk,tkd->td", weights.to(table.device), rows).to(table.dtype)


def vectors_for(message: Message, receiver: ModelFingerprint) -> torch.Tensor | None:
    """Return the vectors [T, D'] that the message holds for a receiver's table; None where its kept beliefs have to do.

    Raises:
        MessageMismatch: the tokenizers differ.
    """
    cipher = message.cipher
    assert cipher is not None, "only CIPHER messages are rendered"
    check_receiver(message, receiver)
    return cipher.vectors if message.model.same_table(receiver) else cipher.rendered.get(receiver.table)


def weights_for(message: Message, receiver: ModelFingerprint) -> torch.Tensor | None:
    """Return None where the message holds vectors for a receiver's table, else its kept beliefs; see `renormalised`."""
    return None if vectors_for(message, receiver) is not None else renormalised(message, receiver)


def renormalised(message: Message, receiver: ModelFingerprint, *, min_mass: float = 0.9) -> torch.Tensor:
    """Return the kept beliefs [T, K] as weights of the rows of a receiver that has another table.

    Raises:
        MessageMismatch: the tokenizers differ, or the kept beliefs carry too little.
    """
    cipher = message.cipher
    assert cipher is not None, "only CIPHER messages are rendered"
    check_receiver(message, receiver)
    if not len(cipher):
        return cipher.top_probabilities
    mass = cipher.top_probabilities.sum(dim=1)
    if cipher.top_ids.shape[1] == 0 or float(mass.min()) < min_mass:
        step = int(mass.argmin())
        raise MessageMismatch(
            f"the {cipher.top_ids.shape[1]} beliefs kept per step carry {float(mass[step]):.2f} of the probability at "
            f"step {step}, and {receiver.model} needs {min_mass:.2f} to render them on its own table. "
            "Send with a larger top_beliefs."
        )
    return cipher.top_probabilities / mass[:, None]
