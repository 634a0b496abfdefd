"""What is checked of a model that vLLM is to run: before its engine starts, and once it has.

What does not start, or answers otherwise than the model's own code, is refused in a sentence; what does so only after some
positions is held to those.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from agents.atomic_file import write_json
from agents.backends.vllm import versions
from agents.backends.vllm.engine import Engine
from agents.backends.vllm.last_words import in_a_sentence
from agents.backends.vllm.proof import LARGEST, Expected, error_of, expected, num_weights
from agents.errors import BackendFailed, ModelError, RunError
from agents.installed import DECISIVE
from agents.installed import versions as installed_versions
from agents.pretrained import Progress, cache_home

FOLDER = "verdicts"
# What a config calls a layer that forgets → which value says after how many positions.
FORGETS = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}


class Check:
    """The check of one model.

    Args:
        folder: of the model.
        config: transformers' own of it.
        engine: vLLM's configuration of the engine.
        name: of the model.
        weights: the hash of its weights and config.
        trust_remote_code: run code that comes with the model.
        progress: called with a sentence where it takes time, or cannot be done.

    Raises:
        ModelError: the model cannot be run.
    """

    def __init__(
        self,
        folder: Path,
        config: Any,
        engine: Any,
        *,
        name: str,
        weights: str,
        trust_remote_code: bool,
        progress: Progress,
    ) -> None:
        (architecture, *_) = engine.model_config.architectures or [type(config).__name__]
        self._called, self._config = f"{name} ({architecture})", config
        self._context: int = engine.model_config.max_model_len
        self._refuse_head_size(engine.model_config)
        self._file = _file_of(engine, weights)
        self._expected: Expected | None = None
        if self._file.is_file():
            return
        if why := _unchecked(folder, name, engine):
            progress(f"what vLLM answers with {name} is not checked against the model's own code: {why}")
            return
        progress(f"checking once that vLLM answers with {name} as the model's own code does")
        self._expected = expected(
            folder,
            config,
            name=name,
            dtype=engine.model_config.dtype,
            context=self._context,
            trust_remote_code=trust_remote_code,
        )

    def not_started(self, error: BackendFailed) -> ModelError:
        """Return the error of an engine that did not start."""
        reason = str(error).removeprefix("vLLM did not start: ").rpartition("under way: ")[2].rstrip(".")
        return versions.does_not_run(self._called, reason)

    def finish(self, engine: Engine, described: Mapping[str, Any], progress: Progress) -> int:
        """Return how many positions an engine that runs may be given.

        Raises:
            ModelError: it answers otherwise than the model's own code.
        """
        if described["table_width"] != described["width"]:
            raise ModelError(
                f"{self._called} looks tokens up in a table {described['table_width']} wide, and its layers are "
                f"{described['width']} wide; vLLM takes vectors of the second width alone. {versions.INSTEAD}"
            )
        context = self._context
        if (far := first_difference(windows_of(self._config), described["windows"])) is not None and far < context:
            context = far
            progress(
                f"warning: on vLLM {self._called} is held to its first {far} positions: after them its layers forget at other "
                f"positions than by the model's own code. For longer prompts use backend: transformers."
            )
        if self._expected is not None:
            self._prove(engine, self._expected.within(context))
        return context

    def _prove(self, engine: Engine, wanted: Expected) -> None:
        try:
            error = engine.wait(error_of(engine, wanted, "proof"))
        except Exception as failed:  # the model's code in vLLM: anything may come
            raise self.not_started(BackendFailed(in_a_sentence(failed))) from failed
        if error > wanted.tolerance:
            raise ModelError(
                f"{self._called} answers otherwise on vLLM {versions.installed()} than by its own code: after the same prompts "
                f"its beliefs are off by {error:.2g} of the logits' spread, of which rounding explains {wanted.tolerance:.2g} at "
                f"most. {versions.INSTEAD}"
            )
        # A file that cannot be written costs a check, no more.
        with contextlib.suppress(RunError):
            write_json(self._file, {"error": error, "tolerance": wanted.tolerance})

    def _refuse_head_size(self, model: Any) -> None:
        from vllm.platforms import current_platform

        if not current_platform.is_cpu() or model.use_mla or model.is_attention_free:
            return
        from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

        sizes = CPUAttentionBackend.get_supported_head_sizes()
        if (size := model.get_head_size()) not in sizes:
            raise ModelError(
                f"{self._called} has attention heads of {size} numbers, and vLLM on CPUs has attention for "
                f"{', '.join(map(str, sizes))} only. {versions.INSTEAD}"
            )


def refuse_masked(config: Any, name: str) -> None:
    """Raise ModelError for a model whose layers keep what is largest alone (the transforms `topk` and `axformer`)."""
    if kept := getattr(config, "kept_units", 0):
        units = config.intermediate_size
        reason = (
            f"it keeps the {kept} largest of a feed-forward layer's {units} activations, and vLLM's layers keep all"
        )
        raise versions.does_not_run(f"{name} ({config.model_type})", reason)
    if any(hard := getattr(config, "hard_keys", ())):
        reason = f"its queries hear the {max(hard)} positions of largest share in some layers, and vLLM's hear all"
        raise versions.does_not_run(f"{name} ({config.model_type})", reason)


def windows_of(config: Any) -> list[int | None]:
    """Return after how many positions each layer forgets by a config; None: never."""
    text = config.get_text_config()
    types = getattr(text, "layer_types", None)
    if types:
        return [
            getattr(text, FORGETS[kind], None) if kind in FORGETS else None for kind in types if "attention" in kind
        ]
    is_used = getattr(text, "use_sliding_window", True)
    return [getattr(text, "sliding_window", None) if is_used else None] * int(text.num_hidden_layers)


def first_difference(own: Sequence[int | None], found: Sequence[int | None]) -> int | None:
    """Return the positions up to which layers that forget at some positions do as layers that forget at others; None: always.

    Args:
        own: of each layer.
        found: of each layer of vLLM's, in any order.
    """
    surplus = [window for window in {*own, *found} if own.count(window) != found.count(window)]
    return min((window for window in surplus if window is not None), default=None)


def _unchecked(folder: Path, name: str, engine: Any) -> str:
    """Return why a model's answers are not checked; empty where they are."""
    if engine.model_config.quantization is not None:
        return "vLLM computes with quantised weights"
    if engine.load_config.load_format == "dummy":
        return "its weights are not loaded"
    if (found := num_weights(folder, name)) > LARGEST:
        return f"it has {found:,} weights, and {LARGEST:,} are the most that are read twice"
    return ""


def _file_of(engine: Any, weights: str) -> Path:
    """Return the file that says that a model was checked before, with the same weights, settings and versions."""
    sources = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(file.read_bytes())
    facts = {
        "weights": weights,
        "dtype": str(engine.model_config.dtype),
        "context": engine.model_config.max_model_len,
        "quantization": engine.model_config.quantization,
        "eager": engine.model_config.enforce_eager,
        "ranks": engine.parallel_config.tensor_parallel_size,
        "cache": str(engine.cache_config.cache_dtype),
        "device": str(engine.device_config.device_type),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "vllm": versions.installed(),
        "versions": installed_versions(DECISIVE),
        "sources": sources.hexdigest(),
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    return cache_home() / FOLDER / f"vllm-{key[:32]}.json"
