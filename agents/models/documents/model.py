"""The reader of documents: words and their places, lines, pages; and the heads of what it learns from pages without labels.

A word begins as its own vector, that of its place in the line, and that of the line's box; blocks within the line come to the
line's vector, the mean, and blocks over all lines of the page to its state u. Lines are a set: nothing tells their order but
boxes. From states come tags (softmax over the fields), categories, the order of two lines, s_ij = u_i^T W u_j for "i is read
before j", and, by a causal decoder that attends to all states of the page, the words of a line that the encoder was not shown.

The paper has RoBERTa over the tokens of the whole page, and pictures; blocks in two floors are ours, for pages on a processor.

B pages, N lines, T words of a line, D width, V words that are known, K tags, C categories.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from agents.models.blocks.encoder import Encoder
from agents.models.blocks.words import Vocabulary, padded
from agents.models.documents.categories import CATEGORIES
from agents.models.documents.config import BEGIN, END, MASK, SPECIAL, DocumentConfig
from agents.models.documents.fields import TAGS
from agents.models.documents.layout import Layout
from agents.observation import Document

SPREAD = 0.1
"""Deviation of the vectors of words that it begins with."""
LENGTHS = (4, 8)
"""Words up to which lines are read together."""


@dataclass(frozen=True)
class Pages:
    """Pages as numbers: words [B, N, T], 0 where there are no more, and boxes [B, N, 4]."""

    words: Tensor
    boxes: Tensor

    @property
    def there(self) -> Tensor:
        """Which lines [B, N] there are."""
        return self.words.ne(0).any(-1)

    def hiding(self, hidden: Tensor) -> "Pages":
        """Return pages whose hidden lines [B, N] are one mask each, which tells nothing of their words, nor how many they are."""
        masked = torch.zeros_like(self.words)
        masked[..., 0] = SPECIAL.index(MASK)
        return replace(self, words=torch.where((hidden & self.there)[..., None], masked, self.words))


class DocumentReader(nn.Module):
    """States of a page's lines, and what is told of them."""

    def __init__(self, config: DocumentConfig) -> None:
        super().__init__()
        self.config, width = config, config.page.width
        self.vocabulary = Vocabulary(config.words)
        self.words = nn.Embedding(len(config.words), width, padding_idx=0)
        self.inside = nn.Embedding(config.longest + 1, width)
        for table in (self.words, self.inside):
            nn.init.normal_(table.weight, std=SPREAD)
        self.layout = Layout(config.grid, width) if config.layout else None
        self.reading, self.page = Encoder(config.reading), Encoder(config.page)
        self.tags = nn.Linear(width, len(TAGS))
        self.categories = nn.Linear(width, len(CATEGORIES))
        self.before = nn.Parameter(torch.randn(width, width) / width)
        self.decoder = nn.TransformerDecoderLayer(
            width, config.page.heads, config.page.hidden, dropout=0.0, batch_first=True, norm_first=True
        )
        self.decoded = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(len(config.words)))

    def forward(self, pages: Pages) -> Tensor:
        """Return the states u [B, N, D] of lines; those of lines that are not there mean nothing."""
        there = pages.there
        words, h = pages.words[there], self.inputs(pages)[there]
        count = words.ne(0).sum(1)
        means = h.new_zeros(len(words), h.shape[-1])
        # Most lines are short: those of about one length go together, so that padding is not computed.
        for shorter, longest in pairwise((0, *(each for each in LENGTHS if each < words.shape[1]), words.shape[1])):
            own = (count > shorter) & (count <= longest)
            if own.any():
                known = words[own, :longest].ne(0)
                read = self.reading(h[own, :longest], known) * known[..., None]
                means[own] = read.sum(1) / count[own, None]
        lines = h.new_zeros(*there.shape, h.shape[-1])
        lines[there] = means
        states: Tensor = self.page(lines, there)
        return states

    def inputs(self, pages: Pages) -> Tensor:
        """Return h0 [B, N, T, D], what the first block reads: a word, its place in the line, and the line's place."""
        found: Tensor = self.words(pages.words) + self.inside.weight[: pages.words.shape[2]]
        return found if self.layout is None else found + self.layout(pages.boxes)[:, :, None]

    def order(self, states: Tensor) -> Tensor:
        """Return s [B, N, N] of states: log-odds that the line of the row is read before that of the column."""
        return states @ self.before @ states.transpose(1, 2)

    def said(self, states: Tensor, there: Tensor, lines: Tensor, words: Tensor) -> Tensor:
        """Return scores [M, T + 1, V] of the words of M lines, each place's after those before it, and of the end.

        Args:
            states: [B, N, D] of the pages that the lines are on.
            there: [B, N], which lines the pages have.
            lines: [M, 2], page and place of each line.
            words: [M, T] of it, 0 where there are no more.
        """
        page, place = lines.unbind(1)
        begin = torch.full((len(words), 1), SPECIAL.index(BEGIN))
        shown = torch.cat([begin, words], 1)
        own = states[page, place]
        h = self.words(shown) + self.inside.weight[: shown.shape[1]] + own[:, None]
        steps = shown.shape[1]
        later = torch.ones(steps, steps, dtype=torch.bool).triu(1)
        h = self.decoder(h, states[page], tgt_mask=later, memory_key_padding_mask=~there[page])
        found: Tensor = self.decoded(h) @ self.words.weight.T + self.bias
        return found

    def wanted(self, words: Tensor) -> Tensor:
        """Return what `said` is to say [M, T + 1]: words [M, T], the end behind the last, and -100 after it."""
        count = words.ne(0).sum(1, keepdim=True)
        places = torch.arange(words.shape[1] + 1)
        longer = torch.cat([words, torch.zeros_like(words[:, :1])], 1)
        end = torch.where(places == count, SPECIAL.index(END), longer)
        return torch.where(places > count, -100, end)

    def encode(self, documents: Sequence[Document]) -> Pages:
        """Return documents as numbers; of a line without words the unknown one is read."""
        most = max(len(each.lines) for each in documents)
        rows = [
            self.vocabulary.numbers(line, self.config.longest) if place < len(each.lines) else [0]
            for each in documents
            for place, line in enumerate((*each.lines, *[""] * (most - len(each.lines))))
        ]
        boxes = torch.stack([torch.cat([each.boxes, torch.zeros(most - len(each.lines), 4)]) for each in documents])
        return Pages(torch.unflatten(padded(rows), 0, (len(documents), most)), boxes)
