"""The core: whose faults the tests must notice, in parts, each with the test files that mirror it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Part → (globs of its modules, its tests; the first of them are asked first).
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "protocol": (
        ("debate/protocol/[a-r]*.py", "debate/protocol/__init__.py"),
        ("tests/debate/protocol", "tests/debate/test_orchestrator.py", "tests/debate/test_controls.py"),
    ),
    "stopping": (("debate/protocol/st*.py",), ("tests/debate/protocol", "tests/debate/test_orchestrator.py")),
    "decision": (
        ("debate/decision/*.py", "debate/answer.py"),
        (
            "tests/debate/decision",
            "tests/debate/test_orchestrator.py",
            "tests/agents/speakers/test_specialist.py",
            "tests/debate/test_ask.py",
        ),
    ),
    "topology": (
        ("debate/topology/*.py", "debate/config/topology.py", "debate/config/topology_file.py"),
        ("tests/debate/topology", "tests/debate/cli/test_topology.py", "tests/debate/config/test_untrusted.py"),
    ),
    "journal": (
        ("debate/run_folder/*.py",),
        (
            "tests/debate/run_folder",
            "tests/debate/test_reduction.py",
            "tests/evals/test_faults.py",
            "tests/evals/cli/test_runs.py",
        ),
    ),
    "message": (
        ("agents/message.py", "agents/message_header.py", "agents/message_file.py", "agents/fingerprint.py"),
        (
            "tests/agents/test_message.py",
            "tests/agents/test_message_header.py",
            "tests/agents/test_message_arrays.py",
            "tests/agents/test_signing.py",
            "tests/agents/test_fingerprint.py",
            "tests/debate/runtime/ray/test_wire.py",
        ),
    ),
    "rerender": (
        ("agents/rerender.py", "agents/vocabulary_map.py", "agents/hearing_table.py"),
        (
            "tests/agents/test_rerender.py",
            "tests/agents/test_hearing_table.py",
            "tests/debate/test_vocabulary_map.py",
            "tests/debate/test_hearing_tables.py",
            "tests/agents/test_message.py",
        ),
    ),
    "scorers": (
        ("evals/scoring/*.py", "evals/scorer.py"),
        (
            "tests/evals/scoring",
            "tests/evals/test_scorer.py",
            "tests/evals/tasks/test_own_questions.py",
            "tests/evals/tasks/test_reasoning_gym.py",
        ),
    ),
    "statistics": (
        ("evals/analysis/stats.py", "evals/analysis/run_difference.py"),
        ("tests/evals/analysis", "tests/evals/cli/test_runs.py"),
    ),
    "kernels": (
        (
            "kernels/*.py",
            "kernels/encoders/*.py",
            "kernels/attention/*.py",
            "kernels/expectation/*.py",
            "kernels/nearest/*.py",
        ),
        ("tests/kernels",),
    ),
}
# Modules that run in a process which tests start, where nothing is traced → the module that asks them: its tests are theirs.
ASKED_BY = {
    "evals/scoring/worker.py": "evals/scoring/bounded.py",
    "evals/scoring/exact.py": "evals/scoring/bounded.py",
    "evals/scoring/reasoning_gym.py": "evals/scoring/bounded.py",
}
# What needs a GPU, times operators, or only names things.
LEFT_OUT = {"bench.py", "triton.py", "gpu.py", "__init__.py"}


def modules(part: str, root: Path = ROOT) -> list[str]:
    """Return a part's modules, as paths below the root."""
    found = {path for pattern in PARTS[part][0] for path in root.glob(pattern) if path.name not in LEFT_OUT}
    return sorted(str(path.relative_to(root)) for path in found)


def tests(part: str) -> tuple[str, ...]:
    """Return a part's tests, as paths below the root."""
    return PARTS[part][1]
