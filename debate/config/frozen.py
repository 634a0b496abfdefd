"""The base of every config model: immutable, unknown keys refused."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

NUMBERS = (int, float, int | None, float | None)


class Frozen(BaseModel):
    """A config value."""

    # Errors repeat no input by themselves: our own sentences say what was given, where it may be said.
    # A key's docstring is its description in the schema and in docs/config.md.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `true` where a number is wanted, which Python takes for 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in NUMBERS:
            raise ValueError("a number is wanted here, and not true or false")
        return value
