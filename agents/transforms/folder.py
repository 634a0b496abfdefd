"""A model folder and a recipe → another model folder, in the layout that every engine loads.

The tokenizer, chat template and generation settings are the base's own files. `transform.json` says what was made of what,
`README.md` says it to people.
"""

import json
import shlex
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
    read_tokenizer,
    refuse_not_finite,
    refuse_other_kinds,
    transform_record,
    weight_files,
    weights_hash,
)
from agents.transforms.base import base_hash, copied_files, stored_dtype
from agents.transforms.counted import counted_maps, whole_facts
from agents.transforms.recipe import Step, digest, shown
from agents.transforms.subject import Outcome, Subject
from agents.whole_model import whole_model

GENERATION = "generation_config.json"


# Whoever asks, e.g. while beliefs are compared: masks are trained through the weights.
@torch.inference_mode(False)
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
    tables = [table.clone() for table in _tables(subject)]
    maps = counted_maps(subject.model)
    outcomes: list[Outcome] = []
    for step in recipe:
        progress(f"{name}: {step.written}")
        outcomes.append(step.apply(subject))
    # As it is stored: what is rounded on the way is looked at too.
    subject.model.to(subject.dtype)
    refuse_not_finite(subject.model.named_parameters(), name)
    for what, table, after in zip(("embedding", "output"), tables, _tables(subject), strict=True):
        if not torch.equal(table, after.float()):
            raise ModelError(f"{shown(recipe)} changes the {what} table of {name}, which is not the copy's to change")
    left = counted_maps(subject.model)
    _save(subject, base, into)
    earlier = transform_record(base)
    record = {
        "base": name,
        "base_weights": weights_hash(base, name),
        "recipe": [str(step.written) for step in recipe],
        "digest": digest(base_hash(base, name), recipe),
        "steps": [{"transform": str(s.written), **o.facts} for s, o in zip(recipe, outcomes, strict=True)],
        "whole": whole_facts(maps, left, base, into, name),
        **({"base_made_by": earlier} if earlier else {}),
    }
    try:
        written = json.dumps(record, indent=1, allow_nan=False)
    except ValueError as error:
        raise ModelError(
            f"{shown(recipe)} on {name} reports a figure that is not finite; nothing was written"
        ) from error
    write_atomic(into / TRANSFORM, written + "\n")
    write_atomic(into / "README.md", _card(subject, record, outcomes))
    return record


def _tables(subject: Subject) -> list[torch.Tensor]:
    """Return the input and the output table of a model."""
    return [getattr(subject.model, f"get_{which}_embeddings")().weight.detach() for which in ("input", "output")]


def _save(subject: Subject, base: Path, into: Path) -> None:
    """Write config and weights, and the base's files beside them: its own generation settings, be they valid or not, or none."""
    from transformers import GenerationConfig

    into.mkdir(parents=True)
    subject.model.generation_config = GenerationConfig()
    with quiet():
        subject.model.save_pretrained(into, safe_serialization=True)
    (into / GENERATION).unlink(missing_ok=True)
    for file in copied_files(base):
        shutil.copyfile(file, into / file.name)


def _read(base: Path, name: str) -> Subject:
    """Return a model in float32, its every weight from its files.

    Raises:
        ModelError: it cannot be, or is quantised.
    """
    config = read_config(base, name=name)
    refuse_other_kinds(config, name)
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(
            f"{name} is quantised already, and its weights are no numbers that a transform could change. Take the model "
            "that it was made of"
        )
    weight_files(base, name)
    tokenizer = read_tokenizer(base, name=name)
    model = whole_model(base, config, name, dtype=torch.float32, attention="eager")
    refuse_not_finite(model.named_parameters(), name)
    return Subject(name, model, tokenizer, stored_dtype(base, name))


def _card(subject: Subject, record: dict[str, Any], outcomes: Sequence[Outcome]) -> str:
    parameters = sum(parameter.numel() for parameter in subject.model.parameters())
    trained = [what for what in ("masks", "factors") if any(f"trained_{what}" in outcome.facts for outcome in outcomes)]
    how = f"which trains {' and '.join(trained)} and no weight" if trained else "without training"
    lines = [
        f"# {record['base']} | {' | '.join(record['recipe'])}",
        "",
        f"Made of `{record['base']}` (weights {record['base_weights']}) by this recipe, "
        f"{how}. A "
        f"{type(subject.model).__name__} of {parameters:,} parameters, stored in {str(subject.dtype).removeprefix('torch.')}; "
        "its embedding table and tokenizer are the base's own, so it exchanges vectors with it as they are.",
        "",
        "| step | |",
        "|---|---|",
    ]
    for step in record["steps"]:
        figures = "; ".join(f"{key} {_figure(value)}" for key, value in step.items() if key != "transform")
        written = step["transform"].replace("|", "\\|")
        lines.append(f"| `{written}` | {figures} |")
    whole = record["whole"]
    lines += [
        "",
        f"All in all its linear maps cost a token {whole['map_macs']:,} multiply-accumulates, {whole['map_macs_used']:,} without "
        f"the rows and columns that are all zeros, where the base's cost {whole['map_macs_before']:,}; its weights have "
        f"{whole['weight_bytes']:,} bytes here, and the base's {whole['weight_bytes_before']:,}.",
    ]
    remarks = [remark for outcome in outcomes for remark in outcome.remarks]
    lines += ["", *remarks, ""] if remarks else [""]
    steps = [part for step in record["recipe"] for part in ("--with", step)]
    lines += [
        "Made by",
        "",
        f"    {shlex.join(['debate', 'transform', record['base'], *steps, '--out', 'FOLDER'])}",
        "",
        f"fingerprint {record['digest']}. The licence is the base's.",
        "",
    ]
    return "\n".join(lines)


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
