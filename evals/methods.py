"""What the rows of the table are: a method's name → the debate that it plays.

single, text, cipher, or a key of the config's `methods`
cipher:ENCODER                     a CIPHER debate by another encoder, e.g. `cipher:gumbel(tau=0.5)`
self-consistency(k=5)              k samples of one agent, majority vote (Wang et al., 2023); also `temperature=`
self-consistency@tokens, @time     k chosen to meet a debate's generated tokens, or its wall time
self-consistency@all-tokens        k chosen to meet its tokens with those of prompts
best-of(n=5), best-of@tokens       n samples of one agent; the answer of the text that it finds likeliest itself
single@tokens                      one agent whose answer may be as long as all that a debate generates
self-refine(k=3), @tokens          one agent that reads its own last answer and answers again, k answers in all
likelihood, likelihood:texts       one agent weighs the options of a choice, generating nothing (lm-eval's acc, acc_norm)
expert, misaligned, random, dummy  bounds: all but the deciding agent are controls
a config or topology file          its agents and exchange; questions, model, seed and lengths stay the table's
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.component import check_component
from agents.errors import ConfigError, UnknownName
from agents.registry import check_parameters, parse_named
from agents.speakers import CONTROLS
from debate.config.load import load_config, merged, validate
from debate.config.schema import DebateConfig, one_dtype
from debate.config.shipped import find_config, nearest, shipped

if TYPE_CHECKING:
    from debate.run_folder.results import MethodResult
from debate.config.topology import TopologyConfig

SELF_CONSISTENCY = "self-consistency"
BY_TOKENS, BY_TIME = f"{SELF_CONSISTENCY}@tokens", f"{SELF_CONSISTENCY}@time"
BY_ALL_TOKENS = f"{SELF_CONSISTENCY}@all-tokens"
BEST_OF, SELF_REFINE = "best-of", "self-refine"
BEST_BY_TOKENS, REFINE_BY_TOKENS, SINGLE_BY_TOKENS = f"{BEST_OF}@tokens", f"{SELF_REFINE}@tokens", "single@tokens"
# Rows whose size follows from what a debate cost.
BUDGETED = (BY_TOKENS, BY_TIME, BY_ALL_TOKENS, BEST_BY_TOKENS, REFINE_BY_TOKENS, SINGLE_BY_TOKENS)
# Of the samples: 0.7 is Wang et al.'s for most models; a debater's own 0.1 would sample one answer k times.
SAMPLE_TEMPERATURE = 0.7
MOST_SAMPLES = 64
LIKELIHOODS = {"likelihood": "labels", "likelihood:texts": "texts"}
# What a method file says of the exchange; everything else is the table's.
EXCHANGE = (
    "agents", "topology", "protocol", "stopping", "order", "agreement", "rounds", "message", "encoder", "decision",
    "min_mapped", "content", "reduce",
)  # fmt: skip


def config_of(folder: Path, config: DebateConfig) -> DebateConfig:
    """Return the config that a run's method played; folders without one (of `debate run`) are of a method by name.

    Args:
        folder: the method's, in the run folder.
        config: the run's.
    """
    own = folder / "config.yaml"
    return load_config(own, is_record=True) if own.is_file() else resolve(config, folder.name)


def resolve(config: DebateConfig, name: str, *, k: int | None = None) -> DebateConfig:
    """Return the debate that a row plays.

    Args:
        config: the table's.
        name: name of the method.
        k: samples, for `self-consistency@tokens` and `@time`.

    Raises:
        ConfigError: no such method, or a parameter that it does not take.
    """
    known = {**BUILT_IN_METHODS, **config.methods}
    if (name in BUILT_IN_METHODS or config.methods.get(name)) and not _is_pattern(name):
        return method_config(config, name)
    if name in config.methods:
        # What the config says of a row below is what the row is made of.
        config = method_config(config, name)
    if name in (BY_TOKENS, BY_TIME, BY_ALL_TOKENS):
        return self_consistency(config, k=k or 1)
    if name == BEST_BY_TOKENS:
        return best_of(config, n=k or 1)
    if name == REFINE_BY_TOKENS:
        return self_refine(config, k=k or 1)
    if name == SINGLE_BY_TOKENS:
        return longer_single(config, k or config.max_tokens)
    if (made := _SAMPLED.get(name.split("(")[0])) is not None:
        call = parse_named(name, "method")
        check_parameters(call, "method", made)
        return made(config, **call.parameters)
    if name in CONTROLS:
        return bound(config, name)
    if name in LIKELIHOODS:
        return likelihood(config, LIKELIHOODS[name])
    base, colon, encoder = name.partition(":")
    if colon and base == "cipher":
        return by_encoder(config, encoder)
    if name in known:
        return config
    path = find_config(Path(name))
    if path.is_file() or name.endswith((".yaml", ".yml")):
        return of_file(config, path)
    rows = [f"{SELF_CONSISTENCY}(k=5)", f"{BEST_OF}(n=5)", f"{SELF_REFINE}(k=3)", *BUDGETED, *LIKELIHOODS]
    rows += ["cipher:ENCODER", "FILE.yaml"]
    raise UnknownName("method", name, [*known, *rows, *CONTROLS])


def self_consistency(config: DebateConfig, *, k: int = 5, temperature: float = SAMPLE_TEMPERATURE) -> DebateConfig:
    """Return k independent answers of the deciding agent, sampled as text, and the majority of them."""
    if k < 1 or temperature <= 0:
        raise ConfigError(f"{SELF_CONSISTENCY}: k must be at least 1 and temperature above 0; got k={k}, {temperature}")
    return _samples(config, k, temperature, "majority")


def best_of(config: DebateConfig, *, n: int = 5, temperature: float = SAMPLE_TEMPERATURE) -> DebateConfig:
    """Return n independent answers of the deciding agent, sampled as text, and the one that its model finds likeliest a token."""
    if n < 1 or temperature <= 0:
        raise ConfigError(f"{BEST_OF}: n must be at least 1 and temperature above 0; got n={n}, {temperature}")
    return _samples(config, n, temperature, "likeliest")


def self_refine(config: DebateConfig, *, k: int = 3) -> DebateConfig:
    """Return k answers of the deciding agent in text, each after reading the one before; the last counts."""
    if k < 1:
        raise ConfigError(f"{SELF_REFINE}: k must be at least 1; got {k}")
    name = config.deciding_agent
    agents = {name: {**config.agents[name].model_dump(), "encoder": None}}
    return _changed(config, **NO_EXCHANGE, rounds=k, agents=agents, message="text", decision="lowest_temperature")


def longer_single(config: DebateConfig, tokens: int) -> DebateConfig:
    """Return one answer of the deciding agent, which may have so many tokens, and no less than any answer of the table."""
    alone = method_config(config, "single")
    return _changed(alone, max_tokens=max(tokens, alone.max_tokens))


def _samples(config: DebateConfig, count: int, temperature: float, decision: str) -> DebateConfig:
    name = config.deciding_agent
    # What decodes needs torch, which this module's readers may not have.
    from agents.decoding.rules import of_reading

    agent = config.agents[name]
    # A text that is searched for is the same each time.
    decoding = of_reading(agent.decoding)
    sampler = {**agent.model_dump(), "temperature": temperature, "encoder": None, "decoding": decoding}
    # Each sample is a turn of another agent, whose place seeds it.
    width = len(str(count))
    agents = {f"{name}-{number:0{width}d}": sampler for number in range(1, count + 1)}
    return _changed(
        config,
        **NO_EXCHANGE,
        rounds=1,
        agents=agents,
        message="text",
        decision=decision,
    )


_SAMPLED: dict[str, Callable[..., DebateConfig]] = {
    SELF_CONSISTENCY: self_consistency,
    BEST_OF: best_of,
    SELF_REFINE: self_refine,
}


def likelihood(config: DebateConfig, weighs: str) -> DebateConfig:
    """Return the deciding agent's belief over the options after the question, at temperature 1, said as its message."""
    name = config.deciding_agent
    kept = ("backend", "model", "transforms", "options", "adapter")
    agent = {key: value for key, value in config.agents[name].model_dump().items() if key in kept}
    return _changed(
        config,
        agents={name: {**agent, "weighs": weighs}},
        **NO_EXCHANGE,
        rounds=1,
        prompts="likelihood",
        message="cipher",
        encoder="expectation",
        decision="lowest_temperature",
    )


def by_encoder(config: DebateConfig, encoder: str) -> DebateConfig:
    """Return the CIPHER debate of a config, spoken by one encoder throughout."""
    debate = method_config(config, "cipher")
    agents = {name: {**agent.model_dump(), "encoder": None} for name, agent in debate.agents.items()}
    return _changed(debate, agents=agents, encoder=encoder)


def bound(config: DebateConfig, role: str) -> DebateConfig:
    """Return the debate in which everyone but the deciding agent is a control (Pham et al., 2024, section 5)."""
    if len(config.electorate.voters) < 2:
        raise ConfigError(f"method {role!r} puts a control in the place of the other agents; the config has one agent")
    kept = config.deciding_agent
    agents = {
        name: agent.model_dump() if name == kept or name not in config.electorate.voters else {"role": role}
        for name, agent in config.agents.items()
    }
    return _changed(config, agents=agents, decision="lowest_temperature")


def of_file(config: DebateConfig, path: Path) -> DebateConfig:
    """Return the exchange that a config file describes, over the table's questions, model, seed and lengths."""
    if not path.is_file():
        raise ConfigError(
            f"no method file {path}.{nearest(path)} Shipped ones: {', '.join(shipped()) or 'none found'}."
        )
    loaded = load_config(path)
    # Left out where it is the default, which the file's exchange has too.
    theirs = {**loaded.model_dump(by_alias=True), "content": loaded.content, "reduce": loaded.reduce}
    return _changed(config, **{key: theirs[key] for key in EXCHANGE})


def _is_pattern(name: str) -> bool:
    return name.startswith((*_SAMPLED, "cipher:")) or name in BUDGETED


def row_name(name: str) -> str:
    """Return what a method is called in tables and folders: of a file its stem.

    Raises:
        ConfigError: it cannot name a folder.
    """
    return check_component(Path(name).stem if name.endswith((".yaml", ".yml")) or "/" in name else name, "method")


def needs_budget(name: str) -> bool:
    """Whether a row is played after the debates, since its k follows from what they cost."""
    return name in BUDGETED


def servable(config: DebateConfig) -> tuple[str, ...]:
    """Return the rows that any question can be asked by: of the config, without a budget to meet and without right answers."""
    names = dict.fromkeys((*BUILT_IN_METHODS, *config.methods))
    return tuple(name for name in names if not (needs_budget(name) or name in CONTROLS or name in LIKELIHOODS))


def is_baseline(name: str) -> bool:
    """Whether a row involves no exchange."""
    return name in ("single", SINGLE_BY_TOKENS) or name in LIKELIHOODS or name.startswith(tuple(_SAMPLED))


def is_bound(name: str) -> bool:
    """Whether a row bounds what debate can do rather than competes."""
    return name in CONTROLS


def budget(name: str, rows: "Mapping[str, MethodResult]") -> tuple[int, str]:
    """Return k for a budget row, and how it was found; of `single@tokens` the tokens that it may generate.

    The debate to match is `cipher`, or the row that stands first among the other debates. One sample is taken to cost
    what a question of `single` cost: its generated tokens, these with the tokens of its prompt, or its share of the wall
    time. k is the ratio, rounded, between 1 and 64.

    Raises:
        ConfigError: no `single` row or no debate was measured.
    """
    debates = [row for row in rows if not (is_baseline(row) or is_bound(row))]
    if "single" not in rows or not debates:
        fixed = {
            BEST_BY_TOKENS: f"{BEST_OF}(n=5)",
            REFINE_BY_TOKENS: f"{SELF_REFINE}(k=3)",
            SINGLE_BY_TOKENS: "single",
        }.get(name, f"{SELF_CONSISTENCY}(k=5)")
        raise ConfigError(
            f"{name} takes its k from what `single` and a debate cost: put both among the methods, or fix it: {fixed}"
        )
    single, debate = rows["single"], rows["cipher" if "cipher" in debates else debates[0]]
    spent: float
    one: float
    if name == SINGLE_BY_TOKENS:
        most = max(1, round(debate.generated_tokens / max(debate.total, 1)))
        return most, f"up to {most} tokens, as many as a question of {debate.method} generates in all"
    if name == BY_ALL_TOKENS:
        spent, one = (row.generated_tokens + row.prompt_tokens for row in (debate, single))
        unit = "tokens, those of prompts counted,"
    elif name != BY_TIME:
        spent, one, unit = debate.generated_tokens, single.generated_tokens, "generated tokens"
    else:
        # Rows that are played side by side have no times, and are refused beside this one.
        assert debate.seconds is not None
        assert single.seconds is not None
        spent, one, unit = debate.seconds, single.seconds, "seconds"
    ratio = (spent / max(debate.total, 1)) / max(one / max(single.total, 1), 1e-9)
    k = min(MOST_SAMPLES, max(1, round(ratio)))
    said = f"k = {k}: a question of {debate.method} takes {ratio:.2f} times the {unit} of a single answer"
    return k, said + (f", more than the {MOST_SAMPLES} samples allowed" if ratio > MOST_SAMPLES + 0.5 else "")


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return which rows are compared: debates with baselines, CIPHER with text, other debates with CIPHER (or text)."""
    baselines = [name for name in names if is_baseline(name)]
    debates = [name for name in names if not (is_baseline(name) or is_bound(name))]
    main = [name for name in ("cipher", "text") if name in debates] or debates[:1]
    found = [(a, b) for place, a in enumerate(main) for b in main[place + 1 :]]
    found += [(debate, baseline) for debate in main for baseline in baselines]
    found += [(other, main[0]) for other in debates if other not in main]
    if not debates:
        found += [(a, b) for place, b in enumerate(baselines) for a in baselines[place + 1 :]]
    return found


def _changed(config: DebateConfig, **changes: Any) -> DebateConfig:
    raw = {**config.model_dump(exclude={"methods"}, by_alias=True), **changes}
    return validate(raw, source="methods")


BUILT_IN_METHODS: dict[str, dict[str, Any]] = {
    "single": {"rounds": 1, "message": "text"},
    "text": {"message": "text"},
    "cipher": {"message": "cipher"},
}


# Of rows of one round, in which nobody hears anybody.
NO_EXCHANGE = {"topology": "complete", "protocol": "simultaneous", "stopping": "fixed"}


def method_names(config: DebateConfig) -> tuple[str, ...]:
    """Return the methods of a config: those it writes down, or the built-in ones."""
    return tuple(config.methods) or tuple(BUILT_IN_METHODS)


def method_config(config: DebateConfig, method: str, *, agent: str | None = None) -> DebateConfig:
    """Return the debate that a method plays.

    `single` keeps only the agent whose answer would count, or the one named, for one round.
    """
    known = {**BUILT_IN_METHODS, **config.methods}
    if method not in known:
        raise UnknownName("method", method, known)
    raw = config.model_dump(exclude={"methods"}, by_alias=True)
    for changes in (BUILT_IN_METHODS.get(method, {}), config.methods.get(method, {})):
        try:
            raw = merged(raw, one_dtype(changes))
        except ValueError as error:
            raise ConfigError(f"methods.{method}: {error}") from error
    changed = validate(raw, source=f"methods.{method}")
    if method == "single":
        name = agent or changed.deciding_agent
        alone = {"decision": "lowest_temperature", "agents": {name: changed.agents[name]}}
        changed = changed.model_copy(update={**NO_EXCHANGE, **alone})
    if method == "text" and isinstance(changed.topology, TopologyConfig):
        changed = changed.model_copy(update={"topology": _in_text(changed.topology)})
    return changed


def _in_text(topology: TopologyConfig) -> TopologyConfig:
    """Return the same topology with every edge heard as the debate's messages: the text baseline of a mixed one."""
    edges = tuple(edge.model_copy(update={"message": None, "encoder": None}) for edge in topology.edges)
    return topology.model_copy(update={"message": None, "edges": edges})
