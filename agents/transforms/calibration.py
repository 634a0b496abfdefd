"""Texts that a transform looks at: the model's own, those of the tiny debaters, or a file's. No labels, and nothing is learned.

B rows, T positions.
"""

import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from agents.errors import ConfigError
from agents.ordinary_file import read_ordinary_text
from agents.transforms.subject import Subject

OWN, SUMS = "own", "sums"
SOURCES = (OWN, SUMS)
MOST_BYTES = 64_000_000
MOST_ROWS = MOST_LENGTH = 65_536
MOST_SEED = 2**63 - 1
SHIPPED = Path(__file__).resolve().parent / "sums.jsonl"


class Rows(NamedTuple):
    """Rows of one batch, filled up on the right; causal models read nothing of what follows a position.

    Attributes:
        ids: [B, T] int64.
        is_text: [B, T] bool, False where a row is filled up.
    """

    ids: Tensor
    is_text: Tensor


def calibration_rows(subject: Subject, source: str, *, rows: int, length: int, seed: int) -> Rows:
    """Return rows to calibrate with.

    Args:
        subject: the model whose tokenizer reads the texts.
        source: `own`, texts that the model itself samples from its start token at temperature 1; `sums`, questions and debate
            turns of the tiny debaters' training split; or a file with a text a line (.txt), or JSON lines with a `text` (.jsonl).
        rows: B; of a file so many texts are drawn.
        length: most positions of a row; longer texts are cut.
        seed: which texts.

    Raises:
        ConfigError: a count or seed out of range, a file that is not there or cannot be read, or one with fewer texts than rows.
    """
    for what, given, most in (("rows", rows, MOST_ROWS), ("length", length, MOST_LENGTH)):
        if not 1 <= given <= most:
            raise ConfigError(f"calibration: {what} must be from 1 to {most}; got {given}")
    check_seed(seed)
    if source == OWN:
        return Rows(*_sampled(subject, rows, length, seed))
    encoded = [_ids(subject.tokenizer, text)[:length] for text in drawn_texts(source, rows=rows, seed=seed)]
    return filled(subject, encoded, source)


def drawn_texts(source: str, *, rows: int, seed: int) -> list[str]:
    """Return texts of a source that is not the model itself, in the order in which they are drawn.

    Raises:
        ConfigError: a file that is not there or cannot be read, or one with fewer texts than rows.
    """
    texts = _texts(SHIPPED if source == SUMS else source_file(source))
    if len(texts) < rows:
        raise ConfigError(f"calibration: {source} has {len(texts)} texts, and {rows} rows were asked for; set rows")
    return random.Random(f"{seed}|calibration").sample(texts, rows)


def filled(subject: Subject, encoded: Sequence[Sequence[int]], source: str) -> Rows:
    """Return token numbers of texts as rows, filled up on the right.

    Raises:
        ConfigError: tokens that the model does not have.
    """
    ids = torch.zeros(len(encoded), max(map(len, encoded)), dtype=torch.long)
    is_text = torch.zeros_like(ids, dtype=torch.bool)
    for row, found in enumerate(encoded):
        ids[row, : len(found)] = torch.tensor(found)
        is_text[row, : len(found)] = True
    if int(ids.max()) >= subject.model.config.vocab_size:
        raise ConfigError(f"calibration: {source} has tokens beyond the embedding table of {subject.name}")
    return Rows(ids, is_text)


def in_batches(rows: Rows, size: int, generator: torch.Generator) -> Iterator[Rows]:
    """Yield batches without end, every row once before any is read again; each is cut at its longest row."""
    while True:
        order = torch.randperm(len(rows.ids), generator=generator)
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            is_text = rows.is_text[chosen]
            longest = int(is_text.sum(1).max())
            yield Rows(rows.ids[chosen, :longest], is_text[:, :longest])


def check_seed(seed: int) -> None:
    """Raise ConfigError for a seed that no generator takes."""
    if not 0 <= seed <= MOST_SEED:
        raise ConfigError(f"calibration: seed must be from 0 to 2**63 - 1; got {seed}")


def source_file(source: str) -> Path:
    """Return the file that a source names.

    Raises:
        ConfigError: there is none.
    """
    path = Path(os.path.expanduser(source))
    # Unlike its like in pathlib, false for a name that no file can have.
    if not os.path.isfile(path):
        raise ConfigError(f"calibration: {source!r} is no file, and none of {', '.join(SOURCES)}")
    return path


def _texts(path: Path) -> list[str]:
    try:
        lines = [line for line in read_ordinary_text(path, most=MOST_BYTES).split("\n") if line.strip()]
        if path.suffix != ".jsonl":
            return lines
        found: list[Any] = [json.loads(line)["text"] for line in lines]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"calibration: cannot read {path}: {type(error).__name__}: {error}") from error
    if not all(isinstance(text, str) and text for text in found):
        raise ConfigError(f"calibration: {path}: a text that is empty or no text")
    return found


def _ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text).input_ids
    if tokenizer.eos_token_id is not None:
        found = [*found, tokenizer.eos_token_id]
    if not found:
        raise ConfigError(f"calibration: the tokenizer makes no token of {text[:40]!r}")
    return found


@torch.no_grad()
def _sampled(subject: Subject, rows: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return what a model samples from its start token; a row ends after an end token."""
    config, generator = subject.model.config, torch.Generator().manual_seed(seed)
    start, end = subject.tokenizer.bos_token_id, subject.tokenizer.eos_token_id
    if start is None:
        start = end if end is not None else 0
    if not 0 <= start < config.vocab_size:
        raise ConfigError(
            f"calibration: the start token of {subject.name} is {start}, beyond the {config.vocab_size} rows of its embedding "
            "table, so it cannot write texts of its own; name other texts in calibration"
        )
    ids = torch.full((rows, 1), start)
    is_text = torch.ones_like(ids, dtype=torch.bool)
    while ids.shape[1] < min(length, config.max_position_embeddings):
        logits = subject.model(ids, use_cache=False).logits[:, -1].float()
        drawn = torch.multinomial(torch.softmax(logits, -1), 1, generator=generator)
        goes_on = is_text[:, -1:] & (ids[:, -1:] != end if ids.shape[1] > 1 and end is not None else True)
        ids, is_text = torch.cat([ids, drawn], 1), torch.cat([is_text, goes_on], 1)
        if not goes_on.any():
            break
    return ids, is_text
