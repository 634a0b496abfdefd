"""A language model that learns conjunctions from a prompt, beside the nearest neighbour (Bhattamishra et al., 2024, section 6).

Examples stand in the form of the paper's prompt, `Input: 0 1 0 1 0` and `Label: 1`, after a sentence of ours. Of both labels the
likelier one is its answer, read at every label of one prompt: what it says there depends on what stands before. Nothing is
trained; a seed draws other functions. In float32: of bfloat16 logits two labels would often be equal.
"""

from pathlib import Path
from typing import Any

import torch

from agents.beliefs.claims import Claim, claims_of
from agents.models.discrete_functions.backend import LABELS, write_examples
from agents.models.discrete_functions.families import Points, conjunction
from agents.models.discrete_functions.optimal import Evidence, neighbours
from agents.models.discrete_functions.training import FRESH_SEED
from agents.pretrained import Progress, locate

MODEL = "smollm2"
INSTRUCTION = (
    "Below are inputs and their labels under one hidden Boolean function. Give the label, 0 or 1, of each input.\n"
)
DIMS, LITERAL = 5, 0.5
"""The paper's, for language models: half of five variables are in a clause."""
FUNCTIONS, POINTS, LAST = 17, 25, 10
"""Functions a seed, examples of each, and at how many of the last ones accuracy is taken."""


def claims(out: Path, *, seeds: int = 3, data: Path | None = None, progress: Progress = lambda _: None) -> list[Claim]:
    """Return how a language model compares with the nearest neighbour.

    Args:
        out: not needed; nothing is trained.
        seeds: draws of functions, from 0.
        data: not needed; functions are drawn.
        progress: told of each step that takes time.
    """
    del out, data
    model, tokenizer = _loaded(progress)
    figures: dict[str, list[tuple[float, float]]] = {}
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(FRESH_SEED + seed)
        points = conjunction(FUNCTIONS, POINTS, DIMS, generator, literal=LITERAL)
        ours, near, null = [], [], []
        for b in range(FUNCTIONS):
            x, y = points.x[b], points.y[b]
            said = answers(model, tokenizer, Points(points.x[b : b + 1], points.y[b : b + 1]))
            for k in range(POINTS - LAST, POINTS):
                right = bool(y[k] > 0)
                ours.append(said[k] == right)
                near.append((neighbours(Evidence(x[:k], y[:k]), x[k]) > 0.5) == right)
                null.append(bool((y[:k] > 0).float().mean() > 0.5) == right)
            progress(f"functions {b + 1} of {FUNCTIONS}, draw {seed}")
        share, theirs, common = (sum(each) / len(each) for each in (ours, near, null))
        figures.setdefault(NEAREST, []).append((share, theirs))
        figures.setdefault(NULL, []).append((share, common))
    return claims_of(figures, ASKED)


NEAREST = "SmolLM2, 5 variables, 15 to 24 examples, accuracy: above the nearest neighbour's"
NULL = "the same: above the label that was commoner so far"
ASKED: dict[str, tuple[float | None, float | None]] = {NEAREST: (0.0, None), NULL: (0.0, None)}


@torch.inference_mode()
def answers(model: Any, tokenizer: Any, points: Points) -> list[bool]:
    """Return for each example of one function, points [1, K, n], whether 1 is likelier than 0 after all that stands before."""
    text = INSTRUCTION + "\n" + write_examples(points)
    made = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    ids, ends = made["input_ids"], [end for _, end in made["offset_mapping"]]
    # A label is the last character of every second line.
    wanted, place = [], len(INSTRUCTION)
    for line in text[place:].split("\n"):
        place += len(line) + 1
        if line.startswith("Label: "):
            wanted.append(ends.index(place - 1))
    logits = model(input_ids=torch.tensor([ids])).logits[0]
    # The tokens of both labels as they stand after the same words.
    zero, one = (tokenizer(f"Label: {label}", add_special_tokens=False)["input_ids"][-1] for label in LABELS)
    return [bool(logits[each - 1, one] > logits[each - 1, zero]) for each in wanted]


def _loaded(progress: Progress) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = locate(MODEL, progress=progress)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=False, local_files_only=True
    ).eval()
    return model, AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
