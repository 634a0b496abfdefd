"""How far a copy's beliefs are from its base's on the same texts: KL(base ‖ copy) of the next token, in nats, temperature 1."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from agents.attention.options import attention_of, cache_of
from agents.attention.staircase import Staircase
from agents.errors import ConfigError, ModelError
from agents.model_folder import read_config, read_tokenizer
from agents.ordinary_file import read_ordinary_text
from agents.pretrained import TINY, Progress, locate
from agents.prompts import Prompts
from debate.config.shipped import prompts_folder
from evals.training.speaking import held_out
from evals.training.turns import encode

TEXTS = 200
MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class Drift:
    """One copy against its base.

    Attributes:
        divergences: mean over the scored tokens of each text.
        agreement: share of scored tokens at which both find the same token likeliest.
    """

    divergences: tuple[float, ...]
    agreement: float


@dataclass(frozen=True)
class Scored:
    """A text as token ids, and the first of them whose prediction is looked at."""

    ids: list[int]
    first: int


def held_out_turns(tokenizer: Any, count: int = TEXTS) -> list[Scored]:
    """Return solutions of the tiny debaters' validation split, half alone and half after another's; their tokens are scored."""
    turns = held_out(Prompts(prompts_folder("tiny"), "plain"), (count + 1) // 2, seed="drift")
    encoded = [encode(turn, tokenizer) for kind in ("solve", "debate") for turn in turns[kind]]
    return [Scored(each.ids, each.shown) for each in encoded[:count]]


def texts_of(path: Path, tokenizer: Any, longest: int = 256) -> list[Scored]:
    """Return the texts of a file: one a line, or JSON lines with a `text`; every token after the first is scored.

    Raises:
        ConfigError: it cannot be read, or holds none.
    """
    try:
        lines = [line for line in read_ordinary_text(path, most=MOST_BYTES).split("\n") if line.strip()]
        texts = [json.loads(line)["text"] for line in lines] if path.suffix == ".jsonl" else lines
        found = [tokenizer(text).input_ids[:longest] for text in texts]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"cannot read texts from {path}: {error}") from error
    found = [ids for ids in found if len(ids) > 1]
    if not found:
        raise ConfigError(f"{path} has no text of more than one token")
    return [Scored(ids, 1) for ids in found]


def scored_texts(model: str, texts: Path | None, progress: Progress, count: int = TEXTS) -> list[Scored]:
    """Return the texts that a model's copies are compared on: a file's, or so many of the tiny debaters' held-out solutions.

    Raises:
        ConfigError: no texts are given, and it is no tiny debater.
    """
    tokenizer = read_tokenizer(locate(model, progress=progress), name=model)
    if texts is not None:
        return texts_of(texts, tokenizer)
    if not model.startswith(TINY):
        raise ConfigError(f"name the texts that {model} and its copies are compared on: --texts FILE")
    return held_out_turns(tokenizer, count)


class Whole:
    """The base's beliefs on some texts, computed once for all of its copies.

    Args:
        model: name of the base.
        scored: the texts.
        progress: called with a sentence for each slow step.
    """

    def __init__(self, model: str, scored: Sequence[Scored], progress: Progress = lambda _: None) -> None:
        self._model, self._scored, self._progress = model, scored, progress
        self._beliefs = self._of(model)

    def drift(self, copy: str, cache: str | None = None, attention: str | None = None) -> Drift:
        """Return how far a copy is.

        Args:
            copy: its name.
            cache: how its cache is quantised; every text is read token by token then.
            attention: that it has in place of its own.

        Raises:
            ModelError: it has another vocabulary.
        """
        divergences, same, total = [], 0, 0
        for whole, other in zip(self._beliefs, self._of(copy, cache, attention), strict=True):
            if whole.shape != other.shape:
                raise ModelError(
                    f"{copy} believes over {other.shape[1]} tokens, and {self._model} over {whole.shape[1]}"
                )
            one = whole.double()
            divergences.append(float((one.exp() * (one - other.double())).sum(1).mean().clamp_min(0)))
            same += int((whole.argmax(1) == other.argmax(1)).sum())
            total += len(whole)
        return Drift(tuple(divergences), same / total)

    @torch.inference_mode()
    def _of(self, name: str, cache: str | None = None, attention: str | None = None) -> list[torch.Tensor]:
        """Return log beliefs [scored tokens, V] of each text, of a model in float32."""
        from agents.backends.transformers.checkpoint import load_model
        from agents.backends.transformers.exchanged import exchange

        folder = locate(name, progress=self._progress)
        model = load_model(
            folder,
            read_config(folder, name=name),
            name=name,
            dtype=torch.float32,
            device=torch.device("cpu"),
            attention="eager",
        )
        if attention is not None:
            exchange(model, attention_of(attention), name)
        if cache is not None:
            return self._step_by_step(model, cache_of(cache))
        found = []
        for text in self._scored:
            logits = model(torch.tensor([text.ids]), use_cache=False).logits[0, text.first - 1 : -1]
            found.append(torch.log_softmax(logits.float(), -1))
        return found

    def _step_by_step(self, model: Any, stair: Staircase) -> list[torch.Tensor]:
        """Return log beliefs of a model that reads token by token through a quantised cache, all texts side by side."""
        from agents.backends.transformers.decoder import Decoder, Mode

        mode = Mode("by_row")
        model.set_attn_implementation(mode.attention)
        decoder = Decoder(model, mode, torch.device("cpu"), 64, stair=stair)
        cache, table = decoder.new_cache(), model.get_input_embeddings().weight
        longest = max(len(text.ids) for text in self._scored)
        cache.reserve(len(self._scored), longest)
        found: list[list[torch.Tensor]] = [[] for _ in self._scored]
        for place in range(longest - 1):
            rows = [row for row, text in enumerate(self._scored) if place < len(text.ids) - 1]
            tokens = torch.tensor([self._scored[row].ids[place] for row in rows])
            logits = decoder.decode(cache, table[tokens], torch.full_like(tokens, place), slots=rows)
            for row, line in zip(rows, logits, strict=True):
                found[row].append(line)
        beliefs = [torch.log_softmax(torch.stack(lines).float(), -1) for lines in found]
        return [lines[text.first - 1 :] for lines, text in zip(beliefs, self._scored, strict=True)]
