"""`debate bench sharded`: exact attention over a sequence whose shares lie in Ray actors, beside one process.

Keys and values pass from actor to actor as Ray's objects, and this process sees references alone. Whether the result is that
of one process is looked at first; what a rank computes, sends and holds is counted, and reckoned for longer sequences by the
same formula. There is one machine here, so times say nothing of many.
"""

from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import scaled_dot_product_attention

from agents.atomic_file import write_json
from agents.attention.sharded import Cost, Rank, cost, ring, shares, visits
from agents.errors import DebateError
from agents.pretrained import Progress

HEADS = 2
BLOCK = 512
TOLERANCE = 1e-5
MILLION = 1_048_576


class ShareActor:
    """A rank in a process of its own: its share of queries, keys and values."""

    def __init__(self, query: Any, key: Any, value: Any, start: int, scaling: float, causal: bool) -> None:
        torch.set_num_threads(1)
        self._rank = Rank(torch.tensor(query), start, scaling=scaling, block=BLOCK, causal=causal)
        self._share = (key, value, start)

    def share(self) -> tuple[Any, Any, int]:
        """Return its keys and values, and where they begin."""
        return self._share

    def hear(self, share: tuple[Any, Any, int]) -> int:
        """Take in a share; return how many scores were computed so far."""
        key, value, start = share
        self._rank.hear(torch.tensor(key), torch.tensor(value), start)
        return self._rank.scores

    def result(self) -> Any:
        """Return what its queries heard."""
        return self._rank.result().numpy()


def on_ray(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ranks: int, *, scaling: float, causal: bool
) -> tuple[torch.Tensor, list[int]]:
    """Return attention [H, L, D] by actors of a Ray that runs, and how many scores each computed.

    Raises:
        ValueError: more ranks than shares.
    """
    import ray

    spans = shares(query.shape[1], ranks)
    # Whole processes' worth of CPUs are not asked for: the actors are correct on however few there are.
    remote = ray.remote(num_cpus=0)(ShareActor)
    actors = [
        remote.remote(*(states[:, span].numpy() for states in (query, key, value)), span.start, scaling, causal)
        for span in spans
    ]
    try:
        held = [actor.share.remote() for actor in actors]
        last: list[Any] = [None] * ranks
        for number, actor in enumerate(actors):
            for other in visits(number, ranks):
                if not causal or spans[other].start < spans[number].stop:
                    last[number] = actor.hear.remote(held[other])
        counts = ray.get(last)
        results = [torch.tensor(part) for part in ray.get([actor.result.remote() for actor in actors])]
    finally:
        for actor in actors:
            ray.kill(actor)
    return torch.cat(results, 1), counts


def bench_sharded(
    *, length: int, ranks: int, width: int, with_ray: bool, out: Path | None, console: Console, progress: Progress
) -> dict[str, Any]:
    """Compare with one process, count, reckon for a million tokens; print the table and return the figures.

    Raises:
        DebateError: the shares do not come to what one process computes.
    """
    draw = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, HEADS, length, width, generator=draw).unbind()
    scaling = width**-0.5
    report: dict[str, Any] = {"length": length, "ranks": ranks, "width": width, "errors": {}, "costs": []}
    session = None
    if with_ray:
        from debate.config.execution import ExecutionConfig
        from debate.runtime.ray.session import RaySession

        session = RaySession(ExecutionConfig(runtime="ray"), progress)
    try:
        for causal, kind in ((True, "causal"), (False, "both ways")):
            right = scaled_dot_product_attention(query, key, value, is_causal=causal)
            found = {"in this process": ring(query, key, value, ranks, scaling=scaling, block=BLOCK, causal=causal)}
            if session is not None:
                found["Ray actors"], _ = on_ray(query, key, value, ranks, scaling=scaling, causal=causal)
            for where, result in found.items():
                error = float((result - right).abs().max())
                report["errors"][f"{where}, {kind}"] = error
                console.print(f"{where}, {kind}: off by {error:.1e} at most from one process", markup=False)
                if not error < TOLERANCE:
                    raise DebateError(f"sharded attention ({where}, {kind}) is off by {error:.1e}")
    finally:
        if session is not None:
            session.close()
    table = Table(box=None, pad_edge=False)
    for column in ("tokens", "ranks", "GMACs", "MiB sent", "MiB held", "MiB of all scores"):
        table.add_column(column, justify="right")
    for tokens, count in ((length, ranks), (MILLION, 8), (MILLION, 64), (MILLION, 512)):
        one: Cost = cost(tokens, count, width, BLOCK, causal=True)
        cells = (one.products / 1e9, *(part / 2**20 for part in (one.sent, one.held, one.naive)))
        table.add_row(f"{tokens:,}", str(count), *(f"{cell:,.1f}" for cell in cells))
        report["costs"].append({"tokens": tokens, "ranks": count, **vars(one)})
    console.print(
        f"a head of width {width} in one layer, causal, float32: of the rank with most to do, by formula; the first line was run",
        markup=False,
    )
    console.print(table, markup=False)
    if out is not None:
        write_json(out, report)
    return report
