"""The model of a folder in transformers' layout, its every weight from there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.model_folder import held, quiet, refuse_incomplete, unreadable

if TYPE_CHECKING:
    import torch


def whole_model(
    folder: Path, config: Any, name: str, *, dtype: "torch.dtype", attention: str, trust_remote_code: bool = False
) -> Any:
    """Return the model, on the CPU and not to be trained.

    Args:
        folder: with safetensors.
        config: the folder's.
        name: what the user called it, for errors.
        dtype: of the weights.
        attention: the name of the implementation.
        trust_remote_code: run code that comes with it.

    Raises:
        ModelError: it cannot be loaded, or weights are missing, left over or of another shape.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from agents.hollow import no_larger_than

    packed = getattr(config, "quantization_config", None) is not None
    try:
        with quiet(), no_larger_than(*held(folder, name, packed=packed)):
            model, report = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                attn_implementation=attention,
                trust_remote_code=trust_remote_code,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                # Reported below with the missing and the left over.
                ignore_mismatched_sizes=True,
            )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a checkpoint makes transformers raise
        raise unreadable("the model", name, folder, error) from error
    refuse_incomplete(name, report)
    return model.eval().requires_grad_(False)
