"""Every turn of a run as one tidy table, a row a turn: `turns.parquet`."""

from pathlib import Path
from typing import Any

from agents.atomic_file import replacing
from agents.errors import MissingDependency, writing_failed
from evals.analysis.run_record import RunRecord


def write_turns(record: RunRecord, path: Path) -> Path:
    """Write the turns of a run as Parquet and return the path. The same run gives the same bytes but for `seconds`.

    Raises:
        MissingDependency: pyarrow is not installed.
        RunError: the disk does not take it.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingDependency("the table of turns", "pyarrow", "evals") from error
    rows = [_fields(record, name, debate, turn) for name, debate, turn in _turns(record)]
    schema = pyarrow.schema(
        [
            *[(name, pyarrow.string()) for name in ("run", "task", "model", "method", "question", "agent")],
            ("round", pyarrow.int32()),
            ("is_deciding", pyarrow.bool_()),
            ("temperature", pyarrow.float64()),
            *[(name, pyarrow.string()) for name in ("encoder", "target", "answer", "verdict", "strict_answer")],
            *[(name, pyarrow.string()) for name in ("strict_verdict", "decision", "decision_verdict")],
            *[(name, pyarrow.int64()) for name in ("prompt_tokens", "cached_tokens", "generated_tokens")],
            ("message_bytes", pyarrow.int64()),
            ("seconds", pyarrow.float64()),
            ("confidence", pyarrow.float64()),
            ("belief", pyarrow.map_(pyarrow.string(), pyarrow.float64())),
            ("entropy", pyarrow.list_(pyarrow.float32())),
            ("heard", pyarrow.list_(pyarrow.string())),
            ("finish_reason", pyarrow.string()),
            ("seed", pyarrow.int64()),
            ("digest", pyarrow.string()),
            ("text", pyarrow.string()),
        ]
    )
    try:
        with replacing(path) as aside:
            parquet.write_table(pyarrow.Table.from_pylist(rows, schema), aside, compression="zstd")
    except OSError as error:
        raise writing_failed(path, error) from error
    return path


def _turns(record: RunRecord) -> list[tuple[str, Any, Any]]:
    return [
        (method.name, debate, turn) for method in record.methods for debate in method.debates for turn in debate.turns
    ]


def _fields(record: RunRecord, method: str, debate: Any, turn: Any) -> dict[str, Any]:
    return {
        **vars(turn),
        "run": record.path.name,
        "task": record.config.task,
        "model": record.config.model,
        "method": method,
        "target": debate.target,
        "decision": debate.answer,
        "decision_verdict": debate.verdict,
        "belief": None if turn.belief is None else list(turn.belief.probabilities.items()),
        "heard": [f"{number}/{agent}" for number, agent in turn.heard],
    }
