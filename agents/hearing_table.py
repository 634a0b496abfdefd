"""The table of one who will hear a message and has another table than its speaker.

Between models that share a tokenizer the sender's probabilities, all of them, are averaged over the receiver's table (CIPHER,
section 3). The engine does that at each step, while it has the whole belief; a message keeps only the likeliest of it. So are the
content controls rendered (kernels/content), for hearers that get one in place of the message: on the speaker's own table, too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from agents.fingerprint import ModelFingerprint
from kernels import EmbeddingTable
from kernels.content import Content, rendered_name
from kernels.content.controls import controlled_vectors
from kernels.encoders import Encoder


@dataclass(frozen=True)
class HearingTable:
    """A table to render on, compared by its model and what is rendered.

    Attributes:
        model: model of the hearer; its tokenizer is the speaker's.
        table: [V', D'], what the hearer's model reads of each token.
        content: what is rendered: the beliefs as they are, or a control.
    """

    model: ModelFingerprint
    table: EmbeddingTable = field(compare=False, repr=False)
    content: Content = "intact"

    @property
    def name(self) -> str:
        """By which a message holds the vectors."""
        return rendered_name(self.content, self.model.table)

    def render(
        self,
        encoder: Encoder,
        logits: torch.Tensor,
        *,
        temperature: torch.Tensor,
        seeds: torch.Tensor,
        steps: torch.Tensor,
        on: "Callable[[HearingTable], EmbeddingTable] | None" = None,
    ) -> torch.Tensor:
        """Return the vectors [B, D'] of the speaker's logits [B, V] on this table; see `rendered_on`.

        Args:
            encoder, logits, temperature, seeds, steps: as there.
            on: this table on the speaker's device; as it is by default.
        """
        table = self.table if on is None else on(self)
        return rendered_on(
            table, encoder, logits, temperature=temperature, seeds=seeds, steps=steps, content=self.content
        )


def rendered_on(
    table: EmbeddingTable,
    encoder: Encoder,
    logits: torch.Tensor,
    *,
    temperature: torch.Tensor,
    seeds: torch.Tensor,
    steps: torch.Tensor,
    content: str = "intact",
    deferred: bool = False,
) -> torch.Tensor:
    """Return the vectors [B, D'] of a speaker's logits [B, V] on a hearer's table [V', D'], in the table's dtype.

    The distribution is the one that the encoder mixes on the speaker's own table. Rows that only one of the tables has pad it
    for no token; they have no part in the other's vectors.

    Args:
        table: of the hearer, on the speaker's device.
        encoder, temperature, seeds, steps, deferred: as for the speaker's own vectors.
        logits: of the speaker.
        content: `intact`, or a control that is rendered in its place; rows that are no belief are looked for at once then.
    """
    more = table.num_tokens - logits.shape[1]
    fitting = torch.nn.functional.pad(logits, (0, more), value=float("-inf"))
    if content != "intact":
        return controlled_vectors(content, encoder, fitting, table, temperature=temperature, seeds=seeds, steps=steps)
    said = encoder.encode(fitting, table, temperature=temperature, seeds=seeds, steps=steps, deferred=deferred)
    return said.vectors
