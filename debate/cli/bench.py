"""`debate bench`: speed as ratios, measured side by side in one run; here of kernels and engines."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import typer

from debate.cli import options
from debate.cli.app import app

N = TypeVar("N", int, float)

bench = typer.Typer(help="Measure speed as ratios, side by side in one run.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@bench.callback()
def group() -> None:
    """Measure speed as ratios, side by side in one run."""


@bench.command()
def engine(
    model: options.OneModel = "smollm2",
    backends: Annotated[
        str, typer.Option("--backends", help="Backends to compare, separated by commas, e.g. transformers,vllm.")
    ] = "transformers",
    dtype: options.Dtype = "bfloat16",
    rows: Annotated[
        str, typer.Option("--rows", help="Batch sizes to time, separated by commas, e.g. 1,4,16,32.")
    ] = "1,16",
    temperatures: Annotated[
        str, typer.Option("--temperatures", "-T", help="Temperatures to time, separated by commas, e.g. 0.25,1.")
    ] = "0.7",
    tokens: Annotated[int, typer.Option("--tokens", min=1, help="Tokens to generate for each request.")] = 32,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Number of interleaved rounds, after one warm-up round.")
    ] = 4,
    encoder: Annotated[str, typer.Option("--encoder", "-e", help="Encoder of the CIPHER requests.")] = "expectation",
    set_options: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="[BACKEND.]KEY=VALUE",
            help="Option of one backend or of all; repeatable, e.g. transformers.batch_invariant=false.",
        ),
    ] = None,
    shapes: Annotated[
        str | None,
        typer.Option(
            "--shapes",
            help="Measure vLLM on random weights of these sizes instead, over its own text: qwen3-0.6b, qwen3-1.7b, qwen3-4b, "
            "qwen3-8b, tiny.",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="Device that draws the weights of --shapes: cuda or cpu.")
    ] = "cuda",
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0, help="Start no further shape later than this (default: all).")
    ] = None,
    out: options.Figures = None,
) -> None:
    """Measure tokens/s of text and CIPHER by number of requests and temperature, engines side by side, interleaved in one run.

    Examples:

        debate bench engine --backends transformers,vllm --rows 1,16 -T 0.25,1

        debate bench engine --device cuda --shapes qwen3-0.6b,qwen3-8b --rows 1,32 --tokens 128
    """
    from debate.bench.engine import Plan, bench_engine

    names = ("vllm",) if shapes else tuple(options.listed(backends))
    plan = Plan(names, _numbers(temperatures, float), _numbers(rows, int), tokens, rounds, encoder)
    if shapes:
        from debate.bench.overhead import bench_overhead

        options.run(
            bench_overhead(
                shapes=options.listed(shapes),
                device=device,
                plan=plan,
                options=options_by_backend(names, set_options)["vllm"],
                minutes=minutes,
                out=out,
                console=options.console,
                progress=options.progress,
            )
        )
        return
    options.run(
        bench_engine(
            model=model,
            dtype=dtype,
            plan=plan,
            backend_options=options_by_backend(names, set_options),
            out=out,
            console=options.console,
            progress=options.progress,
        )
    )


@bench.command()
def kernels(
    shapes: Annotated[
        str,
        typer.Option(
            "--shapes",
            help="Model shapes, separated by commas: smollm2-135m, llama-3-8b, qwen3-0.6b, qwen3-8b, gemma-3-270m.",
        ),
    ] = ("smollm2-135m"),
    operators: Annotated[
        str, typer.Option("--operators", help="Operators to time, separated by commas.")
    ] = "vocabulary_attention,expected_embedding,nearest_token",
    batch: Annotated[str, typer.Option("--batch", help="Batch sizes, separated by commas.")] = "1,4,16,64",
    dtypes: Annotated[
        str, typer.Option("--dtypes", help="Data types, separated by commas: float32, bfloat16.")
    ] = "bfloat16,float32",
    rounds: Annotated[
        int, typer.Option("--rounds", min=2, help="Number of interleaved rounds; the first is not counted.")
    ] = 7,
    device: Annotated[
        str | None, typer.Option("--device", help="Torch device, e.g. cuda (default: the GPU if there is one).")
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compiled/--no-compiled", help="Also time the eager code under torch.compile.")
    ] = True,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Model whose real logits the sparse mode is timed on, e.g. smollm2."),
    ] = None,
    temperature: Annotated[float, typer.Option("--temperature", "-T", help="Temperature of the beliefs.")] = 0.7,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", min=0, help="Start no case later than this; what is left out is listed (default: all)."
        ),
    ] = None,
    out: options.Figures = None,
) -> None:
    """Check the operators against their definitions, then time them beside eager and compiled torch.

    Example:  debate bench kernels --shapes smollm2-135m --batch 1,16 --model smollm2
    """
    from agents.errors import UnknownName
    from kernels.bench import OPERATORS, SHAPES, run

    names, chosen = options.listed(shapes), options.listed(operators)
    for kind, given, known in (("shape", names, SHAPES), ("operator", chosen, OPERATORS)):
        for name in given:
            if name not in known:
                raise UnknownName(kind, name, known)
    recorded = None
    if model is not None:
        from agents.backends.transformers.recording import recorded_logits

        recorded = recorded_logits(model, progress=options.progress)
    run(
        shapes=names,
        batch_sizes=list(_numbers(batch, int)),
        dtypes=options.listed(dtypes),
        operators=chosen,
        rounds=rounds,
        device=device,
        compiled=compiled,
        recorded=recorded,
        temperature=temperature,
        minutes=minutes,
        out_json=out,
        console=options.console,
    )


@bench.command()
def drift(
    model: options.OneModel = "smollm2",
    tokens: options.MessageTokens = 48,
    out: options.Figures = None,
) -> None:
    """Measure how far a message moves with its batch and its data type.

    Example:  debate bench drift --tokens 48
    """
    from debate.bench.drift import bench_drift

    options.run(bench_drift(model=model, tokens=tokens, out=out, console=options.console, progress=options.progress))


@bench.command()
def packing(
    texts: Annotated[int, typer.Option("--texts", min=2, help="Number of texts that are read together.")] = 32,
    shortest: Annotated[int, typer.Option("--shortest", min=1, help="Tokens of the shortest text.")] = 8,
    longest: Annotated[int, typer.Option("--longest", min=2, max=512, help="Tokens of the longest text.")] = 96,
    rounds: options.TimedRounds = 5,
    out: options.Figures = None,
) -> None:
    """Compare texts read padded, one by one, and as one packed row: operations counted, CPU time, results equal.

    Example:  debate bench packing --texts 32 --longest 96
    """
    from debate.bench.packing import bench_packing

    if shortest > longest:
        raise typer.BadParameter(f"the shortest text, {shortest}, is longer than the longest, {longest}")
    bench_packing(
        texts=texts, shortest=shortest, longest=longest, rounds=rounds, out=out, console=options.console
    )  # fmt: skip


@bench.command()
def start(
    model: options.OneModel = "smollm2",
    dtype: options.Dtype = "bfloat16",
    tokens: options.MessageTokens = 16,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Number of starts.")] = 3,
    cold: Annotated[bool, typer.Option("--cold", help="Start with nothing compiled before.")] = False,
    set_options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="Option of vLLM KEY=VALUE; repeatable."),
    ] = None,
    out: options.Figures = None,
) -> None:
    """Measure where the time goes from a command line to the end of the first turn, with vLLM.

    Example:  debate bench start --rounds 3
    """
    from debate.bench.start import bench_start

    bench_start(
        model=model,
        dtype=dtype,
        tokens=tokens,
        rounds=rounds,
        cold=cold,
        options=set_options or (),
        out=out,
        console=options.console,
        progress=options.progress,
    )


@bench.command()
def peers(
    model: options.OneModel = "smollm2",
    backend: Annotated[str, typer.Option("--backend", help="Backend that is raced against the loop.")] = "vllm",
    dtype: options.Dtype = "bfloat16",
    questions: Annotated[
        int, typer.Option("--questions", min=1, help="Questions of each round of the race, all at once.")
    ] = 16,
    tokens: options.MessageTokens = 128,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Number of interleaved rounds of the race.")] = 1,
    set_options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="Backend option KEY=VALUE; repeatable."),
    ] = None,
    out: options.Figures = None,
) -> None:
    """Race debates against the decoding loop of CIPHER's published code: debates an hour, and where the factor comes from.

    Example:  debate bench peers --tokens 128 --questions 16
    """
    from debate.bench.peers import bench_peers

    options.run(
        bench_peers(
            model=model,
            backend=backend,
            dtype=dtype,
            questions=questions,
            tokens=tokens,
            rounds=rounds,
            options=options.backend_options(set_options),
            out=out,
            console=options.console,
            progress=options.progress,
        )
    )


def _numbers(listed: str, kind: type[N]) -> tuple[N, ...]:
    """Return numbers separated by commas.

    Raises:
        ConfigError: one that is none.
    """
    from agents.errors import ConfigError

    try:
        return tuple(kind(number) for number in listed.split(","))
    except ValueError as error:
        raise ConfigError(f"expected numbers with commas between them, e.g. 1,16; got {listed!r}") from error


def options_by_backend(names: Sequence[str], given: list[str] | None) -> dict[str, dict[str, Any]]:
    """Return each backend's options: those that begin with its name and a dot, and those that begin with nobody's."""
    found = options.backend_options(given)
    of_all = {key: value for key, value in found.items() if key.split(".")[0] not in names}
    own = {name: {k.partition(".")[2]: v for k, v in found.items() if k.startswith(f"{name}.")} for name in names}
    return {name: of_all | own[name] for name in names}
