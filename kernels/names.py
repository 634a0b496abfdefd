"""Names as people write them: `topk`, `topk(k=5)`, and what a misspelt one was probably meant to be."""

import ast
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

# Of a thousand agents or questions nobody reads all names.
MOST_LISTED = 120


@dataclass(frozen=True)
class Named:
    """A name and its keyword parameters; `str(named)` is what `parse_named` reads back."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        listed = ", ".join(f"{key}={value!r}" for key, value in self.parameters.items())
        return f"{self.name}({listed})" if listed else self.name


def parse_named(text: str, kind: str, *, words: Collection[str] = ()) -> Named:
    """Return the name and parameters of a text.

    Args:
        text: as it was written.
        kind: what is named, in the singular, for the error.
        words: values that may be written without quotes.

    Raises:
        ValueError: neither a name nor name(parameter=value, …), or a parameter twice.
    """
    name, opened, rest = text.strip().partition("(")
    if not opened:
        return Named(name.strip())
    try:
        call = ast.parse(f"f({rest}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise SyntaxError
        given = [keyword.arg for keyword in call.keywords]
        if None in given:
            raise SyntaxError
        parameters = {str(keyword.arg): _value(keyword.value, words) for keyword in call.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(
            f"cannot read the {kind} {text!r}: write a name, or name(parameter=value, …) with texts in quotes"
        ) from None
    if len(parameters) < len(given):
        twice = next(key for key in parameters if given.count(key) > 1)
        raise ValueError(f"the {kind} {text!r} says {twice} twice: write it once")
    return Named(name.strip(), parameters)


def _value(written: ast.expr, words: Collection[str]) -> Any:
    """Return a literal, a truth value as YAML writes it, or one of some words."""
    if isinstance(written, ast.Name) and written.id in words:
        return written.id
    if isinstance(written, ast.Name) and written.id in ("true", "false"):
        return written.id == "true"
    return ast.literal_eval(written)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest known name, or an empty string."""
    close = get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def unknown(kind: str, given: str, known: Iterable[str]) -> str:
    """Return the sentence about a name that is not known: what was given, what is known, what was probably meant."""
    names = list(known)
    listed = ", ".join([*names[:MOST_LISTED], *(["…"] if len(names) > MOST_LISTED else [])])
    return f"unknown {kind} {given!r}. Known: {listed or 'none'}.{did_you_mean(given, names)}"


def keywords(function: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """Return the parameters that can be given by keyword alone or left out; None where it takes whatever is given."""
    found = inspect.signature(function).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in found):
        return None
    return {
        each.name: each
        for each in found
        if each.kind is each.KEYWORD_ONLY
        or (each.kind is each.POSITIONAL_OR_KEYWORD and each.default is not each.empty)
    }


def stray(what: str, given: Iterable[str], known: Iterable[str], *, noun: str = "parameter") -> str | None:
    """Return the sentence about the first of the given parameters that is none of the known ones; None without one."""
    names = list(known)
    for key in given:
        if key not in names:
            listed = f"It takes: {', '.join(names)}." if names else "It takes none."
            return f"{what} has no {noun} {key!r}. {listed}{did_you_mean(key, names)}"
    return None
