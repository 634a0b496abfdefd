"""Engines on several nodes, each a raylet of its own on this machine: placement, loss and return, nodes that do not fit."""

import asyncio
import os
from pathlib import Path

import pytest
from support.outcomes import outcome, records

from agents.errors import BackendFailed, ConfigError
from debate.config.execution import ExecutionConfig
from debate.config.load import validate
from debate.run_folder.reader import read_method
from debate.runtime.backends import Backends
from evals.evaluation import evaluate

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    """A head that offers nothing, and this process connected to it by its address, as a user would."""
    from ray.cluster_utils import Cluster

    from debate.runtime.ray.session import RaySession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        # That of the other tests, which have had their turn.
        ray.shutdown()
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        session = RaySession(ExecutionConfig(runtime="ray", ray_address=cluster.address))
        yield cluster
        session.close()
        cluster.shutdown()


def config_of(engine, *, execution=None, backend="mock", **options):
    raw = {
        "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8}},
        "backend": backend,
        "model": "mock",
        "max_tokens": 64,
        "options": options,
        "methods": {"cipher": {}},
        "execution": {"runtime": "ray", "engines": {"default": {"num_cpus": 0, **engine}}, **(execution or {})},
    }
    return validate(raw, source="x")


def test_a_node_goes_away_and_comes_back_and_nothing_is_lost(cluster, tmp_path, run):
    kept, lost = (cluster.add_node(num_cpus=1, resources={"desk": 1}) for _ in range(2))
    options = {"folder": str(tmp_path), "nap_s": 0.1}
    desks = {"resources": {"desk": 1}, "replicas": 2}
    config = config_of(desks, backend="support.mortal_backend:MortalBackend", execution={"in_flight": 6}, **options)
    limit = 60

    def told(kind):
        return len(records(tmp_path / "run", kind))

    async def play():
        nonlocal lost
        playing = asyncio.create_task(evaluate(config, out=tmp_path / "run", limit=limit))
        while not (tmp_path / "run" / "journal.log").exists() or told("turn") < 20:
            await asyncio.sleep(0.05)
            assert not playing.done()
        await asyncio.to_thread(cluster.remove_node, lost, allow_graceful=False)
        while not told("fault"):
            await asyncio.sleep(0.05)
        assert not playing.done()
        lost = cluster.add_node(num_cpus=1, resources={"desk": 1})
        await playing

    run(play())
    run(evaluate(config.model_copy(update={"execution": ExecutionConfig()}), out=tmp_path / "whole", limit=limit))
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")
    assert len(list(read_method(tmp_path / "run" / "cipher"))) == limit
    # No question is to blame for a node.
    faults = records(tmp_path / "run", "fault")
    assert {fault["error"].partition(":")[0] for fault in faults} == {"EngineLost"}
    assert not any(fault["alone"] for fault in faults)
    cluster.remove_node(kept)
    cluster.remove_node(lost)


def test_when_no_engine_is_left_the_run_ends_with_a_sentence_after_its_patience(cluster, tmp_path, run):
    node = cluster.add_node(num_cpus=1, resources={"bench": 1})
    options = {"folder": str(tmp_path), "nap_s": 0.2}
    bench = {"resources": {"bench": 1}}
    config = config_of(
        bench, backend="support.mortal_backend:MortalBackend", execution={"node_patience_s": 4}, **options
    )

    async def play():
        playing = asyncio.create_task(evaluate(config, out=tmp_path / "run", limit=60))
        while not (tmp_path / "run" / "journal.log").exists() or len(records(tmp_path / "run", "turn")) < 5:
            await asyncio.sleep(0.05)
            assert not playing.done()
        await asyncio.to_thread(cluster.remove_node, node, allow_graceful=False)
        await playing

    with pytest.raises(
        BackendFailed, match=r"no engine of .* is left, .* within 4 s .*asks for 1 × bench 1.*room for 0"
    ):
        run(play())
    assert len(records(tmp_path / "run", "turn")) >= 5


def test_a_tensor_parallel_engine_reserves_its_bundles_on_one_node(cluster, run):
    nodes = [cluster.add_node(num_cpus=1, resources={"slot": 1}) for _ in range(2)]
    with pytest.raises(ConfigError, match=r"1 × slot 2 \(2 bundles on one node\), and the cluster has room for 0"):
        Backends(config_of({"resources": {"slot": 1}, "bundles": 2})).get("mock", "mock")
    nodes.append(cluster.add_node(num_cpus=1, resources={"slot": 2}))
    backends = Backends(config_of({"resources": {"slot": 1}, "bundles": 2}))
    backends.get("mock", "mock")
    assert ray.available_resources().get("slot") == 2
    run(backends.close())

    async def freed():
        while ray.available_resources().get("slot") != 4:
            await asyncio.sleep(0.1)

    run(asyncio.wait_for(freed(), 20))
    for node in nodes:
        cluster.remove_node(node)


def test_a_node_with_another_version_of_the_package_is_refused(cluster, tmp_path):
    info = tmp_path / "cipher_debate-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cipher-debate\nVersion: 9.9\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    node = cluster.add_node(num_cpus=1, resources={"old": 1}, env_vars={"PYTHONPATH": path})
    with pytest.raises(
        ConfigError, match=r"the node at 127\.0\.0\.1 has cipher-debate 9\.9, and this process has .* 0\."
    ):
        Backends(config_of({"resources": {"old": 1}})).get("mock", "mock")
    cluster.remove_node(node)
