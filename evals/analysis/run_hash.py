"""A short name for what a run came to, by which a table in a document says which run it is of."""

import hashlib
import json

from debate.config.load import to_yaml
from evals.analysis.run_record import RunRecord

DIGITS = 12


def run_hash(record: RunRecord) -> str:
    """Return 12 hexadecimal digits of SHA-256 over each method's config and, by question, what was answered and how it fared.

    Two runs with the same hash have the same tables of accuracy. Times, machines and the bits of messages are no part of it.
    """
    told = [
        [
            method.name,
            to_yaml(method.config.model_copy(update={"execution": type(method.config.execution)()})),
            [
                [debate.question, debate.target, debate.answer, debate.verdict, [turn.answer for turn in debate.turns]]
                for debate in method.debates
            ],
        ]
        for method in sorted(record.methods, key=lambda method: method.name)
    ]
    text = json.dumps(told, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
