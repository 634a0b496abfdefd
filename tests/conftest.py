"""Tiny models of real architectures with random weights, and the real SmolLM2 where it is."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from debate.runtime.ray.session import keep_private

# Before any test, or vLLM for it, imports Ray.
keep_private()

VOCABULARY = 300
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 257,
}


def _configs() -> dict[str, Any]:
    from transformers import Gemma2Config, Gemma3TextConfig, GPT2Config, LlamaConfig, MistralConfig, Qwen3Config

    gpt2 = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256}
    return {
        "llama": LlamaConfig(**COMMON, tie_word_embeddings=True),
        # Wide enough for vLLM's attention, and with a head of its own.
        "llama-wide": LlamaConfig(
            **{**COMMON, "hidden_size": 128, "intermediate_size": 192, "head_dim": 32, "max_position_embeddings": 1024}
        ),
        "qwen3": Qwen3Config(**COMMON, tie_word_embeddings=False),
        "mistral-window": MistralConfig(**COMMON, sliding_window=16),
        "gemma3-scaled-sliding": Gemma3TextConfig(
            **{**COMMON, "num_hidden_layers": 4},
            sliding_window=16,
            layer_types=["sliding_attention", "full_attention"] * 2,
        ),
        # The same width, and a table that look-ups scale.
        "gemma3-wide": Gemma3TextConfig(
            **{**COMMON, "hidden_size": 128, "intermediate_size": 192, "head_dim": 32, "num_hidden_layers": 2},
            sliding_window=64,
            layer_types=["sliding_attention", "full_attention"],
        ),
        "gemma2-softcap": Gemma2Config(**COMMON, sliding_window=16),
        "gpt2-absolute": GPT2Config(**gpt2, bos_token_id=256, eos_token_id=257),
    }


CHAT_TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}: {{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant: {% endif %}"
)


def save_tiny(folder: Path, architecture: str, *, seed: int = 0, chat: bool = False) -> Path:
    """Write a tiny random model and a byte-level tokenizer into a folder."""
    from transformers import AutoModelForCausalLM

    from agents.tokenizers import byte_tokenizer

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(_configs()[architecture])
    for name, weight in model.named_parameters():
        # Larger than the initialiser's, so that beliefs differ from step to step.
        if weight.ndim == 2 and "embed" not in name and "wte" not in name:
            weight.data.mul_(4.0)
    model.save_pretrained(folder)
    tokenizer = byte_tokenizer(VOCABULARY)
    tokenizer.chat_template = CHAT_TEMPLATE if chat else None
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function: architecture → folder of a tiny model, made once."""
    made: dict[Any, Path] = {}

    def get(architecture: str = "llama", *, seed: int = 0, chat: bool = False) -> Path:
        key = (architecture, seed, chat)
        if key not in made:
            made[key] = save_tiny(tmp_path_factory.mktemp(architecture), architecture, seed=seed, chat=chat)
        return made[key]

    return get


@pytest.fixture(autouse=True)
def one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compute on one thread but with real weights: for tiny tables, waking a second thread takes longer than the work."""
    threads = torch.get_num_threads()
    if not request.node.get_closest_marker("weights"):
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Return asyncio.run."""
    return asyncio.run


@pytest.fixture(scope="session")
def smollm2() -> str:
    """Return the model's short name; skip where it is not, unless the run asks for it (`make test` does)."""
    from agents.pretrained import MANIFEST, WHEEL_MODELS, cache_home, locate

    folder = cache_home() / "models" / WHEEL_MODELS["smollm2"].folder
    if os.environ.get("CIPHER_DEBATE_REQUIRE_WEIGHTS") or (folder / MANIFEST).is_file():
        locate("smollm2")
        return "smollm2"
    pytest.skip("SmolLM2 is not in the model cache; `debate model fetch smollm2` puts it there")


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[Any, str, str]]:
    """Return a function: arguments → (exit code, stdout, stderr)."""
    from debate.cli import main

    def call(*arguments: object) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["debate", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "300")
        code: Any = 0
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def cramped(tiny: Callable[..., Path]) -> Iterator[Any]:
    """One vLLM engine for many tests, since a start takes half a minute: eager, prefix cache on, may be started again once."""
    from support.vllm_engine import CRAMPED, engine

    with engine(tiny("llama-wide"), enforce_eager=True, restarts=1, **CRAMPED) as backend:
        yield backend
