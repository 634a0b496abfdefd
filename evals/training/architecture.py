"""What a debater may be other than a plain Llama, as data: the sizes of its own parts, its classes, and how a card names it.

The rest of its sizes are a recipe's `shape`. Keys are those of the architecture's config in transformers.
"""

from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from debate.config.frozen import Frozen


class Design(Frozen):
    """An architecture; classes of transformers are looked up in `module` by their first word."""

    module: ClassVar[str] = "transformers"
    word: ClassVar[str] = "Llama"

    def classes(self) -> tuple[Any, Any]:
        """Return the classes of the model and of its config."""
        module = import_module(self.module)
        return getattr(module, f"{self.word}ForCausalLM"), getattr(module, f"{self.word}Config")

    def sizes(self) -> dict[str, Any]:
        """Return what its config has beside a Llama's sizes."""
        return self.model_dump(exclude={"type"})

    def described(self) -> str:
        """Return what a card calls it."""
        return "Llama"


class Llama(Design):
    """A Llama with tied tables."""

    type: Literal["llama"] = "llama"


class FTP(Design):
    """A decoder of several tokens in place of the head (Walker, 2024, arXiv:2410.18160; agents/models/ftp)."""

    module = "agents.models.ftp.model"
    word = "FTP"

    type: Literal["ftp"]
    horizon: int = Field(default=8, ge=1)
    """Tokens that are foretold of one position."""
    memory: int = Field(default=4, ge=1)
    """Vectors that its state becomes."""
    decoder_layers: int = Field(default=1, ge=1)
    discount: float = Field(default=0.8, gt=0, le=1)
    """Of the loss of each further token."""
    chosen: int = Field(default=64, ge=0)
    """Positions of a row that a step foretells from; 0 for all."""

    def described(self) -> str:
        """Return what a card calls it."""
        return f"model that foretells {self.horizon} tokens of a position, a Llama"


class Atlas(Design):
    """Blocks with a memory in place of attention (ATLAS, 2025, arXiv:2505.23735; agents/models/atlas)."""

    module = "agents.models.atlas.model"
    word = "Atlas"

    type: Literal["atlas"]
    rule: Literal["omega", "atlas"] = "omega"
    degree: int = Field(default=2, ge=1, le=4)
    """Of the features of keys and queries."""
    omega: int = Field(default=8, ge=1)
    """Positions that the loss of a memory looks at."""
    chunk: int = Field(default=1, ge=1)
    """Positions whose gradients are taken at one place."""
    rate: float = Field(default=1.0, gt=0)
    """The largest step; by the rule omega over the curvature, and at most 1 / chunk."""

    def described(self) -> str:
        """Return what a card calls it."""
        return f"model whose blocks have a memory in place of attention (ATLAS, {self.rule}, chunks of {self.chunk}), a Llama"


class MemoryFormer(Design):
    """Blocks that look rows up in place of multiplying (MemoryFormer, 2024, arXiv:2411.12992; agents/models/memoryformer)."""

    module = "agents.models.memoryformer.model"
    word = "MemoryFormer"

    type: Literal["memoryformer"]
    bits: int = Field(default=8, ge=1, le=16)
    """Of a bucket; the width is a multiple of them."""
    expanding_bits: int = Field(default=2, ge=0)
    """Of the second layer of a feed-forward part, beside these."""
    hash_temperature: float = Field(default=1.0, gt=0)

    def described(self) -> str:
        """Return what a card calls it."""
        return f"model whose blocks look up in place of multiplying (MemoryFormer, {self.bits} bits), a Llama"


class Quantizable(Design):
    """Heads that can hear nothing, by a clipped softmax or by gates (arXiv:2306.12929; agents/models/quantizable)."""

    module = "agents.models.quantizable.model"
    word = "Quantizable"

    type: Literal["quantizable"]
    alpha: float = Field(default=0.0, ge=0)
    """Of gamma = -alpha / trained_length, by which a softmax is clipped; 0: it is not."""
    trained_length: int = Field(default=128, ge=1)
    """Tokens of a text in training."""
    gate: Literal["none", "linear", "mlp", "all"] = "none"
    """What a head's gate is made of."""
    gate_start: float = Field(default=0.25, gt=0, lt=1)
    post_norm: bool = True
    """Whether norms stand behind each sum, or before each part."""

    def described(self) -> str:
        """Return what a card calls it."""
        return f"model whose heads can hear nothing (softmax clipped by {self.alpha:g}, gates: {self.gate}), a Llama"


def _named(value: Any) -> Any:
    return value.get("type") if isinstance(value, dict) else getattr(value, "type", None)


Architecture = Annotated[
    Annotated[Llama, Tag("llama")]
    | Annotated[FTP, Tag("ftp")]
    | Annotated[Atlas, Tag("atlas")]
    | Annotated[MemoryFormer, Tag("memoryformer")]
    | Annotated[Quantizable, Tag("quantizable")],
    Discriminator(
        _named,
        custom_error_type="architecture",
        custom_error_message="an architecture has a type, one of llama, ftp, atlas, memoryformer and quantizable: say "
        "`type: atlas`",
    ),
]
