"""What is searched: keys of a config and the values that they may take."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.errors import ConfigError
from agents.yaml_file import parse_yaml
from debate.config.load import validate
from debate.config.schema import DebateConfig
from evals.paper import BOUNDS

# What an engine is started with cannot vary between trials that share it.
FIXED = ("model", "backend", "dtype", "options", "task", "methods", "seed", "execution")


@dataclass(frozen=True)
class Parameter:
    """One value to search: a range, of whole numbers where both ends are, or a choice."""

    key: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def first(self) -> Any:
        """One of its values."""
        return self.choices[0] if self.choices else self.low

    def suggest(self, trial: Any) -> Any:
        """Return optuna's proposal."""
        if self.choices:
            return trial.suggest_categorical(self.key, list(self.choices))
        if self.is_whole:
            return trial.suggest_int(self.key, int(self.low), int(self.high))
        return trial.suggest_float(self.key, self.low, self.high)

    def __str__(self) -> str:
        return f"{self.key}={'|'.join(map(str, self.choices)) if self.choices else f'{self.low}:{self.high}'}"


def parse_parameter(text: str) -> Parameter:
    """Return a parameter of `key=low:high` or `key=a|b|c`.

    Raises:
        ConfigError: neither, or a key that a search cannot vary.
    """
    key, equals, rest = text.partition("=")
    if not equals or not (("|" in rest) or (":" in rest)):
        raise ConfigError(
            f"--vary {text!r}: write key.path=low:high or key.path=a|b, e.g. agents.ada.temperature=0.01:2"
        )
    if key.split(".")[0] in FIXED:
        raise ConfigError(f"--vary {text!r}: a search cannot vary {key.split('.')[0]}; all trials share it")
    if "|" in rest:
        return Parameter(
            key, choices=tuple(parse_yaml(choice, source=f"--vary {text!r}") for choice in rest.split("|"))
        )
    try:
        low, high = (parse_yaml(end, source=f"--vary {text!r}") for end in rest.split(":"))
        if (
            isinstance(low, bool)
            or not isinstance(low, int | float)
            or not isinstance(high, int | float)
            or low >= high
        ):
            raise ValueError
    except ValueError as error:
        raise ConfigError(f"--vary {text!r}: a range is two numbers, the lower first, e.g. 0.01:2") from error
    return Parameter(key, low, high)


def temperatures_of(config: DebateConfig) -> tuple[Parameter, ...]:
    """Return the temperature of every agent whose answer counts, between the paper's bounds."""
    return tuple(Parameter(f"agents.{name}.temperature", *BOUNDS) for name in config.temperatures)


def with_values(config: DebateConfig, values: Mapping[str, Any], method: str = "") -> DebateConfig:
    """Return the config with values set at key paths, and where the method's own row sets them otherwise, there too."""
    raw = config.model_dump(by_alias=True)
    row = raw["methods"].get(method) or {}
    for key, value in values.items():
        *parents, last = key.split(".")
        place = raw
        for parent in parents:
            if not isinstance(place.get(parent), dict):
                raise ConfigError(f"--vary {key}: the config has no mapping {parent!r}")
            place = place[parent]
        place[last] = value
        own: Any = row
        for parent in parents:
            own = own.get(parent) if isinstance(own, dict) else None
        if isinstance(own, dict) and last in own:
            # Else what is varied would change nothing.
            own[last] = value
    return validate(raw, source="search")
