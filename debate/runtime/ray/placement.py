"""What engines ask of nodes, and what nodes offer: a request that nobody can meet is refused at once, with both."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

import ray

from agents.errors import ConfigError
from debate.config.execution import EngineConfig

# Resources that Ray adds by itself, of no use in a sentence.
INTERNAL = ("memory", "object_store_memory", "node:", "accelerator_type:")

ANSWERING_S = 1.0
# Backends whose engines compute in their own process.
LOCAL = ("transformers", "vllm")
# Of a GPU's memory, what vLLM takes by itself.
VLLM_SHARE = 0.9


@dataclass(frozen=True)
class Node:
    """A machine of the cluster."""

    id: str
    address: str
    resources: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.address} ({amounts(self.resources)})"


def nodes() -> list[Node]:
    """Return the nodes that are there now and answer: Ray itself finds out some twenty seconds after one has gone."""
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], node["Resources"])
        for node in ray.nodes()
        if node["Alive"] and _answers(node["NodeManagerAddress"], node["NodeManagerPort"])
    ]


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=ANSWERING_S).close()
    except OSError:
        return False
    return True


def amounts(resources: Mapping[str, float]) -> str:
    """Return resources as `CPU 2, GPU 1`."""
    listed = sorted((name, amount) for name, amount in resources.items() if not name.startswith(INTERNAL))
    return ", ".join(f"{name} {amount:g}" for name, amount in listed) or "nothing"


def refuse_impossible(model: str, config: EngineConfig, offered: Sequence[Node]) -> None:
    """Raise ConfigError where the nodes could not hold a model's engines even if nothing else ran on them."""
    asked = {name: amount * config.bundles for name, amount in config.bundle.items()}
    if not asked:
        return
    room = sum(
        min(floor(node.resources.get(name, 0) / amount + 1e-9) for name, amount in asked.items()) for node in offered
    )
    if room >= config.replicas:
        return
    together = f" ({config.bundles} bundles on one node)" if config.bundles > 1 else ""
    raise ConfigError(
        f"execution.engines: {model} asks for {config.replicas} × {amounts(asked)}{together}, and the cluster has room for "
        f"{room}. Its nodes offer: {'; '.join(map(str, offered)) or 'nothing'}. Ask for less, or add nodes."
    )


def refuse_collisions(backend: str, model: str, config: EngineConfig, offered: Sequence[Node]) -> None:
    """Raise ConfigError where several engines that ask for no GPU would all take the first one of a node.

    Ray keeps a GPU from nobody who did not ask for one, and an engine takes what it sees.
    """
    if config.replicas == 1 or config.num_gpus or backend not in LOCAL:
        return
    for node in offered:
        holds = all(node.resources.get(name, 0) >= amount for name, amount in config.bundle.items())
        if holds and node.resources.get("GPU", 0):
            raise ConfigError(
                f"execution.engines: {model} has replicas: {config.replicas} and num_gpus: 0, and the node {node} has GPUs: all "
                "engines there would take the same one. Set num_gpus: 1, a fraction to share one, or `resources` that only nodes "
                "without GPUs have."
            )


def engine_options(backend: str, model: str, config: EngineConfig, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return an engine's options with what follows from its place: what is given stands.

    vLLM on a part of a GPU takes that part of the memory. Its ranks on one bundle of K GPUs are its own processes.

    Raises:
        ConfigError: more ranks than GPUs.
    """
    if backend != "vllm" or not config.num_gpus:
        return dict(options)
    ranks = int(options.get("tensor_parallel_size") or 1)
    if ranks > config.num_gpus * config.bundles and ranks > 1:
        raise ConfigError(
            f"execution.engines: {model} has tensor_parallel_size: {ranks}, and its place has "
            f"{config.num_gpus * config.bundles:g} GPUs. Set num_gpus: {ranks} for it, in one bundle."
        )
    found: dict[str, Any] = {}
    if config.shares_a_gpu:
        found["gpu_memory_utilization"] = round(VLLM_SHARE * config.num_gpus, 4)
    if ranks > 1 and config.bundles == 1:
        found["distributed_executor_backend"] = "mp"
    return found | dict(options)


def reserved(config: EngineConfig) -> Any:
    """Return a placement group of a tensor-parallel engine's bundles, all on one node, as soon as that has them free."""
    from ray.util import placement_group

    return placement_group([config.bundle] * config.bundles, strategy="STRICT_PACK")


def actor_options(config: EngineConfig, group: Any) -> dict[str, Any]:
    """Return the options of an engine's actor.

    In a placement group the actor itself takes nothing: its workers take the bundles.
    """
    options: dict[str, Any] = {"max_restarts": 0, "max_task_retries": 0}
    if group is None:
        return options | {"num_cpus": config.num_cpus, "num_gpus": config.num_gpus, "resources": config.resources}
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    strategy = PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=True)
    return options | {"num_cpus": 0, "num_gpus": 0, "scheduling_strategy": strategy}


def occupied(model: str, config: EngineConfig, patience_s: float) -> ConfigError:
    """Return the error of an engine that found no place in time."""
    asked = {name: amount * config.bundles for name, amount in config.bundle.items()}
    offered = "; ".join(map(str, nodes())) or "nothing"
    return ConfigError(
        f"execution.engines: {model} asks for {amounts(asked)}, and within {patience_s:g} s no node had that free and had "
        f"started it. Free now: {amounts(ray.available_resources())}; the nodes offer: {offered}. Other runs may hold the "
        "rest: wait for them, or ask for less."
    )
