"""`debate bench drift`: how far a message moves with its batch and with its dtype, since rounding feeds back at every step."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agents.atomic_file import write_json
from agents.backend import Prompt, Request, Sampling
from agents.message import Message
from agents.pretrained import Progress
from agents.registry import create_backend

PROMPTS = (
    "Explain in two sentences why the sky is blue.",
    "What is the capital of France? Tell me about it.",
    "What is the result of 12+3*4+5-6*7?",
)
TEMPERATURES = (0.25, 0.7, 1.0)


async def bench_drift(
    *, model: str, tokens: int, out: Path | None, console: Console, progress: Progress
) -> list[dict[str, Any]]:
    """Generate the same CIPHER messages in several ways, print how far they lie apart, and return the rows."""
    said: dict[str, list[Message]] = {}
    for dtype in ("float32", "bfloat16"):
        for invariant in (True, False):
            for together in (False, True):
                name = (
                    f"{dtype}, {'invariant' if invariant else 'not invariant'}, {'one batch' if together else 'alone'}"
                )
                progress(name)
                said[name] = await _generate(model, dtype, tokens, invariant, together)
    pairs = [
        (f"{dtype}, {kind}, alone", f"{dtype}, {kind}, one batch")
        for kind in ("invariant", "not invariant")
        for dtype in ("float32", "bfloat16")
    ]
    pairs.append(("float32, invariant, alone", "bfloat16, invariant, alone"))
    table = Table(
        title=f"{model}: {len(said[pairs[0][0]])} messages of up to {tokens} steps", title_justify="left", box=None
    )
    for column in ("compared", "T", "same bytes", "same tokens", "rel. error: median", "worst"):
        table.add_column(column, justify="left" if column == "compared" else "right")
    rows = []
    for one, other in pairs:
        for place, temperature in enumerate(TEMPERATURES):
            chosen = slice(place * len(PROMPTS), (place + 1) * len(PROMPTS))
            row = {
                "one": one,
                "other": other,
                "temperature": temperature,
                **_compare(said[one][chosen], said[other][chosen]),
            }
            rows.append(row)
            count = len(PROMPTS)
            label = _label(one, other) if place == 0 else ""
            table.add_row(
                label,
                f"{temperature:g}",
                f"{row['same_bytes']}/{count}",
                f"{row['same_tokens']}/{count}",
                f"{row['median']:.0e}",
                f"{row['worst']:.0e}",
            )
    console.print(table, markup=False)
    console.print("errors are over the steps before the first different nearest token", markup=False)
    if out is not None:
        write_json(out, rows)
    return rows


async def _generate(model: str, dtype: str, tokens: int, invariant: bool, together: bool) -> list[Message]:
    """Return the messages of every temperature and prompt, from one engine."""
    engine = create_backend(
        "transformers", model=model, dtype=dtype, device="cpu", batch_invariant=invariant, prefix_cache=False
    )
    requests = [
        Request(Prompt.of(prompt), Sampling(temperature=temperature, max_tokens=tokens), "expectation")
        for temperature in TEMPERATURES
        for prompt in PROMPTS
    ]
    try:
        if together:
            pending = [engine.submit(request) for request in requests]
            return [(await waiting).message for waiting in pending]
        return [(await engine.submit(request)).message for request in requests]
    finally:
        await engine.close()


def _label(one: str, other: str) -> str:
    """Return what two ways differ in, after what they share."""
    some, others = one.split(", "), other.split(", ")
    same = [a for a, b in zip(some, others, strict=True) if a == b]
    return f"{', '.join(same)}: " + " / ".join(
        ", ".join(part for part, twin in zip(parts, twins, strict=True) if part != twin)
        for parts, twins in ((some, others), (others, some))
    )


def _compare(some: Sequence[Message], others: Sequence[Message]) -> dict[str, Any]:
    """Return how many messages are the same, and the relative errors of their vectors while the tokens agree."""
    errors: list[float] = []
    for one, other in zip(some, others, strict=True):
        assert one.cipher is not None
        assert other.cipher is not None
        pairs = zip(one.token_ids, other.token_ids, strict=False)
        agree = next((step for step, (a, b) in enumerate(pairs) if a != b), min(one.num_tokens, other.num_tokens))
        a, b = one.cipher.vectors[:agree].double(), other.cipher.vectors[:agree].double()
        errors += ((a - b).norm(dim=1) / a.norm(dim=1)).tolist()
    return {
        "same_bytes": sum(one.digest == other.digest for one, other in zip(some, others, strict=True)),
        "same_tokens": sum(one.token_ids == other.token_ids for one, other in zip(some, others, strict=True)),
        "median": statistics.median(errors) if errors else 0.0,
        "worst": max(errors, default=0.0),
    }
