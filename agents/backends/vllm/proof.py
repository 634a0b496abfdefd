"""The proof at load: what vLLM answers to a few prompts is what the model's own code answers.

Before vLLM starts, transformers' own uncached forward pass decodes short CIPHER messages after prompts of tokens, of tokens and
vectors, and of vectors that are no token's; then vLLM decodes the same, together and alone, and the beliefs of every step are
compared. vLLM has code of its own for most architectures: what it leaves out of a config, loads under another name or computes
otherwise is found here, whatever the model is called.
"""

import asyncio
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from agents.backends.transformers.checkpoint import load_model, refuse_unusable
from agents.backends.transformers.truth import in_words, looked_up, uncached
from agents.backends.vllm.directive import Directive
from agents.backends.vllm.engine import Engine
from agents.errors import ModelError
from agents.model_folder import stored_weights

# Positions of the prompts: of tokens, of tokens and vectors, of vectors.
LENGTHS = (3, 12, 40)
STEPS = 3
BELIEFS = 8
# Weights that a model may have; with more, the pass of its own code takes too long, and as much memory as float32 needs.
LARGEST = 1_500_000_000
# Errors are of the likeliest tokens' log-probabilities, over the spread of the logits. float32 leaves 1e-5; a coarser dtype is
# allowed some times what the model's own code loses by it.
TOLERANCE = 5e-3
NOISE = 4.0


@dataclass(frozen=True)
class Expected:
    """What the model's own code answers.

    Attributes:
        prompts: vectors [L, D] each.
        ids: of those positions of a prompt that are tokens, from its beginning.
        right: log-probabilities [STEPS, V] of each prompt's message.
        spread: the standard deviation of the logits.
        tolerance: the largest error that vLLM may have.
    """

    prompts: list[torch.Tensor]
    ids: list[list[int]]
    right: list[torch.Tensor]
    spread: float
    tolerance: float

    def within(self, context: int) -> "Expected":
        """Return what fits into some positions."""
        fits = [place for place, prompt in enumerate(self.prompts) if len(prompt) + STEPS <= context] or [0]
        return replace(
            self,
            prompts=[self.prompts[place] for place in fits],
            ids=[self.ids[place] for place in fits],
            right=[self.right[place] for place in fits],
        )


def num_weights(folder: Path, name: str) -> int:
    """Return how many numbers a model's files hold."""
    return sum(weight.numel() for _, weight in stored_weights(folder, name))


@torch.inference_mode()
def expected(
    folder: Path, config: Any, *, name: str, dtype: torch.dtype, context: int, trust_remote_code: bool
) -> Expected:
    """Return what a model's own code answers, on the CPU.

    Args:
        folder, config: of the model.
        name: of the model, for errors.
        dtype: of vLLM.
        context: positions that vLLM has.
        trust_remote_code: run code that comes with the model.

    Raises:
        ModelError: it cannot be loaded, reads more of a token than its embedding, or its own code does not run.
    """
    model = load_model(
        folder,
        config,
        name=name,
        dtype=dtype,
        device=torch.device("cpu"),
        attention="eager",
        trust_remote_code=trust_remote_code,
    )
    table = looked_up(model)
    refuse_unusable(model, table, name)
    draw = torch.Generator().manual_seed(0)
    prompts, ids = [], []
    for place, length in enumerate(min(length, max(1, context - STEPS)) for length in LENGTHS):
        tokens = torch.randint(len(table), (length, 3), generator=draw)
        shares = torch.softmax(torch.randn(length, 3, generator=draw), dim=1)
        known = (length, length // 2, 0)[place]
        shares[:known] = torch.tensor([1.0, 0.0, 0.0])
        prompts.append((shares[..., None] * table[tokens].float()).sum(1).to(dtype))
        ids.append(tokens[:known, 0].tolist())
    try:
        coarse = [_message(model, prompt, table) for prompt in prompts]
        model.float()
        right = [_message(model, prompt.float(), looked_up(model)) for prompt in prompts]
    except Exception as error:  # the model's own code: anything may come
        raise ModelError(f"{name}: what vLLM answers cannot be checked, since {in_words(error)}") from error
    spread = float(torch.stack([found.std(1).mean() for found in right]).mean())
    if not spread:
        raise ModelError(f"{name} finds every token as likely as every other, whatever it reads")
    kept = min(BELIEFS, len(table))
    likely = [exact.topk(kept).indices for exact in right]
    noise = max(
        float((rounded - exact).gather(1, places).abs().max())
        for rounded, exact, places in zip(coarse, right, likely, strict=True)
    )
    return Expected(prompts, ids, right, spread, max(TOLERANCE, NOISE * noise / spread))


def _message(model: Any, prompt: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities [STEPS, V] in float32 of a CIPHER message after a prompt [L, D], in the dtype of both."""
    inputs, steps = prompt, []
    for _ in range(STEPS):
        steps.append(uncached(model, inputs)[-1][: len(table)].float().log_softmax(0))
        said = steps[-1].exp() @ table[: len(steps[-1])].float()
        inputs = torch.cat([inputs, said.to(prompt.dtype)[None]])
    return torch.stack(steps)


async def error_of(engine: Engine, wanted: Expected, key: str) -> float:
    """Return the largest error of what an engine answers, over the spread of the logits.

    Args:
        engine: running.
        wanted: what is right.
        key: begins the keys of the requests.
    """
    together = await asyncio.gather(
        *(
            _said(engine, prompt, ids, f"{key}-{place}")
            for place, (prompt, ids) in enumerate(zip(wanted.prompts, wanted.ids, strict=True))
        )
    )
    alone = await _said(engine, wanted.prompts[-1], wanted.ids[-1], f"{key}-alone")
    answers = zip([*together, alone], [*wanted.right, wanted.right[-1]], strict=True)
    return max(_error(said, right) for said, right in answers) / wanted.spread


def _error(said: dict[str, torch.Tensor], right: torch.Tensor) -> float:
    exact = right.gather(1, said["top_ids"]).double()
    error = float((said["top_probabilities"].double().log() - exact).abs().max())
    return error if math.isfinite(error) else math.inf


async def _said(engine: Engine, prompt: torch.Tensor, ids: list[int], key: str) -> dict[str, torch.Tensor]:
    """Return the steps that an engine takes after a prompt."""
    from vllm import SamplingParams
    from vllm.inputs.engine import embeds_input, tokens_input

    directive = Directive(encoder="expectation", key=key, temperature=1.0, seed=0, beliefs=BELIEFS)
    params = SamplingParams(
        temperature=0.0, max_tokens=STEPS, ignore_eos=True, detokenize=False, extra_args=directive.extra_args()
    )
    if len(ids) == len(prompt):
        given = tokens_input(ids)
    else:
        is_token = [position < len(ids) for position in range(len(prompt))]
        given = embeds_input(prompt, prompt_token_ids=ids + [0] * (len(prompt) - len(ids)), is_token_ids=is_token)
    async for _ in engine.generate(given, params, key, None):
        pass
    return await engine.take(key, STEPS)
