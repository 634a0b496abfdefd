"""Without an optional package what needs it says so, with the line that installs it; the rest goes on."""

import importlib
import sys

import pytest
from mistakes.cases import EVAL, FILES, QUESTIONS

FILE = (*EVAL, "--task", "file", "--data")
# Package → command that needs it → extra.
NEEDED = [
    ("datasets", (*EVAL, "--task", "gsm8k"), "evals"),
    ("pyarrow", (*FILE, "questions.parquet", "--scoring", "number"), "evals"),
    ("reasoning_gym", (*EVAL, "--task", "reasoning_gym:chain_sum"), "evals"),
    ("optuna", ("search", "good.yaml", "--trials", "2", "--limit", "2"), "evals"),
    ("scipy", ("compare", "run", "run"), "evals"),
    ("matplotlib", ("topology", "draw", "good.yaml", "--out", "graph.png"), "viz"),
    ("accelerate", ("train", "smoke"), "train"),
    ("gguf", ("run", "Why?", "--model", "small.gguf"), "smollm2"),
    ("prometheus_client", (*EVAL, "--metrics-port", "0"), "metrics"),
    ("ray", (*EVAL, "--runtime", "ray"), "ray"),
    ("openai", (*EVAL, "--set", "backend=openai"), "openai"),
    ("httpx", (*EVAL, "--set", "backend=remote"), "remote"),
    ("lm_eval", ("lm-eval", "ls"), "lm-eval"),
    ("inspect_ai", ("export", "run", "logs"), "inspect"),
    ("mcp", ("mcp", "smoke"), "mcp"),
    ("opentelemetry", (*EVAL, "--otel"), "otel"),
    ("sentence_transformers", (*EVAL, "--set", "agents.ada.backend=sentence_transformers"), "sentences"),
]


@pytest.fixture
def without(monkeypatch):
    """Return a function that makes a package one that is not installed."""

    def hide(package):
        # What of ours has imported it already imports it anew.
        ours = (f"agents.backends.{package}", "agents.backends.remote", "debate.interop")
        for name in [name for name in sys.modules if name.partition(".")[0] == package or name.startswith(ours)]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    return hide


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(FILES["good.yaml"])
    (tmp_path / "questions.jsonl").write_text(QUESTIONS)
    (tmp_path / "questions.parquet").write_bytes(b"PAR1")
    (tmp_path / "small.gguf").write_bytes(b"GGUF" + bytes(60))
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(("package", "command", "extra"), NEEDED, ids=[package for package, _, _ in NEEDED])
def test_what_needs_it_names_the_extra(cli, there, without, package, command, extra):
    if command[0] == "compare":
        assert cli(*EVAL, "--out", "run")[0] == 0
    if package == "accelerate":
        # transformers looks once whether it is there, and imports it by what it found.
        importlib.import_module("transformers.modeling_utils")
    without(package)
    code, _, err = cli(*command)
    said = [line for line in err.splitlines() if line.startswith("debate: ")]
    assert code == 2, err
    assert len(said) == 1, err
    assert f"pip install 'cipher-debate[{extra}]'" in said[0]
    assert "Traceback" not in err


@pytest.mark.parametrize("package", ["statsmodels", "scipy", "matplotlib", "pyarrow", "optuna", "datasets"])
def test_a_debate_and_an_evaluation_need_none_of_them(cli, there, without, package):
    without(package)
    code, out, err = cli(*EVAL, "--out", "run")
    assert (code, "cipher" in out) == (0, True), err
    code, out, _ = cli("run", "What is 1+2*3+4-5*6?", "--config", "good.yaml")
    assert (code, "decision:" in out) == (0, True)
