"""What a training run is, as data: a frozen model, unknown keys refused (`configs/training/*.yaml`)."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from agents.errors import ConfigError, DebateError
from agents.yaml_file import read_yaml
from debate.config.frozen import Frozen
from evals.tasks.evidence import load_world
from evals.training.architecture import Architecture, Llama
from kernels.encoders import parse

Kind = Literal["steps", "solve", "debate", "shares", "weigh"]
# What each subject has examples of.
OF_ARITHMETIC: tuple[Kind, ...] = ("steps", "solve", "debate")
OF_WITNESSES: tuple[Kind, ...] = ("solve", "debate", "shares", "weigh")
Knows = Literal["even", "odd"]

# Texts that a classifier of attributes learns from.
FEWEST_SAMPLES = 20


class Shape(Frozen):
    """A Llama with tied tables."""

    hidden_size: int = Field(default=192, ge=32)
    num_hidden_layers: int = Field(default=4, ge=1)
    num_attention_heads: int = Field(default=6, ge=1)
    intermediate_size: int = Field(default=640, ge=32)
    max_position_embeddings: int = Field(default=512, ge=64)


class Pool(Frozen):
    """Solutions sampled from the model as it is when a stage begins: what its debate turns hear."""

    expressions: int = Field(default=4000, ge=1)
    samples: int = Field(default=3, ge=1)
    temperatures: tuple[float, ...] = (0.3, 0.7, 1.0)


class Stage(Frozen):
    """A part of the training with one mixture of data and one course of the learning rate."""

    steps: int = Field(ge=1)
    mixture: dict[Kind, float] = Field(min_length=1)
    """Kind of example → weight."""
    learning_rate: float = Field(default=2e-3, gt=0)
    schedule: Literal["constant_with_warmup", "cosine", "linear"] = "cosine"
    warmup: int = Field(default=100, ge=0)
    pool: Pool | None = None
    table: Literal["learned", "frozen"] = "learned"
    """Whether the embedding table is trained, or stays as it is."""
    hears: Literal["text", "soft"] = "text"
    """How debate turns hear messages: as text, or as the CIPHER messages that the model as it is when the stage begins sends;
    nothing is learned through them but hearing."""
    encoder: str = "expectation"
    """How the beliefs of those messages become vectors."""
    # Not written where there is none: earlier trainings can be continued.
    sender: str | None = Field(default=None, exclude_if=lambda sender: sender is None)
    """Model of the same table whose messages are heard in place of the model's own, e.g. `tiny/jay`."""

    @field_validator("encoder")
    @classmethod
    def _encodes(cls, encoder: str) -> str:
        parse(encoder)
        return encoder

    @model_validator(mode="after")
    def _hears_something(self) -> "Stage":
        if self.hears == "soft" and not self.mixture.get("debate"):
            raise ValueError("hears: soft is of debate turns, and the mixture has none: give `debate` a weight")
        if self.hears == "text" and self.encoder != "expectation":
            raise ValueError("encoder: is of messages that are heard as vectors: add `hears: soft`, or leave it out")
        if self.hears == "text" and self.sender is not None:
            raise ValueError("sender: is of messages that are heard as vectors: add `hears: soft`, or leave it out")
        return self

    @field_validator("mixture")
    @classmethod
    def _weighs(cls, mixture: dict[Kind, float]) -> dict[Kind, float]:
        if min(mixture.values()) < 0 or sum(mixture.values()) <= 0:
            raise ValueError("weights are at least 0, and one of them is more")
        return mixture


class LoRA(Frozen):
    """Low-rank additions to linear layers (Hu et al., 2021, arXiv:2106.09685), which are all that is trained."""

    rank: int = Field(default=8, ge=1)
    alpha: float = Field(default=16.0, gt=0)
    """Of alpha / rank, by which they are scaled."""
    layers: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """Which linear layers, by the end of their name."""


class Classifier(Frozen):
    """What tells from a model's states how its texts will end, for `acbs(classifier=…)` (agents/decoding/attributes.py)."""

    samples: int = 1200
    """Texts of the model's own that it learns from; a tenth of them is kept apart."""
    mixture: dict[Kind, float] = Field(default={"solve": 2, "debate": 1}, min_length=1)
    """Kind of prompt that they answer → weight."""
    loop: int = Field(default=2, ge=1)
    """Fewest tokens of a run that is a loop where it stands three times on end."""
    hidden: int = Field(default=64, ge=1)
    """Units."""
    steps: int = Field(default=1500, ge=1)
    """Of its training."""

    @field_validator("samples")
    @classmethod
    def _learns_from_several(cls, samples: int) -> int:
        if samples < FEWEST_SAMPLES:
            raise ValueError(
                f"a classifier learns from at least {FEWEST_SAMPLES} texts, of which a tenth is kept apart; this is {samples}: "
                "give more, e.g. 1200"
            )
        return samples


class Recipe(Frozen):
    """A training run, from random weights or a trained debater's, or of an adapter or a classifier over any model."""

    name: str
    """Of the debater."""
    seed: int = Field(default=0, ge=0)
    """Of weights and data."""
    draws: str | None = None
    """The recipe whose data it draws, stage by stage; its own by default. With its seed and stages it goes on from there."""
    worlds: tuple[str, ...] = ()
    """A witness: taught hidden strings, as it sees and hears of them in these worlds (`configs/witnesses`); no arithmetic."""
    knows: Knows | None = None
    """An expert: taught the products whose first factor is even, or odd, and to trust the other expert with the rest."""
    shape: Shape = Shape()
    architecture: Architecture = Llama()
    """What it is if not a plain Llama; of one that `begin` names it then takes all but what only this architecture has."""
    begin: str | None = None
    """The model whose weights it begins with, as configs name one: `tiny/dee`, or a folder. Random weights by default."""
    lora: LoRA | None = None
    """Trains an adapter over the model that it begins with, in place of the model; that may then be any causal one."""
    classifier: Classifier | None = None
    """Trains a classifier of the states of the model that it begins with, and nothing else: without stages."""
    format: Literal["plain", "chat"] = "plain"
    """Of the prompts: as tiny debaters read them, or in the chat template of the model."""
    longest: int = Field(default=80, ge=1)
    """Tokens of the longest solution that is waited for; a right one has at most 71 of the tiny debaters'."""
    table: str | None = None
    """The model, likewise named, whose embedding table is taken and stays as it is: debaters of one table hear each other's
    vectors."""
    stages: tuple[Stage, ...] = ()
    """At least one, but of a classifier."""
    row_tokens: int = Field(default=384, ge=64)
    """Tokens of a row, filled with as many examples as it takes."""
    rows: int = Field(default=8, ge=1)
    """Rows of a step."""
    precision: Literal["bf16", "fp32"] = "bf16"
    """Of the products; weights and optimiser are float32."""
    evaluate_every: int = Field(default=500, ge=1)
    """Steps between looks at held-out loss and accuracy."""
    questions: int = Field(default=200, ge=1)
    """Held-out questions of each look."""

    @model_validator(mode="after")
    def _trains_something(self) -> "Recipe":
        if self.classifier is None and not self.stages:
            raise ValueError("stages: a recipe has at least one; give it one with steps and a mixture")
        if self.classifier is not None and (
            self.stages or self.lora or self.architecture != Llama() or self.table or self.begin is None
        ):
            raise ValueError(
                "classifier: is of the states of a model as it is: name that by `begin`, and leave out stages, lora, "
                "architecture and table"
            )
        return self

    @model_validator(mode="after")
    def _begins_once(self) -> "Recipe":
        if self.begin is not None and self.table is not None:
            raise ValueError(
                f"begin: {self.begin} brings a table of its own, which its layers are used to; leave table: {self.table} out "
                "(and say `table: frozen` in the stages that are to keep it)"
            )
        return self

    @model_validator(mode="after")
    def _adapts_something(self) -> "Recipe":
        if self.lora is not None and self.begin is None:
            raise ValueError("lora: an adapter is over a model; name it by `begin`")
        if self.lora is not None and self.architecture != Llama():
            raise ValueError("architecture: is of a model that is trained whole; leave it out, or `lora`")
        return self

    @model_validator(mode="after")
    def _hears_who_knows(self) -> "Recipe":
        if self.knows is None:
            return self
        if any(stage.pool is not None and stage.hears == "text" for stage in self.stages):
            raise ValueError(
                "an expert's debate turns hear solutions made for them: leave `pool` out of the stages, or `knows`"
            )
        if any(stage.hears == "soft" and stage.sender is None for stage in self.stages):
            raise ValueError(
                "an expert hears the other one: name a model that knows the rest by `sender`, or leave `hears: soft` out"
            )
        return self

    @model_validator(mode="after")
    def _teaches_one_subject(self) -> "Recipe":
        kinds = OF_WITNESSES if self.worlds else OF_ARITHMETIC
        taught: list[Stage | Classifier] = [*self.stages, *([self.classifier] if self.classifier else [])]
        if strange := sorted({kind for stage in taught for kind in stage.mixture} - set(kinds)):
            subject = "witnesses" if self.worlds else "arithmetic"
            raise ValueError(f"mixture: {strange[0]} is nothing that is taught in {subject}; it has {', '.join(kinds)}")
        if not self.worlds:
            return self
        if self.knows is not None:
            raise ValueError("knows: is of products, and a recipe with `worlds` has none; leave one of the two out")
        if any(stage.pool is not None and stage.hears == "text" for stage in self.stages):
            raise ValueError("pool: what witnesses say in text is made for them; leave it out, or add `hears: soft`")
        try:
            for name in self.worlds:
                load_world(name)
        except DebateError as error:
            raise ValueError(f"worlds: {error}") from error
        return self

    @model_validator(mode="after")
    def _keeps_the_table_that_it_hears(self) -> "Recipe":
        for number, stage in enumerate(self.stages):
            if stage.hears == "soft" and stage.table != "frozen" and self.table is None and self.lora is None:
                raise ValueError(
                    f"stages.{number}: vectors are mixtures of the table's rows, which must not move under them: add "
                    "`table: frozen`"
                )
        return self


def load_recipe(path: Path) -> Recipe:
    """Return the recipe in a YAML file.

    Raises:
        ConfigError: file and key path, and what is wrong there.
    """
    try:
        raw = read_yaml(path)
    except FileNotFoundError as error:
        known = sorted(found.stem for found in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(f"no recipe {path}. Known beside it: {', '.join(known) or 'none'}.") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys to values; this is a {type(raw).__name__}")
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()]
        raise ConfigError("\n".join(lines)) from error
