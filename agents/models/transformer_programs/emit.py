"""A program as Python source: one function a head and a table, as the paper prints them. It imports nothing."""

from collections.abc import Iterable, Sequence

from agents.models.transformer_programs.program import Head, Lookup, Program

PREAMBLE = '''"""A transformer program: {labels}. Written out from the model; it computes exactly what the model does."""


def select_closest(queries, keys, predicate):
    """Return which position each query selects: the closest match, left before right, itself last; the first of none."""
    chosen = []
    for i, query in enumerate(queries):
        others = [j for j, key in enumerate(keys) if predicate(query) == key and j != i]
        if others:
            chosen.append(min(others, key=lambda j: (abs(j - i), j)))
        else:
            chosen.append(i if predicate(query) == keys[i] else 0)
    return chosen


def count(queries, keys, predicate, values):
    """Return what the positions add up to whose keys each query matches."""
    return [sum(v for key, v in zip(keys, values) if key == predicate(query)) for query in queries]

'''


def python_source(program: Program) -> str:
    """Return the source of a module with `run(words)`, which returns each label's score, words as `Program.words` gives them."""
    config = program.config
    functions: list[str] = []
    body = ["positions = list(range(len(words)))"]
    body += [f"word_{e} = [EMBEDDINGS[word][{e}] for word in words]" for e in range(config.embeddings)]
    body += ["position = positions", "one = [1] * len(words)"]
    for number, layer in enumerate(program.layers):
        for place, head in enumerate(layer.selecting):
            name = f"selected_{number}_{place}"
            functions.append(_predicate(name, head))
            body.append(f"chosen = select_closest({head.query}, {head.key}, {name}_predicate)")
            body.append(f"{name} = [{head.value}[j] for j in chosen]")
        for place, head in enumerate(layer.counting):
            name = f"count_{number}_{place}"
            functions.append(_predicate(name, head))
            body.append(f"{name} = count({head.query}, {head.key}, {name}_predicate, {head.value or 'one'})")
        for kind, tables in (("table", layer.tables), ("count_table", layer.count_tables)):
            for place, table in enumerate(tables):
                name = f"{kind}_{number}_{place}"
                functions.append(_table(name, table))
                body.append(f"{name} = [{name}_function(a, b) for a, b in zip({table.first}, {table.second})]")
    body.append("total = [0.0] * len(LABELS)")
    body.append("for i in range(len(words)):")
    body += [f"    total = [t + s for t, s in zip(total, SCORES[{name!r}][{name}[i]])]" for name in program.scores]
    body += [
        f"    total = [t + {name}[i] * s for t, s in zip(total, COUNT_SCORES[{name!r}])]"
        for name in program.count_scores
    ]
    divisor = config.pooled or "len(words)"
    body.append(f"return {{label: t / {divisor} for label, t in zip(LABELS, total)}}")
    embeddings = zip(config.words, program.embeddings, strict=True)
    return "\n".join(
        [
            PREAMBLE.format(labels=", ".join(config.labels)),
            *functions,
            'def run(words):\n    """Return the score of each label."""',
            *(f"    {line}" for line in body),
            "",
            "",
            f"LABELS = {config.labels!r}",
            f"EMBEDDINGS = {{\n{''.join(f'    {word!r}: {values!r},{chr(10)}' for word, values in embeddings)}}}",
            f"SCORES = {program.scores!r}",
            f"COUNT_SCORES = {program.count_scores!r}",
            "",
        ]
    )


def _predicate(name: str, head: Head) -> str:
    """Return the function that says which key value a query value matches, as branches over sets."""
    lines = [f"def {name}_predicate(query):", f'    """The {head.key} that a {head.query} looks for."""']
    lines += _branches("query", enumerate(head.predicate))
    return "\n".join([*lines, "", ""])


def _table(name: str, table: Lookup) -> str:
    """Return the function of a lookup table, its most frequent value last."""
    cells = [((a, b), value) for a, row in enumerate(table.table) for b, value in enumerate(row)]
    lines = [f"def {name}_function(a, b):", f'    """A value of {table.first} and {table.second}."""']
    lines += _branches("(a, b)", cells)
    return "\n".join([*lines, "", ""])


def _branches(subject: str, cells: Iterable[tuple[object, int]]) -> Sequence[str]:
    grouped: dict[int, list[object]] = {}
    for key, value in cells:
        grouped.setdefault(value, []).append(key)
    *branches, (rest, _) = sorted(grouped.items(), key=lambda group: len(group[1]))
    lines = []
    for value, keys in branches:
        lines += [f"    if {subject} in {{{', '.join(map(repr, keys))}}}:", f"        return {value}"]
    return [*lines, f"    return {rest}"]
