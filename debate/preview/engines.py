"""What is known of an agent's engine without starting it: its tokenizer, its context, how large it is. Nothing is fetched."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.backend import Backend
from agents.byte_tokens import ByteTokenizer
from agents.errors import ConfigError, DebateError
from agents.json_text import parse_json
from agents.model_folder import read_tokenizer
from agents.pretrained import TINY, WHEEL_MODELS, base_of, here, locate
from agents.registry import GROUP, check_options, load_class
from debate.config.schema import DebateConfig
from kernels.registry import is_path

# Of the mock, where its options do not say.
MOCK_CONTEXT = 100_000
# Backends that read a model's own folder.
LOCAL = ("transformers", "vllm")


@dataclass(frozen=True)
class KnownEngine:
    """An engine before it starts.

    Attributes:
        model: its name in the config.
        tokenizer: None where it cannot be known before the engine is there.
        context: positions; None likewise.
        parameters: about; None likewise, 0 of an engine without a model.
        remark: why something is not known.
    """

    model: str
    tokenizer: Any = None
    context: int | None = None
    parameters: int | None = None
    remark: str = ""


def known_engine(config: DebateConfig, backend: str, model: str, own: Mapping[str, Any]) -> KnownEngine:
    """Return what is known of an engine.

    Args:
        config: the debate.
        backend, model: backend and model of an agent.
        own: the agent's options of its backend.

    Raises:
        DebateError: an unknown backend, an option that it does not take, or a model that is nowhere.
    """
    options = {**(config.options if backend == config.backend else {}), **own}
    made = load_class(backend, "backend", GROUP, Backend)
    check_options(f"backend {backend!r}", {"model": model, "dtype": config.dtype, "progress": None, **options}, made)
    if backend == "mock":
        # It plays no model, whatever the config names.
        return KnownEngine("mock", ByteTokenizer(), int(options.get("context", MOCK_CONTEXT)), 0)
    if backend == "human":
        return KnownEngine(model, remark="a person is asked at the terminal")
    if backend not in LOCAL:
        return KnownEngine(model, remark=f"what {backend} holds is known once it has started")
    folder = model_folder(model)
    if folder is None:
        return KnownEngine(model, remark="it is not on this machine yet; it is fetched when a run begins")
    sizes = parse_json((folder / "config.json").read_text(encoding="utf-8"))
    sizes = {**sizes, **(sizes.get("text_config") or {})}
    context = options.get("max_model_len") or sizes.get("max_position_embeddings") or sizes.get("n_positions")
    return KnownEngine(
        model,
        read_tokenizer(folder, name=model),
        int(context) if isinstance(context, int) else None,
        _parameters(folder, sizes),
    )


def model_folder(model: str) -> Path | None:
    """Return where a model lies, as it is read; None where it has to be fetched or converted first.

    Of one that transforms make, what they begin with: its tokenizer, table and context are the same.
    """
    model = base_of(model)
    path = Path(os.path.expanduser(model))
    if model not in WHEEL_MODELS and not model.startswith(TINY) and os.path.exists(path):
        return path if (path / "config.json").is_file() else None
    if (found := here(model)) is not None:
        return found
    is_hub_id = model.count("/") == 1 and not model.startswith((".", "~", "/", TINY))
    if model in WHEEL_MODELS or is_hub_id:
        return None
    # It is nowhere, and what finds models says so best.
    return locate(model)


def check_transforms(transforms: Sequence[str], backend: str, where: str) -> None:
    """Refuse transforms of an agent that nothing could carry out.

    Args:
        transforms: as the config has them.
        backend: name of the agent's backend.
        where: key path of the agent, for the message.

    Raises:
        ConfigError: a transform or a parameter that does not exist, or a backend that loads no weights here.
    """
    from agents.transforms.recipe import parse_recipe

    try:
        parse_recipe(transforms)
    except DebateError as error:
        raise ConfigError(f"{where}.transforms: {error}") from error
    if backend not in LOCAL and not is_path(backend):
        raise ConfigError(
            f"{where}.transforms: the backend {backend} loads no weights that could be transformed; {' and '.join(LOCAL)} do"
        )


def _parameters(folder: Path, sizes: Mapping[str, Any]) -> int:
    width = 4 if "32" in str(sizes.get("dtype") or sizes.get("torch_dtype") or "float32") else 2
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) // width
