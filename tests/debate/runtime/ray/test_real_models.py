"""Real models in a process of their own: the same bytes as in this one."""

import pytest
from support.outcomes import outcome

from debate.config.load import load_config
from debate.config.shipped import configs_folder
from evals.evaluation import evaluate

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("session")]


@pytest.mark.parametrize("model", ["tiny/ada", pytest.param("smollm2", marks=[pytest.mark.weights, pytest.mark.long])])
def test_ray_and_local_give_the_same_bytes_on_a_real_model(model, request, tmp_path, run):
    model = request.getfixturevalue("smollm2") if model == "smollm2" else model
    path = configs_folder() / "first_debate.yaml"
    changes = ["max_tokens=16", "rounds=2", f"model={model}", "options.max_num_seqs=4", "prompts=tiny"]
    for runtime in ("local", "ray"):
        config = load_config(path, [*changes, f"execution.runtime={runtime}"])
        run(evaluate(config, out=tmp_path / runtime, limit=2, methods=["text", "cipher"]))
    assert outcome(tmp_path / "ray") == outcome(tmp_path / "local")
    assert list((tmp_path / "ray" / "messages").rglob("*.safetensors"))
