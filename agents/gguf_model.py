"""A GGUF file made a model folder: its weights dequantised to bf16 safetensors, its tokenizer converted."""

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.errors import MissingDependency, ModelError
from agents.gguf_head import refuse_lying_head
from agents.gguf_tokenizer import facts, give_cut
from agents.model_folder import quiet, refuse_incomplete, unreadable


def convert_gguf(gguf: Path, into: Path, progress: Callable[[str], None]) -> None:
    """Write a GGUF file's model into a folder in transformers' layout: weights in bf16, and the tokenizer.

    Args:
        gguf: the file.
        into: the new folder.
        progress: called with a sentence for each slow step.

    Raises:
        MissingDependency: a package that reads such files is not installed.
        ModelError: the file cannot be read, or lacks weights.
    """
    for package in ("gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependency("reading a GGUF file", package, "smollm2")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    refuse_lying_head(gguf)
    try:
        found = facts(gguf)
    except (ValueError, OSError, KeyError, IndexError) as error:
        raise unreadable("the model", gguf.name, gguf.parent, error) from error
    progress("dequantising the weights to bf16 (half a minute)")
    where: dict[str, Any] = {"gguf_file": gguf.name, "trust_remote_code": False, "local_files_only": True}
    try:
        with _silent():
            _refuse_hollow(gguf, where)
            model, report = AutoModelForCausalLM.from_pretrained(
                gguf.parent,
                dtype=torch.bfloat16,
                quantization_config=GgufConfig(dequantize=True),
                output_loading_info=True,
                **where,
            )
            refuse_incomplete(gguf.name, report)
            model.save_pretrained(into)
        progress("converting the tokenizer (half a minute)")
        with _silent():
            give_cut(AutoTokenizer.from_pretrained(gguf.parent, **where), found).save_pretrained(into)
    except (MemoryError, ModelError):
        raise
    except Exception as error:  # whatever a file makes transformers raise
        raise unreadable("the model", gguf.name, gguf.parent, error) from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep a conversion from printing: transformers draws a bar in it that no setting of its own turns off."""
    with quiet(), warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        # numpy warns about the read-only view of the memory-mapped file; nothing is written to it.
        warnings.simplefilter("ignore")
        yield


def _refuse_hollow(gguf: Path, where: Mapping[str, Any]) -> None:
    """Refuse a GGUF file with far fewer weights than its head describes: what it lacks would be drawn at random first.

    Raises:
        ModelError: it is such a file.
    """
    import torch
    from gguf import GGUFReader
    from transformers import AutoConfig, AutoModelForCausalLM

    tensors = GGUFReader(gguf).tensors
    held = sum(int(tensor.n_elements) for tensor in tensors)
    config = AutoConfig.from_pretrained(gguf.parent, **where)
    # Each layer has several; a head that says more would take any time to build.
    needed = 2 * held + 1
    if config.num_hidden_layers <= len(tensors):
        with torch.device("meta"):
            needed = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
    if 2 * held < needed:
        raise ModelError(
            f"{gguf.name} lacks weights: it holds {len(tensors)} tensors with {held:,} numbers, and its head describes a model "
            f"with more ({config.num_hidden_layers:,} layers). Get it whole"
        )
