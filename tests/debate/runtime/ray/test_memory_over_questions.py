"""`memory: questions` on Ray: the same bytes as in one process, by the driver and by runners, also where a runner goes on."""

import pytest

from debate.config.load import validate
from evals.evaluation import evaluate
from evals.sample import Sample

pytest.importorskip("ray")
pytestmark = pytest.mark.usefixtures("session")
SAMPLES = [Sample(f"q{n}", f"What is {n}+2*3+4-5*6?", "7") for n in range(1, 5)]


def config_of(**execution):
    raw = {
        "backend": "support.recalling_backend:RecallingBackend", "model": "mock", "task": "arithmetic", "prompts": "tiny",
        "max_tokens": 12, "rounds": 2, "agents": {"ada": {"temperature": 0.2, "memory": "questions"}, "ben": {}},
        "methods": {"cipher": {}}, "execution": execution,
    }  # fmt: skip
    return validate(raw, source="test")


@pytest.mark.parametrize("runners", [0, 2], ids=["by the driver", "by runners"])
def test_what_is_remembered_is_the_same_on_ray(tmp_path, run, runners):
    run(evaluate(config_of(), out=tmp_path / "local", samples=SAMPLES))
    ray = config_of(runtime="ray", runners=runners)
    run(evaluate(ray, out=tmp_path / "ray", samples=SAMPLES[:2]))
    said = [tmp_path / name / "cipher/transcript.jsonl" for name in ("ray", "local")]
    assert said[0].read_bytes() == b"".join(said[1].read_bytes().splitlines(keepends=True)[:10])
