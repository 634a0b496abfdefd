"""The axes of every public operator, declared once: the kernels', the encoders', and what belief backends look at.

b rows of a batch, v tokens of a vocabulary, d width of an embedding, w width of another table, k likeliest tokens, p parts of a
vocabulary, l labels of a belief, u positions of a sequence; n' is an axis that the operator makes.
"""

from dataclasses import dataclass, replace

from agents.beliefs.cards import cards
from agents.errors import UnknownName
from debate.axes.signature import Signature, carried
from kernels.encoders import names as encoder_names


@dataclass(frozen=True)
class Declared:
    """One operator.

    Attributes:
        name: what it is called here.
        path: dotted path, `module:attribute`.
        signature: its axes.
        over: axes that it is carried past, so that their laws hold.
        modality: of a belief backend, what it looks at.
    """

    name: str
    path: str
    signature: Signature
    over: tuple[str, ...]
    modality: str = ""

    def __post_init__(self) -> None:
        carried(self.signature, self.over)


_FACTS = "argmax: b, top_values: b k', top_ids: b k'"
_PART = "maximum: b, total: b, energy: b, accumulator: b w, argmax: b, top_values: b k', top_ids: b k'"
_PARTS = "maximum: p b, total: p b, energy: p b, accumulator: p b w, argmax: p b, top_values: p b k, top_ids: p b k"
_ENCODED = "vectors: b d, entropy: b, max_probability: b, argmax: b, top_ids: b k', top_probabilities: b k'"
_ENCODE = "logits: b v, table: v d, temperature: b, seeds: b, steps: b"
_HIDDEN = "hidden: b d, head: v d, table: v w, temperature: b"
KERNELS = {
    "expected_embedding": ("kernels:expected_embedding", "logits: b v, table: v d, temperature: b -> b d", "b d"),
    "sparse_expected_embedding": (
        "kernels:sparse_expected_embedding",
        "logits: b v, table: v d, temperature: b -> vectors: b d, bound: b, rows_read: b",
        "b",
    ),
    "weighted_rows": ("kernels:weighted_rows", "weights: b v, table: v d -> b d", "b d"),
    "nearest_token": ("kernels:nearest_token", "vectors: b d, table: v d -> ids: b, cosine: b, margin: b", "b"),
    "vocabulary_attention": (
        "kernels:vocabulary_attention",
        f"{_HIDDEN} -> expectation: b w, logsumexp: b, max_probability: b, entropy: b, {_FACTS}",
        "b",
    ),
    "vocabulary_partial": ("kernels:vocabulary_partial", f"{_HIDDEN} -> {_PART}", "b"),
    "merge_partials": ("kernels:merge_partials", f"{_PARTS}, temperature: b -> {_PART}", "b w"),
    "controlled_vectors": ("kernels.content.controls:controlled_vectors", f"{_ENCODE} -> b d", "b"),
}
"""Name → dotted path, signature, and the axes whose laws hold. `merge_partials` takes a list of parts: p is its length."""
LOOKED_AT = {
    "audio": "samples: b t",
    "document": "boxes: b n e",
    "image": "pixels: b c y x",
    "series": "values: b t n",
    "table": "values: b r m",
    "text": "tokens: b t",
}
"""What a belief backend's cases hold, by modality. Other axes than b may have another size in each case."""


def operators() -> dict[str, Declared]:
    """Return every public operator by name: kernels, encoders (`encoder:NAME`), belief backends (`belief:NAME`)."""
    found = [
        Declared(name, path, Signature.parse(text), tuple(over.split())) for name, (path, text, over) in KERNELS.items()
    ]
    for name in encoder_names():
        signature = Signature.parse(f"{_ENCODE} -> {_ENCODED}")
        found.append(Declared(f"encoder:{name}", f"kernels.encoders:get({name!r}).encode", signature, ("b",)))
    for each in cards():
        positions = "u' " if each.sequence else ""
        signature = Signature.parse(f"{LOOKED_AT[each.modality]} -> b {positions}l'")
        found.append(Declared(f"belief:{each.name}", f"{each.backend}.believe", signature, ("b",), each.modality))
    return {each.name: each for each in found}


def operator(name: str) -> Declared:
    """Return one operator.

    Raises:
        UnknownName: none of this name; the message lists those that there are.
    """
    known = operators()
    if name not in known:
        raise UnknownName("operator", name, known)
    return known[name]


def table(shown: list[Declared]) -> str:
    """Return the declarations as a Markdown table."""
    lines = ["| operator | axes | carried past |", "|---|---|---|"]
    lines += [f"| {each.name} | `{each.signature}` | {', '.join(each.over)} |" for each in shown]
    return "\n".join(lines) + "\n"


def distinct(shown: list[Declared]) -> list[Declared]:
    """Return one for all encoders, and one for all belief backends of a modality, where there are several, beside the others."""
    groups: dict[str, list[Declared]] = {}
    for each in shown:
        kind, colon, _ = each.name.partition(":")
        groups.setdefault(f"{kind} {each.signature}" if colon else each.name, []).append(each)
    return [each[0] if len(each) == 1 else replace(each[0], name=_shared(each[0])) for each in groups.values()]


def _shared(each: Declared) -> str:
    kind = each.name.partition(":")[0]
    return {"encoder": "encoder:NAME", "belief": f"belief:NAME of {each.modality}"}[kind]
