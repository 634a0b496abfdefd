"""`debate bench` of what stands around engines: orchestration, a shared sequence, signatures, the server."""

from pathlib import Path
from typing import Annotated, Any

import typer

from debate.cli import options
from debate.cli.bench import bench


@bench.command()
def orchestrator(
    debates: Annotated[int, typer.Option("--debates", min=10, help="Number of debates in the throughput part.")] = 1000,
    idle_debates: Annotated[
        int, typer.Option("--idle-debates", min=10, help="Number of debates in the idle part.")
    ] = 100,
    parts: Annotated[
        str, typer.Option("--parts", help="Parts to run, separated by commas: throughput, resume, idle.")
    ] = "throughput,resume,idle",
    runtime: Annotated[str, typer.Option("--runtime", help="Runtime to measure: local or ray.")] = "local",
    nodes: Annotated[
        int,
        typer.Option("--nodes", min=1, help="Number of simulated nodes, each with its own engines (only with ray)."),
    ] = 1,
    replicas: Annotated[int, typer.Option("--replicas", min=1, help="Engines on each node (only with ray).")] = 1,
    runners: Annotated[
        int,
        typer.Option(
            "--runners", min=0, help="Processes that play the debates; 0 plays them in the driver (only with ray)."
        ),
    ] = 0,
    in_flight: Annotated[
        int, typer.Option("--in-flight", min=1, help="Number of debates played at the same time.")
    ] = 32,
    fsync: Annotated[
        str, typer.Option("--fsync", help="When the journal is forced to disk: always, everysec or no.")
    ] = "everysec",
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw CPU time per turn over the run, as this picture file.")
    ] = None,
    out: options.Figures = None,
) -> None:
    """Measure the work around the engines, without a model: turns/s, CPU time, memory, resuming, idle engines.

    Examples:

        debate bench orchestrator --debates 10000 --plot cost.png

        debate bench orchestrator --runtime ray --nodes 2 --parts throughput,idle
    """
    import contextlib

    from debate.bench.orchestrator import bench_orchestrator

    with contextlib.ExitStack() as stack:
        where: dict[str, Any] = {}
        if runtime == "ray":
            from debate.runtime.ray.simulated_nodes import DESK, simulated_nodes

            address = stack.enter_context(simulated_nodes(nodes, replicas))
            where = {"ray_address": address, "placement": {"resources": {DESK: 1}}}
        options.run(
            bench_orchestrator(
                debates=debates,
                idle_debates=idle_debates,
                parts=options.listed(parts),
                runtime=runtime,
                replicas=nodes * replicas if runtime == "ray" else 1,
                in_flight=in_flight,
                fsync=fsync,
                runners=runners,
                plot=plot,
                out=out,
                console=options.console,
                progress=options.progress,
                **where,
            )
        )


@bench.command()
def tax(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Model to load (default: a random Llama of four million parameters)."),
    ] = None,
    debates: Annotated[
        int,
        typer.Option(
            "--debates", min=1, help="Number of debates played at the same time, each of two agents and three rounds."
        ),
    ] = 64,
    tokens: options.MessageTokens = 24,
    rounds: options.TimedRounds = 5,
    message: Annotated[str, typer.Option("--message", help="What agents send each other: text or cipher.")] = "text",
    ray: Annotated[bool, typer.Option("--ray", help="Also measure with the engine in its own Ray process.")] = False,
    out: options.Figures = None,
) -> None:
    """Measure what the orchestrator costs: debates beside the same requests given straight to the engine.

    Example:  debate bench tax --debates 64 --rounds 5
    """
    from debate.bench.tax import bench_tax

    options.run(
        bench_tax(
            model=model,
            debates=debates,
            tokens=tokens,
            rounds=rounds,
            message=message,
            with_ray=ray,
            out=out,
            console=options.console,
            progress=options.progress,
        )
    )


@bench.command()
def sharded(
    length: Annotated[int, typer.Option("--length", min=2, help="Tokens of the sequence.")] = 4096,
    ranks: Annotated[
        int, typer.Option("--ranks", min=1, help="Number of processes that the sequence is shared among.")
    ] = 4,
    width: Annotated[int, typer.Option("--width", min=1, help="Width of a head.")] = 64,
    ray: Annotated[bool, typer.Option("--ray", help="Also run each rank in its own Ray process.")] = False,
    out: options.Figures = None,
) -> None:
    """Compare exact attention over a shared sequence with one process, and count what each rank needs, up to a million tokens.

    Example:  debate bench sharded --length 4096 --ranks 4 --ray
    """
    from debate.bench.sharded import bench_sharded

    try:
        bench_sharded(
            length=length, ranks=ranks, width=width, with_ray=ray, out=out, console=options.console,
            progress=options.progress,
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@bench.command()
def signatures(
    payloads: Annotated[
        int, typer.Option("--payloads", min=12, help="Number of messages that are tampered with.")
    ] = 1000,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model whose turns signing is measured against.")
    ] = "tiny/ada",
    tokens: options.MessageTokens = 48,
    rounds: options.TimedRounds = 30,
    seed: Annotated[int, typer.Option("--seed", help="Random seed of what is changed.")] = 0,
    out: options.Figures = None,
) -> None:
    """Signed messages: tampered ones, all of which are to be refused, and what signing costs of a turn.

    Example:  debate bench signatures --payloads 1000
    """
    from agents.errors import MessageError
    from debate.bench.signatures import bench_signatures

    report = options.run(
        bench_signatures(
            model=model,
            payloads=payloads,
            tokens=tokens,
            rounds=rounds,
            seed=seed,
            out=out,
            console=options.console,
            progress=options.progress,
        )
    )
    if report["accepted"]:
        raise MessageError(f"{len(report['accepted'])} tampered payloads were accepted: {report['accepted'][0]}")


@bench.command()
def serve(
    streams: Annotated[
        int, typer.Option("--streams", min=0, help="Clients that read streams at the same time; 0 leaves them out.")
    ] = 200,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Seconds for which the clients ask.")] = 60.0,
    turn_seconds: Annotated[
        float, typer.Option("--turn-seconds", min=0.01, help="Seconds that the simulated engine takes for a turn.")
    ] = 1.0,
    config: Annotated[
        str | None, typer.Option("--config", help="Also compare this config served with `debate eval` of it.")
    ] = None,
    concurrent: Annotated[int, typer.Option("--concurrent", min=1, help="Debates at once in that comparison.")] = 16,
    questions: Annotated[int, typer.Option("--questions", min=1, help="Questions of that comparison.")] = 32,
    method: Annotated[
        str, typer.Option("--method", help="Method of that comparison, the one that the config's message names.")
    ] = "cipher",
    rounds: options.TimedRounds = 1,
    out: options.Figures = None,
) -> None:
    """Measure what a server adds to its engine: lateness of turns, errors, memory; and its speed beside `debate eval`.

    Example:  debate bench serve --streams 200 --seconds 60
    """
    from debate.bench.serve import bench_serve

    options.run(
        bench_serve(
            streams=streams,
            seconds=seconds,
            turn_seconds=turn_seconds,
            config=config,
            concurrent=concurrent,
            questions=questions,
            method=method,
            rounds=rounds,
            out=out,
            console=options.console,
            progress=options.progress,
        )
    )
