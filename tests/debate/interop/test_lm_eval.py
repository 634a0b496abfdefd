"""lm-evaluation-harness itself: our model type, its own clients against the server, and the scores of `debate eval`."""

import json
import subprocess
import sys
from functools import cache

import pytest
import yaml
from support.serving import serving, smoke

from agents.errors import ConfigError, RequestError
from debate.config.load import load_config
from evals import evaluate_sync
from evals.task import create_task

lm_eval = pytest.importorskip("lm_eval")

from lm_eval import simple_evaluate  # noqa: E402
from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from debate.interop.lm_eval import DebateLM  # noqa: E402

ANSWER = r"Answer: (-?\d+)"
# The harness and the data sets library leave files and sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)


def samples(task, count):
    return create_task(task, seed=0).load(count).samples[:count]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A folder with two tasks of the harness: sums of ours that are answered, and the same as a choice of two."""
    folder = tmp_path_factory.mktemp("tasks")
    for name, task, count in (("sums", "arithmetic", 40), ("held", "arithmetic:held_out", 8)):
        rows = [
            {
                "id": one.id,
                "question": one.question,
                "answer": one.target,
                "choices": [one.target, str(int(one.target) + 1)],
            }
            for one in samples(task, count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        common = {
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(folder / f"{name}.jsonl")}},
            "test_split": "test",
            "doc_to_text": "{{question}}",
        }
        answered = {
            **common,
            "task": f"own_{name}",
            "output_type": "generate_until",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": ["\n\n\n"], "do_sample": False, "max_gen_toks": 256},
            "filter_list": [
                {
                    "name": "last",
                    "filter": [
                        {"function": "regex", "regex_pattern": ANSWER, "group_select": -1},
                        {"function": "take_first"},
                    ],
                }
            ],
            "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        }
        chosen = {
            **common,
            "task": f"own_{name}_choice",
            "output_type": "multiple_choice",
            "doc_to_choice": "choices",
            "doc_to_target": 0,
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
        for found in (answered, chosen):
            (folder / f"{found['task']}.yaml").write_text(yaml.safe_dump(found))
    return folder


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@cache
def _manager(folder):
    return TaskManager(include_path=folder, include_defaults=False)


def harness(tasks, task, model, args, **more):
    found = simple_evaluate(
        model=model, model_args=args, tasks=[task], task_manager=_manager(str(tasks)), bootstrap_iters=0,
        **{"apply_chat_template": True, **more},
    )  # fmt: skip
    return found["results"][task], [one["filtered_resps"][0] for one in found["samples"][task]], found


def ours(config, methods, task, count, tmp_path):
    rows = evaluate_sync(config, out=tmp_path / "run", methods=methods, limit=count)
    return {row.method: row.correct / row.total for row in rows}


@pytest.mark.parametrize("method", ["single", "text", "cipher"])
def test_a_debate_scores_in_the_harness_as_in_an_evaluation(tasks, tmp_path, method):
    config = smoke(task="arithmetic")
    scores = ours(config, [method], "arithmetic", 40, tmp_path)
    args = {"config": "smoke", "method": method, "question_id": "id", "num_concurrent": 8}
    for is_chat in (True, False):
        found, answers, _ = harness(tasks, "own_sums", "cipher-debate", args, apply_chat_template=is_chat)
        assert found["exact_match,last"] == scores[method]
        assert 0.3 < scores[method] < 1
        assert len(answers) == 40


def test_tiny_debaters_score_in_the_harness_as_in_an_evaluation(tasks, tmp_path):
    config = load_config("debaters/experts")
    scores = ours(config, ["single", "cipher"], "arithmetic:held_out", 8, tmp_path)
    for method in ("single", "cipher"):
        args = {"config": "debaters/experts", "method": method, "question_id": "id"}
        found, _, _ = harness(tasks, "own_held", "cipher-debate", args)
        assert found["exact_match,last"] == scores[method]


def test_likelihoods_are_the_deciding_agents_in_its_last_turn(tasks):
    """The mock finds likely what its reply ends in, and its reply in the last turn is what the debate comes to."""
    args = {"config": "smoke", "question_id": "id", "loglikelihood": True}
    found, _, _ = harness(tasks, "own_sums_choice", "cipher-debate", args)
    answered, _, _ = harness(tasks, "own_sums", "cipher-debate", {"config": "smoke", "question_id": "id"})
    assert found["acc,none"] >= answered["exact_match,last"]
    assert 0.3 < found["acc,none"] <= 1


def test_likelihoods_of_a_real_model_are_what_it_says(tasks):
    """Greedy decoding says the beginning of the debater's own last message, and hardly anything else."""
    model = DebateLM("debaters/experts", loglikelihood=True, rounds=1)
    try:
        question = samples("arithmetic:held_out", 1)[0].question
        request = Instance("generate_until", {}, (question, {}), 0)
        (said,) = model.generate_until([request], disable_tqdm=True)
        beginning = said[: said.index("=") + 1] if "=" in said else said[:4]
        texts = [beginning, "zzzz"]
        asked = [Instance("loglikelihood", {}, (question, text), place) for place, text in enumerate(texts)]
        (likely, is_greedy), (unlikely, is_not) = model.loglikelihood(asked, disable_tqdm=True)
        assert likely > -5 > unlikely
        assert (is_greedy, is_not) == (True, False)
    finally:
        model.close()


def test_likelihoods_are_refused_unless_asked_for_and_texts_have_none():
    model = DebateLM("smoke")
    try:
        request = Instance("loglikelihood", {}, ("What is 1+1?", " 2"), 0)
        with pytest.raises(NotImplementedError, match="loglikelihood=true"):
            model.loglikelihood([request])
        with pytest.raises(NotImplementedError, match="answers questions"):
            model.loglikelihood_rolling([request])
        assert model.tokenizer_name == "cipher-debate/smoke"
    finally:
        model.close()


def test_mistakes_are_sentences():
    with pytest.raises(ConfigError, match="'confg'.*Known: config"):
        DebateLM("smoke", confg="x")
    with pytest.raises(ConfigError, match="at least 1"):
        DebateLM("smoke", num_concurrent=0)
    model = DebateLM("smoke", question_id="key")
    try:
        with pytest.raises(RequestError, match="no such key"):
            model.generate_until([Instance("generate_until", {"id": 1}, ("What is 1+1?", {}), 0)], disable_tqdm=True)
        prefilled = model.apply_chat_template([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}])
        with pytest.raises(RequestError):
            model.generate_until([Instance("generate_until", {"key": 1}, (prefilled, {}), 0)], disable_tqdm=True)
    finally:
        model.close()


def test_a_cache_plays_nothing_twice(tasks, tmp_path):
    results = []
    for out in ("one", "two"):
        args = {"config": "smoke", "question_id": "id", "out": str(tmp_path / out)}
        results.append(
            harness(tasks, "own_sums", "cipher-debate", args, use_cache=str(tmp_path / "cache"), limit=6)[:2]
        )
    assert results[0] == results[1]
    assert len(list((tmp_path / "one").iterdir())) == 6
    assert not (tmp_path / "two").exists()


def test_the_command_registers_the_model(tasks):
    command = [
        sys.executable, "-m", "debate", "lm-eval", "run", "--model", "cipher-debate", "--include_path", str(tasks), "--tasks",
        "own_sums", "--apply_chat_template", "--limit", "4", "--model_args", "config=smoke,question_id=id",
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert said.returncode == 0, said.stderr[-2000:]
    assert "|own_sums|" in said.stdout
    assert "exact_match" in said.stdout


@pytest.fixture(scope="module")
def served():
    with serving({"smoke": smoke(), "experts": load_config("debaters/experts")}) as found:
        yield found


def test_its_own_clients_score_a_served_debate_alike(tasks, served, tmp_path):
    """An agent of temperature 0, since these clients send no ids of questions from which draws follow."""
    scores = ours(load_config("debaters/experts"), ["single"], "arithmetic:held_out", 8, tmp_path)
    chat = f"model=experts/ivy,base_url={served.url}/chat/completions,num_concurrent=4,timeout=600"
    found, answers, _ = harness(tasks, "own_held", "local-chat-completions", chat)
    assert found["exact_match,last"] == scores["single"]
    texts = f"model=experts/ivy,base_url={served.url}/completions,num_concurrent=4,timeout=600"
    for more in ("tokenized_requests=False,tokenizer_backend=None", "tokenizer_backend=None"):
        found, same, _ = harness(tasks, "own_held", "local-completions", f"{texts},{more}", apply_chat_template=False)
        assert found["exact_match,last"] == scores["single"]
        assert same == answers


def test_its_own_client_weighs_by_the_tokens_of_the_server(tasks, served):
    """The remote tokenizer, `echo`, `logprobs` and `max_tokens: 1`, against the engine's own likelihoods."""
    model = f"model=smoke/ada,base_url={served.url}/completions,num_concurrent=4,tokenizer_backend=auto"
    with serving({"smoke": smoke()}) as alone:
        found, _, whole = harness(
            tasks,
            "own_sums_choice",
            "local-completions",
            model.replace(served.url, alone.url),
            apply_chat_template=False,
        )
    assert 0.3 < found["acc,none"] <= 1
    pairs = [one["filtered_resps"] for one in whole["samples"]["own_sums_choice"]]
    assert any(right[0] > wrong[0] for right, wrong in pairs)
    # Two tokenizers are served there, and the client cannot say which: it is told, and takes another.
    assert served.send("GET", "/tokenizer_info")[0] == 400
