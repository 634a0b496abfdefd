"""Real logits for benchmarks: random beliefs are not like a model's."""

import torch

from agents.backends.transformers.model import LoadedModel, default_device
from agents.pretrained import Progress, locate
from kernels.bench import Recorded

TEXT = (
    "What is the result of 12+3*4+5-6*7? First the products: 3*4 is 12 and 6*7 is 42. Then from left to right, 12 and 12 "
    "are 24, and 5 more are 29, less 42 leaves -13. The capital of France is Paris, a city known for art and for its river."
)


def recorded_logits(model: str, *, progress: Progress = lambda _: None) -> Recorded:
    """Return the logits [N, V] that a model has at every position of a short text, and its table, in bfloat16."""
    folder = locate(model, progress=progress)
    loaded = LoadedModel(folder, name=model, dtype="bfloat16", device=default_device())
    ids = loaded.tokenizer(TEXT, return_tensors="pt").input_ids.to(loaded.device)
    with torch.inference_mode():
        logits = loaded.model(input_ids=ids, use_cache=False).logits[0]
    return Recorded(model, logits.clone(), loaded.table.weight.clone())
