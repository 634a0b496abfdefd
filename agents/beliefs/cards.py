"""What is known of a belief backend before it is imported. Entry points of the group `debate.belief_backends` name cards.

A module that holds a card imports nothing else: `debate backends` reads them all.
"""

import contextlib
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from agents.errors import ConfigError, DebateError, MissingDependency, ModelError, first_line
from agents.registry import check_options, load, names
from kernels.registry import is_path

if TYPE_CHECKING:
    from agents.beliefs.belief_backend import BeliefBackend, EmbeddingBackend

GROUP = "debate.belief_backends"
# What values of a strange kind raise where they are used; what a user can mend is none of them.
FAULTS = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError)


@dataclass(frozen=True)
class Card:
    """A belief backend in words.

    Attributes:
        name: name in configs.
        paper: authors, year and identifier.
        modality: kind of observation that it looks at.
        message: labels that its belief is over.
        checkpoint: checkpoint that it loads by default, and others that it can load.
        licence: licence of the code and the checkpoint.
        backend: dotted path of the class, `module:Class`.
        packages: import names that it needs beyond the core install.
        extra: extra of cipher-debate that installs its packages.
        training: dotted path of the recipe, `module:function`; empty where there is nothing to train.
        published: dotted path of the recipe as the published code trains it, where that is another one.
        recipes: further recipes, each its name, paper and dotted path: `debate train BACKEND:NAME`.
        note: warning to users, e.g. that it is not for clinical use.
        sequence: whether it believes something of each position of a sequence (`BeliefSequence`).
    """

    name: str
    paper: str
    modality: str
    message: str
    checkpoint: str
    licence: str
    backend: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    training: str = ""
    published: str = ""
    recipes: tuple[tuple[str, str, str], ...] = ()
    note: str = ""
    sequence: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(package for package in self.packages if find_spec(package) is None)

    def resolve(self, path: str) -> Any:
        """Return what a dotted path of this card, `module:attribute`, stands for.

        Raises:
            MissingDependency: a package that it needs, with the install line.
        """
        if self.missing:
            raise MissingDependency(f"the belief backend {self.name!r}", self.missing[0], self.extra)
        module, _, attribute = path.partition(":")
        return getattr(import_module(module), attribute)


def card(name: str) -> Card:
    """Return the card of a registered belief backend.

    Raises:
        UnknownName: no such backend; the message lists those that exist.
        ConfigError: the registered object is not a card.
    """
    found = load(name, "belief backend", GROUP)
    if not isinstance(found, Card):
        raise ConfigError(f"belief backend {name!r}: its entry point is a {type(found).__name__}, not a Card")
    return found


def cards() -> list[Card]:
    """Return every registered card, by name."""
    return [card(name) for name in names(GROUP)]


def is_belief_backend(name: str) -> bool:
    """Whether a name is registered as a belief backend, or a dotted path leads to a card; only the latter is imported."""
    if name in names(GROUP) or not is_path(name):
        return name in names(GROUP)
    # What is wrong with a path is said by whoever needs what it leads to.
    with contextlib.suppress(DebateError):
        return isinstance(load(name, "backend", GROUP), Card)
    return False


def create_belief_backend(name: str, *, checkpoint: str | None = None, **options: Any) -> "BeliefBackend":
    """Return a belief backend that is ready.

    Args:
        name: a registered name; `debate backends` lists them.
        checkpoint: checkpoint to load (default: its own).
        options: its own.

    Raises:
        MissingDependency: a package that it needs, with the install line.
        ConfigError: an option that it does not take.
        ModelError: a checkpoint that holds something else, or an option of another kind.
    """
    known = card(name)
    made = known.resolve(known.backend)
    check_options(f"belief backend {name!r}", options, made.from_pretrained, passed_on_to=made)
    try:
        backend: BeliefBackend = made.from_pretrained(checkpoint, **options)
    except FAULTS as error:
        reason = first_line(error, silent="no reason given")[:300]
        raise ModelError(
            f"belief backend {name!r} cannot be made of {checkpoint or 'its own checkpoint'} and its options: "
            f"{type(error).__name__}: {reason}"
        ) from error
    return backend


def create_text_embedding(name: str, *, checkpoint: str | None = None) -> "EmbeddingBackend":
    """Return what a belief backend embeds texts with.

    Args:
        name: a registered name.
        checkpoint: checkpoint to load (default: its own).

    Raises:
        ConfigError: it embeds no texts; others as of `create_belief_backend`.
    """
    from agents.beliefs.belief_backend import Similarity

    backend = create_belief_backend(name, checkpoint=checkpoint)
    if not isinstance(backend, Similarity) or backend.embedding.modality != "text":
        raise ConfigError(
            f"{name} embeds no texts: take kalm, langsamp, matryoshka_2d, sentence_transformers or static_vectors"
        )
    return backend.embedding
