"""CTC paths: the best one, sampled ones, the best one that spells a text; and from a path the frames that belong to each token.

After github Diamondfan/cassnat_asr, which was read and not copied. A path has a symbol a frame; what it spells is what is left
when runs of a symbol become one and blanks go (Graves et al., 2006). A token's frame is the first of its run. Its segment, in the
paper's words its trigger, are the frames behind the token before up to its own; a last segment, for the end, are those behind the
last token, and the last frame in any case.

B paths, T frames, U tokens, K symbols; symbol 0 is the blank.
"""

import math

import torch
from torch import Tensor

BLANK = 0
SURE = 0.9
"""Of a frame: one whose likeliest symbol has at least this probability is sampled in no path."""


def present(lengths: Tensor, frames: int) -> Tensor:
    """Return which of so many frames are there [B, T] bool, of lengths [B]."""
    return torch.arange(frames, device=lengths.device)[None] < lengths[:, None]


def best_path(log_probabilities: Tensor, lengths: Tensor) -> Tensor:
    """Return the likeliest symbol of each frame [B, T] of log-probabilities [B, T, K]; frames of padding are blank."""
    return log_probabilities.argmax(-1).masked_fill(~present(lengths, log_probabilities.shape[1]), BLANK)


def sampled_paths(log_probabilities: Tensor, paths: int, generator: torch.Generator, *, sure: float = SURE) -> Tensor:
    """Return paths [S, T] of one recording [T, K], the best one first: error-based sampling of alignments.

    In the others a frame that is not sure takes its second symbol half of the time.

    Args:
        log_probabilities: of the symbols.
        paths: S, at least 1.
        generator: of the choices.
        sure: frames whose best symbol has at least this probability keep it.
    """
    best, second = log_probabilities.topk(2, -1).indices.unbind(-1)
    unsure = log_probabilities.max(-1).values.exp() < sure
    choice = torch.randint(0, 2, (paths, len(best)), generator=generator).bool() & unsure
    choice[0] = False
    return torch.where(choice, second, best)


def first_frames(path: Tensor) -> Tensor:
    """Return where a token begins [B, T] bool: frames whose symbol is no blank and another than the one before."""
    before = torch.nn.functional.pad(path[:, :-1], (1, 0), value=BLANK)
    return (path != BLANK) & (path != before)


def spelled(path: Tensor) -> list[list[int]]:
    """Return the symbols that each path [B, T] spells."""
    return [row[begins].tolist() for row, begins in zip(path, first_frames(path), strict=True)]


def trigger_mask(path: Tensor, lengths: Tensor, *, left: int = 0, right: int = 0) -> tuple[Tensor, Tensor]:
    """Return which frames belong to each token [B, U + 1, T] bool, and how many rows of it are there [B]; the last is the end's.

    Args:
        path: [B, T]; padding is blank.
        lengths: frames [B], each at least 1.
        left, right: frames by which every segment is widened, within the recording.
    """
    begins = first_frames(path).long()
    counts = begins.sum(1)
    # How many tokens have begun before a frame is the place of the token that it belongs to.
    owner = begins.cumsum(1) - begins
    rows = int(counts.max()) + 1 if len(counts) else 1
    mask = owner[:, None] == torch.arange(rows, device=path.device)[None, :, None]
    there = present(lengths, path.shape[1])[:, None]
    mask = mask & there
    mask[torch.arange(len(path)), counts, lengths - 1] = True
    widened = mask.clone()
    for step in range(1, left + 1):
        widened[..., :-step] |= mask[..., step:]
    for step in range(1, right + 1):
        widened[..., step:] |= mask[..., :-step]
    return widened & there, counts + 1


def viterbi(log_probabilities: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
    """Return the likeliest path [B, T] that spells each text; all of a batch at once, one step a frame.

    States are blank, first token, blank, …, blank. A state is reached from itself, from the one before, and past a blank from the
    token before where that is another one: between two equal tokens there must be a blank.

    Args:
        log_probabilities: [B, T, K].
        lengths: frames [B].
        targets: [B, U], padded with anything from 0 to K − 1.
        target_lengths: [B].

    Raises:
        ValueError: a recording with fewer frames than its text needs.
    """
    batch, frames, _ = log_probabilities.shape
    needed = target_lengths + (
        (targets[:, 1:] == targets[:, :-1]) & present(target_lengths, targets.shape[1])[:, 1:]
    ).sum(1)
    if bool((lengths < needed).any()):
        raise ValueError(
            f"a text of {int(needed.max())} frames at least, blanks between equal tokens included, has fewer"
        )
    states = targets.new_full((batch, 2 * targets.shape[1] + 1), BLANK)
    states[:, 1::2] = targets
    count = states.shape[1]
    used = present(2 * target_lengths + 1, count)
    skips = torch.zeros_like(used)
    skips[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    emitted = log_probabilities.gather(2, states[:, None].expand(-1, frames, -1))
    score = emitted.new_full((batch, count), -math.inf)
    score[:, :2] = emitted[:, 0, :2]
    score = score.masked_fill(~used, -math.inf)
    steps = []
    for t in range(1, frames):
        one = torch.nn.functional.pad(score[:, :-1], (1, 0), value=-math.inf)
        two = torch.nn.functional.pad(score[:, :-2], (2, 0), value=-math.inf)[:, :count].masked_fill(~skips, -math.inf)
        reached, step = torch.stack([score, one, two]).max(0)
        # Frames of padding change nothing.
        goes = (t < lengths)[:, None]
        score = torch.where(goes, (reached + emitted[:, t]).masked_fill(~used, -math.inf), score)
        steps.append(torch.where(goes, step, 0))
    row = torch.arange(batch)
    last = 2 * target_lengths
    ends_in_token = (target_lengths > 0) & (score[row, (last - 1).clamp_min(0)] > score[row, last])
    state = torch.where(ends_in_token, last - 1, last)
    found = [state]
    for step in reversed(steps):
        state = state - step[row, state]
        found.append(state)
    path = states.gather(1, torch.stack(found[::-1], 1))
    return path.masked_fill(~present(lengths, frames), BLANK)
