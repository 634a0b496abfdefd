"""The base of every config model: immutable, unknown keys refused."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A config value."""

    model_config = ConfigDict(frozen=True, extra="forbid")
