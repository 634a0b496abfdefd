"""`debate topology`: which there are, what one is and costs, its picture, what is wrong with it, and vocabulary maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from debate.cli import options
from debate.cli.app import app

topology = typer.Typer(help="List, show, draw and check topologies: who hears whom.", no_args_is_help=True)
app.add_typer(topology, name="topology")

Which = Annotated[Path, typer.Argument(help="A config file, a shipped one (topologies/teams), or a topology's name.")]
Agents = Annotated[int, typer.Option("--agents", "-n", min=1, help="Number of agents (only with a topology name).")]


@topology.callback()
def group() -> None:
    """List, show, draw and check topologies: who hears whom."""


@topology.command("list")
def list_() -> None:
    """List topologies, protocols, stopping rules, decisions and roles by name, with what each takes.

    Example:  debate topology list
    """
    from agents.speakers import CONTROLS
    from debate.config.shipped import prompts_folder, shipped
    from debate.decision.rules import rules
    from debate.protocol.rules import PROTOCOLS
    from debate.protocol.stopping import RULES
    from debate.topology.generators import TOPOLOGIES

    _table("topology", TOPOLOGIES, ())
    _table("protocol", PROTOCOLS, ("judges", "chairs", "order", "seed"))
    _table("stopping", RULES, ())
    _table("decision", rules(), ("decode",))
    roles = sorted(path.name for path in prompts_folder("roles").glob("*") if path.is_dir())
    options.console.print(f"roles: {', '.join(roles)}; controls: {', '.join(CONTROLS)}", markup=False)
    options.console.print(f"configs: {', '.join(shipped())}", markup=False)


@topology.command()
def show(which: Which, agents: Agents = 6, settings: options.Set = None, allow_huge: options.AllowHuge = False) -> None:
    """Show who hears whom, and what a debate costs: degree, diameter, messages, bytes, tokens.

    Example:  debate topology show topologies/teams
    """
    from debate.preview.facts import facts, lines
    from debate.preview.sketch import sketch
    from debate.protocol.exchange import build_exchange

    config = _config(which, agents, settings, allow_huge)
    exchange = build_exchange(config)
    options.console.print(sketch(config, exchange), markup=False, soft_wrap=True)
    for line in lines(facts(config, exchange)):
        options.console.print(line, markup=False, soft_wrap=True)
    _print_findings(config, exchange)


@topology.command()
def draw(
    which: Which,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Picture file (.svg, .png, .pdf) or graph file (.graphml, .json)."),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Title of the picture.")] = "",
    agents: Agents = 6,
    settings: options.Set = None,
    allow_huge: options.AllowHuge = False,
) -> None:
    """Draw a topology: a picture with --out, otherwise in the terminal.

    Examples:

        debate topology draw topologies/teams --out teams.svg

        debate topology draw "small_world(k=4, p=0.2)" --agents 20 --out small.png
    """
    from debate.preview.sketch import sketch
    from debate.protocol.exchange import build_exchange

    config = _config(which, agents, settings, allow_huge)
    exchange = build_exchange(config)
    if out is None:
        options.console.print(sketch(config, exchange), markup=False, soft_wrap=True)
        return
    if out.suffix in (".graphml", ".json"):
        from debate.preview.export import write_topology_file

        write_topology_file(out, exchange.topology.union())
    else:
        from debate.preview.picture import draw as draw_picture

        draw_picture(config, exchange, out, title=title)
    options.console.print(f"wrote {out}", markup=False)


@topology.command()
def check(
    which: Which,
    agents: Agents = 6,
    questions: Annotated[
        int, typer.Option("--questions", min=1, help="Number of questions, for agents that remember earlier ones.")
    ] = 1,
    settings: options.Set = None,
    allow_huge: options.AllowHuge = False,
) -> None:
    """Find what would fail and what is probably not meant; exit code 2 if the debate would be refused.

    Checks topology, prompts, roles, backends, models and encoders, and compares the longest prompt, still without a question but
    with what is remembered, with each model's context. Nothing is started or fetched. `debate eval --dry-run` does the same with
    the questions.

    Example:  debate topology check topologies/teams
    """
    from debate.preview.facts import facts, lines
    from debate.preview.rehearsal import rehearse
    from debate.protocol.exchange import build_exchange

    config = _config(which, agents, settings, allow_huge)
    exchange = build_exchange(config)
    rehearsal = rehearse(config, exchange, [""] * questions)
    for line in [*lines(facts(config, exchange))[-3:], *map(str, rehearsal.prompts)]:
        options.console.print(line, markup=False, soft_wrap=True)
    if _print_findings(config, exchange, rehearsal.findings):
        raise typer.Exit(2)


@topology.command("map")
def map_(
    sender: Annotated[
        str, typer.Argument(help="Model that speaks: smollm2, a model folder, a tokenizer.json, or `bytes`.")
    ],
    receiver: Annotated[str, typer.Argument(help="Model that hears, in the same forms.")],
    text: Annotated[Path | None, typer.Option("--text", help="Text file whose tokens are mapped.")] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="Run folder of the sender, whose CIPHER messages are mapped.")
    ] = None,
) -> None:
    """Measure how much of a model's vocabulary and messages a model with another tokenizer can hear as vectors.

    Example:  debate topology map smollm2 bytes --run runs/first
    """
    from debate.preview.vocabulary import report

    for line in report(sender, receiver, text=text, run=run):
        options.console.print(line, markup=False, soft_wrap=True)


def _config(which: Path, agents: int, settings: list[str] | None, allow_huge: bool) -> Any:
    """Return the config of a file, or of so many agents under a topology's name."""
    from debate.config.load import load_config, validate
    from debate.config.shipped import find_config

    path = find_config(which)
    name = str(which)
    if path.exists() or path.suffix in (".yaml", ".yml") or "/" in name:
        return load_config(path, [*(settings or []), *options.execution(None, None, allow_huge)])
    if settings:
        from agents.errors import ConfigError

        raise ConfigError("--set changes a config file; a topology's name takes its parameters in parentheses")
    keys = {"agents": {"agent": {"count": agents}}, "topology": name, "execution": {"allow_huge": allow_huge}}
    return validate({"backend": "mock", "model": "mock", **keys}, source=name)


def _print_findings(config: Any, exchange: Any, more: Sequence[Any] = ()) -> bool:
    """Print what `check` finds, and more, and return whether any of it is refused."""
    from debate.preview.checks import check as find

    findings = [*find(config, exchange), *more]
    for finding in findings:
        options.console.print(f"{finding.kind}: {finding.text}", markup=False, soft_wrap=True)
    if not findings:
        options.console.print("nothing is wrong with it", markup=False)
    return any(finding.kind == "error" for finding in findings)


def _table(kind: str, known: dict[str, Any], hidden: tuple[str, ...]) -> None:
    import inspect

    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column(kind, no_wrap=True)
    table.add_column("")
    for name, made in sorted(known.items()):
        signature = inspect.signature(made).parameters.values()
        listed = [f"{p.name}={p.default!r}" for p in signature if p.kind is p.KEYWORD_ONLY and p.name not in hidden]
        said = (inspect.getdoc(made) or "").split("\n")[0]
        table.add_row(f"{name}({', '.join(listed)})" if listed else name, said)
    options.console.print(table, markup=False)
    options.console.print()
