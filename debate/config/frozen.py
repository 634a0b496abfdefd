"""The base of every config model: immutable, unknown keys refused."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A config value."""

    # Errors repeat no input by themselves: our own sentences say what was given, where it may be said.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
