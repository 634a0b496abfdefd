"""A model folder and a recipe → another model folder, in the layout that every engine loads.

The tokenizer, chat template and generation settings are the base's own files. `transform.json` says what was made of what,
`README.md` says it to people.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from agents.atomic_file import write_atomic
from agents.errors import ModelError
from agents.model_folder import (
    TRANSFORM,
    quiet,
    read_config,
    read_json,
    read_tokenizer,
    refuse_incomplete,
    refuse_not_finite,
    refuse_other_kinds,
    unreadable,
    weight_files,
    weights_hash,
)
from agents.transforms.recipe import Step, digest, shown
from agents.transforms.subject import Outcome, Subject

# Of a base: what is not the new model's.
LEFT = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".md", ".py", ".lock")
OWN = ("config.json", "model.safetensors.index.json", "manifest.json", TRANSFORM)
MOST_COPIED = 100_000_000


def transform_folder(
    base: Path, name: str, recipe: Sequence[Step], into: Path, *, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Write the transformed model into a folder and return its record.

    Args:
        base: folder of the model that is transformed.
        name: what the user called it; goes into the record and the card.
        recipe: the steps, in order.
        into: the new folder; it must not exist.
        progress: called with a sentence for each slow step.

    Raises:
        ModelError: a base that cannot be read, is quantised, or that a step cannot handle.
        ConfigError: a parameter of a step out of its range.
    """
    subject = _read(base, name)
    table = subject.model.get_input_embeddings().weight.detach().clone()
    outcomes: list[Outcome] = []
    for step in recipe:
        progress(f"{name}: {step.written}")
        outcomes.append(step.apply(subject))
    refuse_not_finite(subject.model.named_parameters(), name)
    if not torch.equal(table, subject.model.get_input_embeddings().weight):
        raise ModelError(
            f"{shown(recipe)} changes the embedding table of {name}, on which messages are; it is not kept"
        )
    into.mkdir(parents=True)
    for file in sorted(base.iterdir()):
        if file.is_file() and file.suffix not in LEFT and file.name not in OWN and file.stat().st_size <= MOST_COPIED:
            shutil.copyfile(file, into / file.name)
    with quiet():
        subject.model.to(subject.dtype).save_pretrained(into, safe_serialization=True)
    origin = weights_hash(base, name)
    earlier = read_json(base / TRANSFORM) if (base / TRANSFORM).is_file() else None
    record = {
        "base": name,
        "base_weights": origin,
        "recipe": [str(step.written) for step in recipe],
        "digest": digest(origin, recipe),
        "steps": [{"transform": str(s.written), **o.facts} for s, o in zip(recipe, outcomes, strict=True)],
        **({"base_made_by": earlier} if earlier else {}),
    }
    write_atomic(into / TRANSFORM, json.dumps(record, indent=1) + "\n")
    write_atomic(into / "README.md", _card(subject, record, outcomes))
    return record


def _read(base: Path, name: str) -> Subject:
    """Return a model in float32, its every weight from its files.

    Raises:
        ModelError: it cannot be, or is quantised.
    """
    from transformers import AutoModelForCausalLM

    config = read_config(base, name=name)
    refuse_other_kinds(config, name)
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(
            f"{name} is quantised already, and its weights are no numbers that a transform could change. Take the model "
            "that it was made of"
        )
    weight_files(base, name)
    tokenizer = read_tokenizer(base, name=name)
    try:
        with quiet():
            model, report = AutoModelForCausalLM.from_pretrained(
                base,
                config=config,
                dtype=torch.float32,
                attn_implementation="eager",
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a checkpoint makes transformers raise
        raise unreadable("the model", name, base, error) from error
    refuse_incomplete(name, report)
    stored = str(read_json(base / "config.json").get("dtype") or read_json(base / "config.json").get("torch_dtype"))
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(stored, torch.float32)
    return Subject(name, model.eval().requires_grad_(False), tokenizer, dtype)


def _card(subject: Subject, record: dict[str, Any], outcomes: Sequence[Outcome]) -> str:
    parameters = sum(parameter.numel() for parameter in subject.model.parameters())
    lines = [
        f"# {record['base']} | {' | '.join(record['recipe'])}",
        "",
        f"Made of `{record['base']}` (weights {record['base_weights']}) by this recipe, without training. A "
        f"{type(subject.model).__name__} of {parameters:,} parameters, stored in {str(subject.dtype).removeprefix('torch.')}; "
        "its embedding table and tokenizer are the base's own, so it exchanges vectors with it as they are.",
        "",
        "| step | |",
        "|---|---|",
    ]
    for step in record["steps"]:
        figures = "; ".join(f"{key} {_figure(value)}" for key, value in step.items() if key != "transform")
        lines.append(f"| `{step['transform']}` | {figures} |")
    remarks = [remark for outcome in outcomes for remark in outcome.remarks]
    lines += ["", *remarks, ""] if remarks else [""]
    lines += [
        f"Made by `debate transform {record['base']} {' '.join(f'--with {chr(39)}{s}{chr(39)}' for s in record['recipe'])}`; "
        f"fingerprint {record['digest']}. The licence is the base's.",
        "",
    ]
    return "\n".join(lines)


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
