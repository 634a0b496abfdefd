"""A run in lm-evaluation-harness's layout, so that what reads its files reads ours.

    RUN/lm_eval/METHOD/ORG__MODEL/results_TIME.json
    RUN/lm_eval/METHOD/ORG__MODEL/samples_TASK_TIME.jsonl

Keys and hashes are lm-eval 0.4's (`lm_eval/loggers/evaluation_tracker.py`, `lm_eval/evaluator.py`): a results file holds
one model, so each method is one; `exact_match` with the filters `strict-match` and `flexible-extract`, their standard
error, hashes of documents, prompts and targets. How it was generated is that of the agent whose answer counts. What only
a debate has stands under `debate`.
"""

import hashlib
import json
import math
import platform
import re
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agents.beliefs.cards import is_belief_backend
from agents.errors import writing_failed
from debate.config.schema import DebateConfig
from debate.run_folder.contents import LM_EVAL, remove_lm_eval
from evals.analysis.run_record import DebateRow, MethodRecord, RunRecord
from kernels.encoders import parse

FILTERS = ("strict-match", "flexible-extract")
LM_EVAL_VERSION = "0.4"


def write_lm_eval(record: RunRecord) -> list[Path]:
    """Write a run's results and samples files anew, and return the results files; they are dated as its results.json.

    Raises:
        RunError: the disk does not take it.
    """
    root = record.path / LM_EVAL
    dated = record.path / "results.json"
    date = dated.stat().st_mtime if dated.is_file() else time.time()
    written = []
    try:
        remove_lm_eval(root)
        for method in record.methods:
            if not method.debates:
                continue
            folder = root / method.name / sanitised(record.config.model)
            folder.mkdir(parents=True, exist_ok=True)
            samples = [line for place, debate in enumerate(method.debates) for line in _samples(place, debate, method)]
            stamp = _stamp(date)
            lines = "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
            (folder / f"samples_{_task_name(record)}_{stamp}.jsonl").write_text(lines, encoding="utf-8")
            path = folder / f"results_{stamp}.json"
            content = _results(record, method, samples, date)
            path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise writing_failed(root, error) from error
    return written


def hash_string(text: str) -> str:
    """Return lm-eval's hash: SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def sanitised(model: str) -> str:
    """Return a model's name as a folder: `org/model` → `org__model`."""
    return re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model)


def _samples(doc_id: int, debate: DebateRow, method: MethodRecord) -> list[dict[str, Any]]:
    """Return a debate's lines, one a filter as lm-eval writes them."""
    doc = {"id": debate.question, "question": debate.text, "answer": debate.target}
    doc_hash = hash_string(json.dumps(doc, indent=2, ensure_ascii=False))
    deciding = [turn for turn in debate.turns if turn.is_deciding] or list(debate.turns)
    last = deciding[-1] if deciding else None
    # The prompt of a debate is its question and how it is debated; the wording is hashed in `debate.prompts`.
    gen = generation(method.config, last.agent, last.encoder) if last else {}
    lines = []
    for name in FILTERS:
        verdict = debate.verdict if name == "flexible-extract" else debate.strict_verdict
        if verdict is None:
            continue
        filtered = debate.answer if name == "flexible-extract" else last.strict_answer if last else None
        lines.append(
            {
                "doc_id": doc_id,
                "doc": doc,
                "target": debate.target,
                "arguments": {"gen_args_0": {"arg_0": debate.text, "arg_1": gen}},
                "resps": [[last.text if last else ""]],
                "filtered_resps": ["[invalid]" if filtered is None else filtered],
                "filter": name,
                "metrics": ["exact_match"],
                "doc_hash": doc_hash,
                "prompt_hash": hash_string(debate.text),
                "target_hash": hash_string(debate.target),
                "exact_match": float(verdict == "correct"),
            }
        )
    return lines


def _results(record: RunRecord, method: MethodRecord, samples: list[dict[str, Any]], date: float) -> dict[str, Any]:
    task, config = record.config.task, method.config
    entry: dict[str, Any] = {"alias": task}
    for name in FILTERS:
        scores = [sample["exact_match"] for sample in samples if sample["filter"] == name]
        if not scores:
            continue
        mean = sum(scores) / len(scores)
        entry[f"exact_match,{name}"] = mean
        entry[f"exact_match_stderr,{name}"] = (
            "N/A" if len(scores) < 2 or method.is_dependent else math.sqrt(mean * (1 - mean) / (len(scores) - 1))
        )
    seconds = record.seconds.get(method.name)
    first = [sample for sample in samples if sample["filter"] == "flexible-extract"]
    hashes = [sample["doc_hash"] + sample["prompt_hash"] + sample["target_hash"] for sample in samples]
    seed = config.seed
    last = next((turn for debate in method.debates for turn in reversed(debate.turns) if turn.is_deciding), None)
    gen = generation(config, last.agent, last.encoder) if last else {}
    shots = _num_fewshot(record.facts, method)
    return {
        "results": {task: entry},
        "group_subtasks": {task: []},
        "configs": {
            task: {
                "task": task,
                "output_type": "multiple_choice" if config.agents[config.deciding_agent].weighs else "generate_until",
                "generation_kwargs": gen,
                "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
                "repeats": 1,
                "num_fewshot": shots,
            }
        },
        "versions": {task: 1.0},
        "n-shot": {task: shots},
        "higher_is_better": {task: {"exact_match": True}},
        "n-samples": {task: {"original": record.facts.get("num_samples"), "effective": len(first)}},
        "config": {
            "model": config.backend,
            "model_args": f"pretrained={config.model},dtype={config.dtype}",
            "batch_size": "auto",
            "batch_sizes": [],
            "device": None,
            "use_cache": None,
            "limit": record.facts.get("limit"),
            "bootstrap_iters": 0,
            "gen_kwargs": gen,
            "random_seed": seed,
            "numpy_seed": seed,
            "torch_seed": seed,
            "fewshot_seed": seed,
        },
        "git_hash": record.facts.get("git_hash"),
        "date": date,
        "pretty_env_info": f"python {platform.python_version()}; {platform.platform()}",
        "transformers_version": _version("transformers"),
        "lm_eval_version": LM_EVAL_VERSION,
        "upper_git_hash": None,
        "task_hashes": {task: hash_string("".join(hashes))},
        "model_source": config.backend,
        "model_name": config.model,
        "model_name_sanitized": sanitised(config.model),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
        "start_time": date - (seconds or 0.0),
        "end_time": date,
        "total_evaluation_time_seconds": None if seconds is None else str(seconds),
        "debate": {
            "written_by": f"cipher-debate {_version('cipher-debate')}",
            "method": method.name,
            "message": config.message,
            "encoder": config.encoder if config.message == "cipher" else None,
            "rounds": config.rounds,
            "agents": {name: agent.model_dump(mode="json", exclude_none=True) for name, agent in config.agents.items()},
            "prompts": _of_method(record.facts, "prompts", method.name),
            "num_fewshot": _of_method(record.facts, "num_fewshot", method.name),
            "no_answer": sum(debate.verdict == "no answer" for debate in method.debates),
            "failed": sum(debate.verdict == "failed" for debate in method.debates),
        },
    }


def generation(config: DebateConfig, name: str, encoder: str | None) -> dict[str, Any]:
    """Return how an agent's turns were generated, in lm-eval's keys; without sampling keys where nothing is generated.

    CIPHER's temperature is that of the belief, from which nothing is drawn unless the encoder does.

    Args:
        config: the debate.
        name: the agent.
        encoder: encoder of the turn; None for text.
    """
    agent = config.agents[name]
    if agent.weighs is not None or agent.is_control or is_belief_backend(agent.backend or config.backend):
        return {"do_sample": False}
    draws = agent.temperature > 0 and (encoder is None or parse(encoder).draws)
    found = {
        "max_gen_toks": config.max_tokens,
        "until": list(config.stop),
        "do_sample": draws,
        "temperature": agent.temperature,
    }
    if draws and encoder is None:
        limits = {"top_p": agent.top_p, "top_k": agent.top_k}
        found.update({key: value for key, value in limits.items() if value is not None})
    return found


def _num_fewshot(facts: Mapping[str, Any], method: MethodRecord) -> int | None:
    """Return the worked examples in the first prompt of the agent whose answer counts; None where a run did not keep it."""
    counts = _of_method(facts, "num_fewshot", method.name)
    if counts is None:
        return None
    first = next((turn for debate in method.debates for turn in debate.turns if turn.is_deciding), None)
    stage = "review" if first is not None and first.heard else "initial"
    return int(counts.get(method.config.deciding_agent, {}).get(stage, 0))


def _of_method(facts: Mapping[str, Any], key: str, method: str) -> Any:
    return facts.get(key, {}).get(method)


def _task_name(record: RunRecord) -> str:
    return re.sub(r"[^\w\-.]+", "_", record.config.task)


def _stamp(date: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(date).isoformat().replace(":", "-")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
