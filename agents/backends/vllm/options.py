"""Our options → vLLM's engine arguments: vLLM's own names pass through, and what cannot be is refused before the slow start."""

import atexit
import os
import shutil
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from agents.backends.vllm import versions
from agents.backends.vllm.last_words import in_a_sentence
from agents.errors import ConfigError
from agents.private_folder import private_folder
from kernels.names import did_you_mean

# Ours, not the user's to set: the doors by which vectors come and go.
TAKEN = ("model", "tokenizer", "worker_cls", "scheduler_cls", "enable_prompt_embeds", "dtype", "trust_remote_code")
# By whether vLLM schedules a step while the one before runs.
SCHEDULERS = {
    False: "agents.backends.vllm.scheduler.CipherScheduler",
    True: "agents.backends.vllm.scheduler.CipherAsyncScheduler",
}
# In the name of an option by which some vLLM makes a part of the logits only, where the likeliest token is all that is asked for.
SHORTCUTS = ("greedy", "argmax", "screen")
# Names the folder of its sockets.
SOCKETS = "VLLM_RPC_BASE_PATH"
# On CPUs vLLM takes nine tenths of the memory for keys and values unless it is told otherwise.
CPU_KV_BYTES = 2 * 2**30
# Whether vLLM compiles the model ahead of its first pass. What it keeps of that on CPUs it cannot load (0.32 calls
# `finalize_loading`, which the result of its own compiler has, and that of torch's has not): the model would be compiled at every
# start. Without it torch keeps what it compiled.
AHEAD = "VLLM_USE_AOT_COMPILE"
# vLLM's blocks are of 128 positions there, and only whole blocks of a prefix are shared; its kernels want multiples of 32.
CPU_BLOCK_SIZE = 32


def keep_private() -> None:
    """Give the sockets between vLLM's processes a folder that nobody else comes into, unless the environment names one."""
    if SOCKETS not in os.environ:
        folder = private_folder("debate-vllm-")
        os.environ[SOCKETS] = str(folder)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def quiet() -> None:
    """Keep vLLM's log to errors and its usage report at home, unless the user's environment says otherwise."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")


def engine_config(folder: Path, *, name: str, dtype: str, trust_remote_code: bool, options: Mapping[str, Any]) -> Any:
    """Return vLLM's resolved configuration, with our worker and scheduler in it.

    Args:
        folder: of the model.
        name: of the model, for errors.
        dtype: of the weights.
        trust_remote_code: run code that comes with it.
        options: vLLM's own.

    Raises:
        ModelError: an architecture that vLLM does not have.
        ConfigError: an option that vLLM does not have, that is ours to set, or that cannot be combined with vectors; or
            vLLM's own refusal of a value.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform

    known = [field.name for field in fields(AsyncEngineArgs)]
    for option in options:
        if option in TAKEN:
            raise ConfigError(f"backend 'vllm': the option {option!r} is set by this backend")
        if option not in known:
            hint = did_you_mean(option, known)
            raise ConfigError(f"backend 'vllm': unknown option {option!r}; vLLM's engine arguments are allowed.{hint}")
    _refuse(options)
    given = {"use_tqdm_on_load": False, **options}
    if current_platform.is_cpu():
        os.environ.setdefault(AHEAD, "0")
        if "gpu_memory_utilization" not in given and not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
            given.setdefault("kv_cache_memory_bytes", CPU_KV_BYTES)
        given.setdefault("block_size", CPU_BLOCK_SIZE)
    try:
        config = AsyncEngineArgs(
            model=str(folder),
            tokenizer=str(folder),
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            enable_prompt_embeds=True,
            worker_cls=_worker(current_platform),
            **given,
        ).create_engine_config()
    except (ValueError, TypeError, NotImplementedError) as error:
        said = in_a_sentence(error)
        if said.startswith("Model architecture"):
            raise versions.does_not_run(name, said) from error
        raise ConfigError(f"backend 'vllm': vLLM refuses these options: {said}") from error
    overlaps = bool(config.scheduler_config.async_scheduling)
    config.scheduler_config.scheduler_cls = SCHEDULERS[overlaps]
    return config


def _worker(platform: Any) -> str:
    """Return our worker for the platform that vLLM found."""
    if platform.is_cpu():
        return "agents.backends.vllm.worker_cpu.CipherCPUWorker"
    if platform.is_cuda_alike():
        return "agents.backends.vllm.worker_gpu.CipherGPUWorker"
    raise ConfigError(
        f"backend 'vllm': no worker for vLLM on {platform.device_name or 'this platform'}; CPUs, CUDA and ROCm have one. Use "
        "backend: transformers on this machine."
    )


def _refuse(options: Mapping[str, Any]) -> None:
    """Raise for what vectors cannot go with."""
    if int(options.get("pipeline_parallel_size") or 1) > 1:
        raise ConfigError(
            "backend 'vllm': pipeline_parallel_size must be 1: the vectors are made on the last stage and read on the first, "
            "and vLLM passes only token ids between them. Use tensor_parallel_size."
        )
    if options.get("speculative_config"):
        raise ConfigError(
            "backend 'vllm': speculative_config must not be set: a drafter proposes tokens, and a CIPHER step is a vector"
        )
    if options.get("enable_batch_sharded_sampling"):
        raise ConfigError(
            "backend 'vllm': enable_batch_sharded_sampling must not be set: each rank would know the vectors of its own requests "
            "only, and all need them"
        )
    if options.get("enable_sleep_mode"):
        raise ConfigError(
            "backend 'vllm': enable_sleep_mode must not be set: what stands beside the embedding table would be lost in sleep"
        )
    for name, value in options.items():
        if value and any(word in name for word in SHORTCUTS):
            raise ConfigError(
                f"backend 'vllm': {name} must not be set: to vLLM every request here is greedy, and each needs all logits"
            )
    for name in ("decode_context_parallel_size", "prefill_context_parallel_size"):
        if int(options.get(name) or 1) > 1:
            raise ConfigError(f"backend 'vllm': {name} must be 1; use tensor_parallel_size")
