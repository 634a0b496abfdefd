"""The base of every config model: immutable, unknown keys refused."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A config value."""

    # Errors repeat no input by themselves: our own sentences say what was given, where it may be said.
    # A key's docstring is its description in the schema and in docs/config.md.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)
