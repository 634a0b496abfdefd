"""A model's own samples with all their prefixes, and what is known of each: what a classifier of attributes learns from.

Samples and no clean texts, since a search is among what the model may say: a prefix that went wrong does not end as one of the
training text does. Of a text that was cut off by a limit it is known only that more tokens were to come.

S samples, M prefixes of them, D width of a state, H horizon.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.decoding.acbs import loops
from agents.decoding.attributes import AttributeClassifier, cells
from agents.errors import ModelError
from agents.models.seeded import seeded
from agents.models.sentences.steps import train_step


@dataclass(frozen=True)
class Sampled:
    """A text behind a prompt.

    Attributes:
        prompt, tokens: token numbers; the end is none of them.
        complete: whether an end stood behind it; else a limit cut it off before one token more at least.
    """

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    complete: bool


@dataclass(frozen=True)
class Prefixes:
    """Prefixes of samples.

    Attributes:
        states: [M, D], the model's last hidden state behind each, which its head reads.
        known: [M, 2, H + 1] bool, which of the classifier's places each may turn out to be; one alone of a complete text.
    """

    states: Tensor
    known: Tensor


def known_of(text: Sampled, horizon: int, loop: int) -> list[Tensor]:
    """Return which places [2, H + 1] each prefix of 1, 2, … tokens may turn out to be, up to where a loop is complete.

    A search gives a prefix up where it is a loop, so that none is learned.
    """
    ends = (count for count in range(1, len(text.tokens) + 1) if loops(text.tokens[:count], loop))
    looped = next(ends, None)
    found = []
    for count in range(1, looped or len(text.tokens) + 1):
        left = len(text.tokens) - count
        kind = True if looped else False if text.complete else None
        # Place H is of H tokens or more.
        least = left if text.complete else left + 1
        found.append(cells(horizon, least, least if text.complete and least < horizon else None, loops=kind))
    return found


@torch.no_grad()
def draw_samples(
    model: Any, prompts: Tensor, ends: Collection[int], limit: int, generator: torch.Generator
) -> list[Sampled]:
    """Return a text for each prompt [S, P], drawn at temperature 1, of at most `limit` tokens."""
    inputs, cache, rows = prompts, None, []
    for _ in range(limit + 1):
        out = model(inputs, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        inputs = torch.multinomial(torch.softmax(out.logits[:, -1], -1), 1, generator=generator)
        rows.append(inputs[:, 0])
    drawn = torch.stack(rows, 1).tolist()
    found = []
    for prompt, row in zip(prompts.tolist(), drawn, strict=True):
        count = next((place for place, token in enumerate(row) if token in ends), None)
        found.append(Sampled(tuple(prompt), tuple(row[: limit if count is None else count]), count is not None))
    return found


@torch.no_grad()
def prefixes_of(model: Any, texts: Sequence[Sampled], horizon: int, loop: int, *, batch: int = 64) -> Prefixes:
    """Return the prefixes of texts with the model's states.

    Raises:
        ModelError: the model's head, whose input a search looks at, reads something else than these; or no text has a token.
    """
    refuse_other_states(model, torch.tensor([texts[0].prompt]))
    states, known = [], []
    for start in range(0, len(texts), batch):
        part = [text for text in texts[start : start + batch] if text.tokens]
        if not part:
            continue
        longest = max(len(text.prompt) + len(text.tokens) for text in part)
        rows = [[*text.prompt, *text.tokens] for text in part]
        # Behind its end a row is filled up, which no position before it sees.
        inputs = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
        found = model.model(inputs, use_cache=False).last_hidden_state
        for row, text in zip(found, part, strict=True):
            places = known_of(text, horizon, loop)
            states.append(row[len(text.prompt) : len(text.prompt) + len(places)])
            known += places
    if not states:
        raise ModelError(
            f"a classifier learns from what a model says, and {type(model).__name__} ends each of {len(texts)} texts before its "
            "first token: sample more texts, or take another model"
        )
    return Prefixes(torch.cat(states), torch.stack(known))


def refuse_other_states(model: Any, tokens: Tensor) -> None:
    """Raise ModelError where a model's head reads something else than its last states of tokens [B, T]."""
    read: list[Tensor] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    try:
        model(tokens, use_cache=False)
    finally:
        hook.remove()
    states = model.model(tokens, use_cache=False).last_hidden_state
    if len(read) != 1 or read[0].shape != states.shape or not torch.allclose(read[0], states, rtol=1e-3, atol=1e-4):
        raise ModelError(
            f"a classifier is of the states that a model's head reads, and {type(model).__name__} makes something else of its "
            "last states first: take a model without that"
        )


def surprise(classifier: AttributeClassifier, prefixes: Prefixes) -> Tensor:
    """Return the mean −log P of what is known of prefixes, in nats a prefix."""
    found: Tensor = classifier(prefixes.states).masked_fill(~prefixes.known, -torch.inf)
    return -found.flatten(1).logsumexp(1).mean()


def fit(
    prefixes: Prefixes,
    *,
    horizon: int,
    loop: int,
    hidden: int = 64,
    steps: int = 1500,
    batch: int = 256,
    rate: float = 3e-3,
    seed: int,
) -> AttributeClassifier:
    """Return a classifier trained on prefixes.

    Args:
        prefixes: what it learns.
        horizon, loop, hidden: of the classifier.
        steps, batch, rate: of AdamW.
        seed: of its weights and of the order.
    """
    width = prefixes.states.shape[1]
    classifier = seeded(lambda: AttributeClassifier(width, horizon, loop, hidden), seed)
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=rate, weight_decay=0.01)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        chosen = torch.randint(len(prefixes.states), (batch,), generator=generator)
        loss = surprise(classifier, Prefixes(prefixes.states[chosen], prefixes.known[chosen]))
        train_step(optimiser, loss, classifier, rate, step, steps)
    return classifier.eval()
