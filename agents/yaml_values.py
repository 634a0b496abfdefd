"""The plain value of one YAML document, built from its parser's events in one pass that stops at the first thing refused.

Scalars are resolved and constructed by PyYAML's own rules (YAML 1.1, safe tags). Collections are lists and mappings; a tag that
makes anything else of one is refused. So is what contains itself, is nested too deep, names a key twice in one mapping, or stands
for too many values by its aliases.
"""

import re
from collections.abc import Hashable, Iterable
from types import GeneratorType
from typing import Any

import yaml
from yaml.composer import ComposerError

MAX_DEPTH = 64
MERGE = "tag:yaml.org,2002:merge"
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
MAX_DIGITS = 4_000
TAGS = {yaml.SequenceStartEvent: "tag:yaml.org,2002:seq", yaml.MappingStartEvent: "tag:yaml.org,2002:map"}
# The two kinds of texts in lines of their own, and their first line.
BLOCK = ("|", ">")
HEADER = re.compile(r"[|>][+\-1-9]{0,2}(?: +#[^\n]*| *)$", re.MULTILINE)
# A colon behind a key between brackets, without a space.
GLUED = re.compile(r" *:[,\[\]{}]")
INDENTATION = re.compile(r"^[ \t]+", re.MULTILINE)
# No key yet; and in its place, the key `<<`.
_NO_KEY, _MERGED = object(), object()


class Refused(Exception):
    """A document that is YAML and is not taken: line and reason."""


class Doubtful(Refused):
    """A document that parsers of YAML read differently: line and reason."""


class _Open:
    """A list or mapping whose end has not been reached.

    Attributes:
        anchor: its name for aliases, or None.
        is_flow: between brackets or braces.
        before: number of values ahead of it.
        items: of a list, else None.
        pairs, lines: of a mapping, and the line of each key.
        key: of a mapping, whose value comes next.
        merged: mappings, or lists of them, that `<<` brings.
    """

    __slots__ = ("anchor", "before", "is_flow", "items", "key", "lines", "merged", "pairs")

    def __init__(self, event: Any, before: int) -> None:
        self.anchor, self.is_flow, self.before = event.anchor, event.flow_style, before
        self.key: Any = _NO_KEY
        self.merged: list[Any] | None = None
        self.items: list[Any] | None = None
        if type(event) is yaml.SequenceStartEvent:
            self.items = []
        else:
            self.pairs: dict[Hashable, Any] = {}
            self.lines: dict[Hashable, int] = {}

    def add(self, value: Any, event: Any) -> None:
        """Take what comes next: an item, a key or a value."""
        if self.items is not None:
            self.items.append(value)
        elif self.key is _NO_KEY:
            self.key = value if value is _MERGED else self._checked(value, _line(event))
        elif self.key is _MERGED:
            self.merged = [] if self.merged is None else self.merged
            self.merged.append(_mergeable(value, event))
            self.key = _NO_KEY
        else:
            self.pairs[self.key], self.key = value, _NO_KEY

    def _checked(self, key: Any, line: int) -> Hashable:
        if type(key) is not str and not isinstance(key, Hashable):
            raise Refused(f"line {line}: a key is a name or a number, not a {type(key).__name__}")
        if key in self.lines:
            raise Refused(f"line {line}: the key {key!r} is already there, on line {self.lines[key]}; keep one")
        self.lines[key] = line
        return key

    def value(self) -> list[Any] | dict[Hashable, Any]:
        """Return it; keys that it has itself win over merged ones, and earlier mappings of a merged list over later ones."""
        if self.items is not None:
            return self.items
        if self.merged is None:
            return self.pairs
        found: dict[Hashable, Any] = {}
        for one in self.merged:
            for mapping in reversed(one) if isinstance(one, list) else [one]:
                found.update(mapping)
        return found | self.pairs


class Builder(yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
    """Builds a value from events.

    Args:
        max_nodes: limit on values after aliases, where there are aliases.
        is_strict: whether what parsers read differently is refused.
    """

    def __init__(self, max_nodes: int, *, is_strict: bool) -> None:
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)
        self._max_nodes, self._is_strict = max_nodes, is_strict
        self._open: list[_Open] = []
        self._anchors: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._total, self._is_aliased = 0, False
        # What was made of a text without quotes: a text that comes again is looked up.
        self._plain: dict[str, Any] = {}

    def build(self, text: str, events: Iterable[Any]) -> Any:
        """Return the value of the document; None where there is none.

        Args:
            text: the document.
            events: its, from PyYAML's parser or libyaml's.

        Raises:
            Refused: it is not taken.
            Doubtful: it is not taken where this is strict.
            yaml.YAMLError: not YAML, or more than one document.
            ValueError, OverflowError, LookupError, TypeError, AttributeError: a scalar is not what it looks like or its tag says.
        """
        root, documents = None, 0
        tabs = text.count("\t") if self._is_strict else 0
        if self._is_strict and "\ufeff" in text[1:]:
            raise Doubtful("a byte order mark (U+FEFF) inside the text; take it out")
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                if self._is_strict:
                    self._doubt(text, event)
                    tabs -= _tabs_of(text, event) if tabs else 0
                value = self._scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._begin(event)
                continue
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                value = self._end()
            elif kind is yaml.AliasEvent:
                value = self._alias(event)
            else:
                documents += kind is yaml.DocumentStartEvent
                if documents > 1:
                    raise ComposerError("expected a single document", None, "but found another one", event.start_mark)
                continue
            if self._is_aliased and self._total > self._max_nodes:
                raise Refused(
                    f"line {_line(event)}: aliases stand for more than {self._max_nodes:,} values; write fewer of them out"
                )
            if self._open:
                self._open[-1].add(value, event)
            else:
                root = value
            if value is _MERGED and (not self._open or self._open[-1].key is not _MERGED):
                # `<<` where a value belongs, which PyYAML has no value for.
                self.construct_undefined(yaml.ScalarNode(MERGE, "<<", event.start_mark))
        if tabs:
            raise Doubtful("tabs outside of quotes; use spaces")
        return root

    def _doubt(self, text: str, event: Any) -> None:
        if event.tag == "!":
            raise Doubtful(f"line {_line(event)}: the tag ! alone; leave it out, and quote the value")
        if event.style in BLOCK and not HEADER.match(text, event.start_mark.index):
            raise Doubtful(f"line {_line(event)}: a text follows the {event.style}; begin it on the next line")
        if event.style or not self._open or not self._open[-1].is_flow:
            return
        if "?" in event.value or ":" in event.value or GLUED.match(text, event.end_mark.index):
            raise Doubtful(
                f"line {_line(event)}: a ? or a : beside {event.value!r} between brackets; quote it, or add a space"
            )

    def _scalar(self, event: Any) -> Any:
        text, tag = event.value, event.tag
        self._total += 1
        if tag is not None and tag != "!":
            value = self._constructed(tag, event)
        elif not event.implicit[0]:
            value = text
        elif text in self._plain:
            value = self._plain[text]
        else:
            resolved: str = self.resolve(yaml.ScalarNode, text, event.implicit)  # type: ignore[no-untyped-call]
            value = self._constructed(resolved, event)
            self._plain[text] = value
        if event.anchor:
            self._name(event.anchor, value, 1)
        return value

    def _constructed(self, tag: str, event: Any) -> Any:
        if tag == MERGE:
            return _MERGED
        if tag in NUMBERS and len(event.value) > MAX_DIGITS:
            # `1:1:1` is a number to base 60, which takes the square of its length to compute.
            raise ValueError(f"{len(event.value):,} characters, and {MAX_DIGITS:,} are allowed")
        make: Any = self.yaml_constructors.get(tag, self.yaml_constructors[None])
        value = make(self, yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark))
        if isinstance(value, GeneratorType):
            # Of a tag for collections: it raises that this is none.
            for _ in value:
                pass
        return value

    def _begin(self, event: Any) -> None:
        if len(self._open) == MAX_DEPTH:
            raise Refused(f"line {_line(event)}: nested deeper than {MAX_DEPTH} levels")
        if event.tag is not None and event.tag != "!" and event.tag != TAGS[type(event)]:
            if event.tag not in self.yaml_constructors:
                self.construct_undefined(yaml.SequenceNode(event.tag, [], event.start_mark))
            raise Refused(f"line {_line(event)}: the tag {event.tag} before a list or a mapping; leave it out")
        if event.anchor in self._anchors:
            raise ComposerError(None, None, f"found duplicate anchor {event.anchor!r}", event.start_mark)
        self._open.append(_Open(event, self._total))
        self._total += 1

    def _end(self) -> Any:
        ended = self._open.pop()
        value = ended.value()
        if ended.anchor:
            self._name(ended.anchor, value, self._total - ended.before)
        return value

    def _name(self, anchor: str, value: Any, size: int) -> None:
        if anchor in self._anchors:
            raise ComposerError(None, None, f"found duplicate anchor {anchor!r}", None)
        self._anchors[anchor], self._sizes[anchor] = value, size

    def _alias(self, event: Any) -> Any:
        anchor = event.anchor
        if any(one.anchor == anchor for one in self._open):
            raise Refused(f"line {_line(event)}: the alias *{anchor} stands inside what it names")
        if anchor not in self._anchors:
            raise ComposerError(None, None, f"found undefined alias {anchor!r}", event.start_mark)
        self._total += self._sizes[anchor]
        self._is_aliased = True
        return self._anchors[anchor]


def _mergeable(value: Any, event: Any) -> Any:
    if isinstance(value, dict) or (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
        return value
    raise Refused(f"line {_line(event)}: `<<` takes a mapping or a list of mappings")


def _tabs_of(text: str, event: Any) -> int:
    """Return the tabs that a scalar holds where each parser takes them for text: in quotes, in a block behind its indentation."""
    if not event.style:
        return 0
    held = text[event.start_mark.index : event.end_mark.index]
    if event.style in BLOCK:
        held = INDENTATION.sub("", held.partition("\n")[2])
    return held.count("\t")


def _line(event: Any) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
