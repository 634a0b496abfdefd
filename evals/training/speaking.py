"""Many solutions at once from a model in training: for its held-out accuracy, and for what debate turns hear."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from agents.attention.row_attention import RowAttention
from agents.prompts import Prompts
from evals.tasks.arithmetic import OPERANDS
from evals.tasks.sums import paper_form, split_of, worked, written
from evals.training.experts import ExpertCurriculum
from evals.training.recipe import Knows, Pool
from evals.training.turns import QUESTION, Attempts, TaughtTurn, encode, mistaken, training_operands

BATCH = 256


@torch.inference_mode()
def complete(
    model: Any, tokenizer: Any, turns: Sequence[TaughtTurn], *, longest: int, temperature: float = 0.0, seed: int = 0
) -> list[str]:
    """Return what the model says to each turn's prompt.

    Args:
        model: a causal language model of transformers.
        tokenizer: the debaters'.
        turns: whose prompts are shown.
        longest: solution, in tokens.
        temperature: 0 takes the most probable token.
        seed: of the sampling.
    """
    said: dict[int, str] = {}
    was_training = model.training
    model.eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoded = [encode(turn, tokenizer) for turn in turns]
        for together in _batches(model, [shown for _, shown, _ in encoded]):
            prompts = [encoded[place].ids[: encoded[place].shown] for place in together]
            width = max(map(len, prompts))
            padded = torch.tensor([[tokenizer.pad_token_id] * (width - len(ids)) + ids for ids in prompts])
            mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts])
            heard = [
                (row, width - len(prompts[row]) + at, message)
                for row, place in enumerate(together)
                for at, message in encoded[place].heard
            ]
            read = {"inputs_embeds": _spliced(model, padded, heard)} if heard else {"input_ids": padded}
            drawn: dict[str, Any] = (
                {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
                if temperature
                else {"do_sample": False}
            )
            out = model.generate(**read, attention_mask=mask, max_new_tokens=longest, use_cache=True, **drawn)
            # Of embeddings a model returns what it says alone, of tokens the prompt before it.
            texts = tokenizer.batch_decode(out if heard else out[:, width:], skip_special_tokens=True)
            said |= dict(zip(together, texts, strict=True))
    model.train(was_training)
    return [said[place] for place in range(len(turns))]


def _batches(model: Any, lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of prompts that are read together: of one length where a layer refuses padding."""
    alike: dict[int, list[int]] = {}
    of_one_length = any(isinstance(module, RowAttention) for module in model.modules())
    for place, length in enumerate(lengths):
        alike.setdefault(length if of_one_length else 0, []).append(place)
    for places in alike.values():
        for start in range(0, len(places), BATCH):
            yield places[start : start + BATCH]


def _spliced(model: Any, ids: torch.Tensor, heard: Sequence[tuple[int, int, torch.Tensor]]) -> torch.Tensor:
    """Return embeddings [B, T, D] of token ids, with messages [T', D] in their places: row, first position."""
    found: torch.Tensor = model.get_input_embeddings()(ids).clone()
    for row, start, message in heard:
        found[row, start : start + len(message)] = message.to(found)
    return found


def sample_pool(
    model: Any, tokenizer: Any, prompts: Prompts, pool: Pool, *, seed: str, longest: int
) -> Iterator[Attempts]:
    """Yield training expressions with solutions that the model sampled."""
    rng = random.Random(f"{seed}|pool")
    drawn = [training_operands(rng) for _ in range(pool.expressions)]
    turns = [TaughtTurn(prompts.initial(QUESTION.format(written(paper_form(*operands)))), "") for operands in drawn]
    rounds = []
    for number in range(pool.samples):
        temperature = pool.temperatures[number % len(pool.temperatures)]
        rounds.append(
            complete(model, tokenizer, turns, longest=longest, temperature=temperature, seed=rng.randrange(2**31))
        )
    for operands, *solutions in zip(drawn, *rounds, strict=True):
        yield Attempts(operands, tuple(solutions))


def held_out(prompts: Prompts, count: int, *, seed: str, knows: Knows | None = None) -> dict[str, list[TaughtTurn]]:
    """Return questions of the validation split: alone, and with own solution and another's.

    One of the two is mistaken; an expert's own is right where he knows, and the other's where he does not.
    """
    rng = random.Random(f"{seed}|held out")
    expert = ExpertCurriculum(prompts, knows) if knows else None
    found: dict[str, list[TaughtTurn]] = {"solve": [], "debate": []}
    while len(found["solve"]) < count:
        terms = paper_form(*held_out_operands(rng))
        question, right = QUESTION.format(written(terms)), str(worked(terms))
        found["solve"].append(TaughtTurn(prompts.initial(question), right))
        if expert is None:
            pair = [str(mistaken(rng, terms)), right]
            rng.shuffle(pair)
        else:
            pair = list(expert.pair(rng, terms))
        found["debate"].append(TaughtTurn(prompts.debate(question, pair[0], pair[1:]), right))
    return found


def held_out_operands(rng: random.Random) -> tuple[int, ...]:
    """Return operands whose expression is of the validation split."""
    while True:
        operands = tuple(rng.randrange(OPERANDS) for _ in range(6))
        if split_of(written(paper_form(*operands))) == "validation":
            return operands


def accuracy(model: Any, tokenizer: Any, turns: Sequence[TaughtTurn], *, longest: int) -> float:
    """Return the share of turns whose greedily decoded solution states the right answer."""
    said = complete(model, tokenizer, turns, longest=longest)
    right = sum(_answer(solution) == _answer(turn.solution) for solution, turn in zip(said, turns, strict=True))
    return right / len(turns)


def _answer(solution: str) -> str:
    return solution.rpartition("Answer: ")[2]
