"""How a run is carried out: where engines are, how many debates at once, how often something is tried again.

Nothing here changes what is said, so a run may be continued with other values.
"""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from debate.config.frozen import Frozen

DEFAULT_ENGINE = "default"


class EngineConfig(Frozen):
    """Where the engines of a model are placed on Ray, in the resources that its nodes offer."""

    replicas: int = Field(default=1, ge=1)
    """Number of engines that share the model's turns."""
    num_cpus: float = Field(default=1.0, ge=0)
    """CPUs of each bundle of each replica."""
    num_gpus: float = Field(default=0.0, ge=0)
    """GPUs of each bundle of each replica; a fraction shares a GPU, of whose memory vLLM then takes that part."""
    resources: dict[str, float] = Field(default_factory=dict)
    """Custom resources of each bundle of each replica, by the names that nodes were started with."""
    bundles: int = Field(default=1, ge=1)
    """Workers of a tensor-parallel engine: reserved together, on one node, as a placement group. One bundle of K GPUs serves K
    ranks as well, without Ray between them, and is what we recommend."""
    outstanding: int = Field(default=256, ge=1)
    """Maximum number of turns at one replica at a time; further ones wait in the driver."""

    @property
    def bundle(self) -> dict[str, float]:
        """What one worker asks of a node, by Ray's names of resources."""
        asked = {"CPU": self.num_cpus, "GPU": self.num_gpus, **self.resources}
        return {name: amount for name, amount in asked.items() if amount}

    @property
    def shares_a_gpu(self) -> bool:
        """Whether an engine has a part of a GPU only."""
        return 0 < self.num_gpus < 1


class ExecutionConfig(Frozen):
    """How a run is carried out."""

    in_flight: int = Field(default=32, ge=1)
    """Maximum number of debates played at the same time: enough to fill an engine's batch, few enough to hold in memory."""
    rows_at_once: bool = False
    """Play the rows of a table side by side: few questions then fill an engine's batch as well, and a row's own time and
    energy are not known."""
    turn_timeout_s: float | None = Field(default=None, gt=0)
    """Seconds after which a turn counts as hung and its engine is restarted; no limit by default."""
    tries: int = Field(default=3, ge=1)
    """How often engines may fail over one question before it is given up and recorded as failed."""
    fsync: Literal["always", "everysec", "no"] = "everysec"
    """When the journal is forced to disk: after each record, every second, or when the system decides."""
    runtime: Literal["local", "ray"] = "local"
    """Engines in this process, or each in a process of its own, on this machine or a cluster (docs/ray.md)."""
    ray_address: str | None = None
    """HOST:PORT of a Ray cluster that is there; by default one is started on this machine for the run."""
    # Not written where there is none: earlier runs can be continued.
    sign_with: str | None = Field(default=None, exclude_if=lambda path: path is None)
    """File of the private key that the run and its messages are signed with (`debate keys`); `none` for no key, also where the
    environment names one in CIPHER_DEBATE_SIGN_WITH."""
    engines: dict[str, EngineConfig] = Field(default_factory=dict)
    """Model → placement of its engines on Ray; `default` is for those not named."""
    runners: int = Field(default=0, ge=0)
    """On Ray: processes that play the debates; 0 plays them in the driver, which is faster up to some size (docs/ray.md)."""
    runner_patience_s: float = Field(default=60.0, ge=3)
    """Seconds without a heartbeat before a runner is replaced."""
    allow_huge: bool = False
    """Play topologies and groups of a size that is refused as a probable mistake (`--allow-huge`)."""
    node_patience_s: float = Field(default=300.0, ge=0)
    """Seconds to wait for a node to come back when no engine of a model is left."""

    @field_validator("fsync", mode="before")
    @classmethod
    def _unquoted_no(cls, given: Any) -> Any:
        """YAML reads `no` as false."""
        return "no" if given is False else given

    @model_validator(mode="after")
    def _only_on_ray(self) -> "ExecutionConfig":
        if self.runtime != "ray" and self.ray_address is not None:
            raise ValueError("ray_address needs runtime: ray (--runtime ray)")
        if self.runtime != "ray" and self.runners:
            raise ValueError("runners needs runtime: ray (--runtime ray)")
        return self

    def engine(self, model: str) -> EngineConfig:
        """Return the placement of a model's engines."""
        return self.engines.get(model) or self.engines.get(DEFAULT_ENGINE) or EngineConfig()
