"""What is said in recordings, by each way of telling: the alignment alone, its tokens at once, the best of several, one by one.

S paths of a recording; the other letters are those of the model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.models.cass_nat.alignment import best_path, present, sampled_paths, spelled
from agents.models.cass_nat.model import CASSNAT, END, Heard

MOST_TOKENS = 64
"""Of a sentence that is said one token after the other."""


@dataclass(frozen=True)
class Said:
    """What was understood of one recording.

    Attributes:
        scores: log-probabilities [U, K + 1] of each token; the end's, which is at place 0, included.
        calls: how often a decoder was called.
    """

    scores: Tensor
    calls: int

    @property
    def symbols(self) -> list[int]:
        """The likeliest of each token; labels begin at 1."""
        found: list[int] = self.scores.argmax(-1).tolist()
        return found


def greedy_ctc(heard: Heard) -> list[list[int]]:
    """Return what the alignment's best path spells; no decoder is called."""
    return spelled(best_path(heard.log_probabilities, heard.lengths))


def until_the_end(scores: Tensor, rows: int) -> Tensor:
    """Return the scores [U, K + 1] of the rows before the first whose likeliest symbol is the end; the last row is the end's."""
    ends = (scores[: rows - 1].argmax(-1) == END).nonzero()
    return scores[: int(ends[0]) if len(ends) else rows - 1]


def at_once(model: CASSNAT, heard: Heard) -> list[Said]:
    """Return what each recording says by the best path of its alignment: one call of the decoder."""
    scores, _, rows = model.tokens(heard, best_path(heard.log_probabilities, heard.lengths))
    return [Said(until_the_end(each, int(count)), 1) for each, count in zip(scores, rows, strict=True)]


def opinions(model: CASSNAT, heard: Heard, paths: int, generator: torch.Generator) -> tuple[list[Said], Tensor]:
    """Return what one recording says by each of several paths, the best one's first, and how probable each is to who says one
    token after the other [S]: its mean log-probability a token, the end included. One call of either decoder.
    """
    length = int(heard.lengths[0])
    many = heard.repeated(paths)
    path = torch.zeros(paths, heard.frames.shape[1], dtype=torch.long)
    path[:, :length] = sampled_paths(heard.log_probabilities[0, :length], paths, generator)
    scores, _, rows = model.tokens(many, path)
    symbols = scores.argmax(-1)
    begun = torch.nn.functional.pad(symbols[:, :-1], (1, 0), value=END)
    judged, _ = model.following(many, begun)
    given = judged.gather(-1, symbols[..., None])[..., 0] * present(rows, symbols.shape[1])
    said = [Said(until_the_end(each, int(count)), 2) for each, count in zip(scores, rows, strict=True)]
    return said, given.sum(1) / rows


def likeliest(model: CASSNAT, heard: Heard, paths: int, generator: torch.Generator) -> Said:
    """Return the opinion that is the most probable to who says one token after the other; the first of equals."""
    said, judged = opinions(model, heard, paths, generator)
    return said[int(judged.argmax())]


def one_by_one(model: CASSNAT, heard: Heard, *, most: int = MOST_TOKENS) -> Said:
    """Return what one recording says token after token, each the likeliest: a call for each and one for the end."""
    said = torch.full((1, 1), END)
    past: list[Tensor] = []
    rows = [heard.log_probabilities.new_zeros(0, len(model.config.labels) + 1)]
    calls = 0
    while calls <= most:
        scores, past = model.following(heard, said, past)
        calls += 1
        said = scores[:, -1].argmax(-1)[:, None]
        if int(said) == END:
            break
        rows.append(scores[:, -1])
    return Said(torch.cat(rows)[:most], calls)
