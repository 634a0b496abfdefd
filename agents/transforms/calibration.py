"""Texts that a transform looks at: the model's own, those of the tiny debaters, or a file's. No labels, and nothing is learned.

B rows, T positions.
"""

import json
import random
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
        ConfigError: a count below 1, a file that is not there or cannot be read, or one with fewer texts than rows.
    """
    for what, given in (("rows", rows), ("length", length)):
        if given < 1:
            raise ConfigError(f"calibration: {what} must be at least 1; got {given}")
    if source == OWN:
        return Rows(*_sampled(subject, rows, length, seed))
    texts = _texts(SHIPPED if source == SUMS else source_file(source))
    if len(texts) < rows:
        raise ConfigError(f"calibration: {source} has {len(texts)} texts, and {rows} rows were asked for; set rows")
    chosen = random.Random(f"{seed}|calibration").sample(texts, rows)
    encoded = [_ids(subject.tokenizer, text)[:length] for text in chosen]
    ids = torch.zeros(rows, max(map(len, encoded)), dtype=torch.long)
    is_text = torch.zeros_like(ids, dtype=torch.bool)
    for row, found in enumerate(encoded):
        ids[row, : len(found)] = torch.tensor(found)
        is_text[row, : len(found)] = True
    if int(ids.max()) >= subject.model.config.vocab_size:
        raise ConfigError(f"calibration: {source} has tokens beyond the embedding table of {subject.name}")
    return Rows(ids, is_text)


def source_file(source: str) -> Path:
    """Return the file that a source names.

    Raises:
        ConfigError: there is none.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        raise ConfigError(f"calibration: {source!r} is no file, and none of {', '.join(SOURCES)}")
    return path


def _texts(path: Path) -> list[str]:
    try:
        lines = [line for line in read_ordinary_text(path, most=MOST_BYTES).split("\n") if line.strip()]
        if path.suffix != ".jsonl":
            return lines
        found: list[Any] = [json.loads(line)["text"] for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
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
