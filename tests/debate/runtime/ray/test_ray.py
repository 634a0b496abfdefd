"""Engines in processes of their own: the same bytes as in one process, also when they die, hang or are not to be had."""

import contextlib
import os
import pickle
import stat
import time
from functools import partial
from pathlib import Path

import pytest
from support.outcomes import config_of, outcome, records, records_of_questions, with_runners

from agents.errors import BackendFailed, ConfigError, Elsewhere, PromptTooLong, RunError, UnknownName
from debate.config.execution import ExecutionConfig
from debate.config.load import validate
from debate.run_folder.reader import read_method
from debate.runtime.backends import Backends
from evals.evaluation import evaluate

ray = pytest.importorskip("ray")
SECONDS = 5.0
pytestmark = pytest.mark.usefixtures("session")
PLAYED = pytest.mark.parametrize(
    "configured", [config_of, partial(with_runners, runners=1)], ids=["by the driver", "by a runner"]
)


def played(*, long):
    """Return both ways to play; the other test that waits for engines to die leaves out the other way."""
    ways = {"by the driver": config_of, "by runners": with_runners}
    return pytest.mark.parametrize(
        "configured",
        [pytest.param(way, id=name, marks=pytest.mark.long if name == long else ()) for name, way in ways.items()],
    )


def test_ray_and_local_give_the_same_bytes_and_both_engines_speak(tmp_path, run, undisturbed):
    run(evaluate(config_of(), out=tmp_path / "run", limit=8))
    assert outcome(tmp_path / "run") == undisturbed
    assert {turn["cost"]["engine"] for turn in records(tmp_path / "run", "turn")} == {"mock:mock#0", "mock:mock#1"}


def test_a_run_may_go_on_under_the_other_runtime(tmp_path, run, undisturbed):
    run(
        evaluate(
            config_of(runtime="local", execution={"in_flight": 1}), out=tmp_path / "run", limit=8, methods=["text"]
        )
    )
    journal = tmp_path / "run" / "journal.log"
    half = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(half[: len(half) // 2]))
    # A run that was killed has sealed nothing.
    (tmp_path / "run" / "run.json").unlink()
    run(evaluate(config_of(), out=tmp_path / "run", limit=8, methods=["text"]))
    expected = undisturbed[0]["text/transcript.jsonl"]
    assert (tmp_path / "run" / "text" / "transcript.jsonl").read_bytes() == expected
    sessions = {turn["cost"]["engine"] for turn in records(tmp_path / "run", "turn")}
    assert sessions == {"mock:mock", "mock:mock#0", "mock:mock#1"}


def test_every_port_is_on_loopback_and_there_is_no_dashboard(session):
    psutil = pytest.importorskip("psutil")
    heard = []
    for process in psutil.Process().children(recursive=True):
        # Workers of the test before come to their end meanwhile.
        with contextlib.suppress(psutil.NoSuchProcess):
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    heard.append((process.name(), connection.laddr.ip))
    assert {ip for _, ip in heard} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert len(heard) >= 3
    assert not any("dashboard" in name for name, _ in heard)
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_nobody_else_comes_near_the_sockets_and_logs_of_a_run(session):
    folder = session._folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.stat().st_uid == os.getuid()
    sockets = [path for path in folder.rglob("*") if path.is_socket()]
    assert {path.name for path in sockets} >= {"raylet", "plasma_store"}


@PLAYED
def test_a_message_for_another_table_is_rendered_by_its_speakers_engine(tmp_path, run, session, configured):
    """Two models of one tokenizer: the hearer's table is fetched and shared once, and messages come with what is heard."""

    def two(config):
        agents = {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8, "model": "other", "options": {"seed": 1}}}
        raw = config.model_dump(by_alias=True)
        return validate({**raw, "agents": agents, "top_beliefs": 1}, source="x")

    run(evaluate(two(config_of(runtime="local")), out=tmp_path / "local", limit=2, methods=["cipher"]))
    config = two(configured(replicas=1))
    backends = Backends(config)
    run(evaluate(config, out=tmp_path / "run", limit=2, methods=["cipher"], backends=backends))
    run(backends.close())
    assert outcome(tmp_path / "run") == outcome(tmp_path / "local")
    for debate in read_method(tmp_path / "run" / "cipher"):
        assert all(len(turn.message.cipher.rendered) == 1 for turn in debate.transcript.turns if turn.key.round < 3)


def test_large_messages_go_into_the_object_store_once_however_many_hear_them(tmp_path, run, session):
    alone = config_of(runtime="local", width=2048)
    run(evaluate(alone, out=tmp_path / "local", limit=2, methods=["cipher"]))
    config = config_of(replicas=1, width=2048)
    backends = Backends(config)
    run(evaluate(config, out=tmp_path / "run", limit=2, methods=["cipher"], backends=backends))
    assert outcome(tmp_path / "run") == outcome(tmp_path / "local")
    # Three agents, three rounds, two questions: those of the last round are heard by nobody.
    large = [turn for turn in records(tmp_path / "run", "turn") if turn["bytes"] >= 64 * 1024 and turn["round"] < 3]
    assert len(large) == 12
    # Equal messages that are heard at the same time are one.
    assert len({turn["digest"] for turn in large}) <= backends._session.shelf.num_puts <= len(large)
    run(backends.close())


# Of two replicas three deaths are also played by runners, in test_runners.py.
@pytest.mark.parametrize(("replicas", "deaths"), [(1, 2), pytest.param(2, 3, marks=pytest.mark.long)])
def test_an_engine_whose_process_is_killed_is_started_again_and_nothing_is_lost(
    tmp_path, run, undisturbed, replicas, deaths
):
    config = config_of("support.mortal_backend:MortalBackend", replicas=replicas, folder=str(tmp_path), deaths=deaths)
    run(evaluate(config, out=tmp_path / "run", limit=8))
    assert outcome(tmp_path / "run") == undisturbed
    faults = records(tmp_path / "run", "fault")
    assert len(list(tmp_path.glob("death-*"))) == deaths
    assert faults
    assert all("its process died" in fault["error"] for fault in faults)


@played(long="by the driver")
def test_an_engine_that_hangs_is_ended_and_its_turn_taken_again(tmp_path, run, undisturbed, configured):
    options = {"folder": str(tmp_path), "hangs": 1}
    config = configured("support.mortal_backend:MortalBackend", execution={"turn_timeout_s": 8}, replicas=1, **options)
    run(evaluate(config, out=tmp_path / "run", limit=8))
    assert outcome(tmp_path / "run") == undisturbed
    assert "TurnTimedOut" in records(tmp_path / "run", "fault")[0]["error"]


@played(long="by runners")
def test_a_question_that_kills_its_engine_each_time_is_given_up_and_the_others_are_not(
    tmp_path, run, undisturbed, configured
):
    asked = records_of_questions(undisturbed)
    poison = asked[3].partition(" is ")[2].strip(" ?") or asked[3]
    options = {"folder": str(tmp_path), "poison": poison}
    config = configured("support.mortal_backend:MortalBackend", execution={"tries": 2}, **options)
    (result,) = run(evaluate(config, out=tmp_path / "run", limit=8, methods=["text"]))
    assert (result.total, result.failed) == (8, 1)
    (failed,) = records(tmp_path / "run", "failed")
    assert failed["text"] == asked[3]
    assert "its process died" in failed["reason"]


def test_errors_cross_with_their_type_their_fields_and_their_cause(tmp_path, run):
    (row,) = run(evaluate(config_of(context=200, replicas=1), out=tmp_path / "run", limit=1, methods=["text"]))
    (failed,) = records(tmp_path / "run", "failed")
    assert (row.failed, row.total) == (1, 1)
    assert "agent 'ada'" in failed["reason"]
    assert "200" in failed["reason"]
    too_long = pickle.loads(pickle.dumps(PromptTooLong(300, 8, 200, agent="ada", round=2)))
    assert (type(too_long), too_long.context, too_long.over, too_long.round) == (PromptTooLong, 200, 108, 2)
    with pytest.raises(ConfigError, match="has no option 'colour'. It takes"):
        run(evaluate(config_of(colour="red", replicas=1), out=tmp_path / "other", limit=1))
    bug = config_of("support.mortal_backend:MortalBackend", folder=str(tmp_path), has_bug=True, replicas=1)
    with pytest.raises(Elsewhere, match=r"(?s)Traceback.*ZeroDivisionError"):
        run(evaluate(bug, out=tmp_path / "bug", limit=1, methods=["text"]))


def test_a_cause_goes_along():
    error = BackendFailed("no more")
    error.__cause__ = KeyError("a")
    there = pickle.loads(pickle.dumps(error))
    assert (type(there), str(there)) == (BackendFailed, "no more")
    assert isinstance(there.__cause__, Elsewhere)
    assert "KeyError: 'a'" in str(there.__cause__)


def test_resources_that_nobody_offers_are_refused_at_once_with_what_is_offered(tmp_path, run):
    start = time.perf_counter()
    with pytest.raises(
        ConfigError, match=r"mock asks for 1 × GPU 3, .*room for 0\. Its nodes offer: 127\.0\.0\.1 \(CPU"
    ):
        run(evaluate(config_of(engine={"num_gpus": 3}, replicas=1), out=tmp_path / "run", limit=1))
    engine = {"resources": {"tpu_pod": 1}, "bundles": 2}
    with pytest.raises(ConfigError, match=r"1 × tpu_pod 2 \(2 bundles on one node\)"):
        run(evaluate(config_of(engine=engine, replicas=1), out=tmp_path / "run", limit=1))
    with pytest.raises(ConfigError, match=rf"999 × CPU 1, and the cluster has room for {os.cpu_count()}"):
        run(evaluate(config_of(engine={"num_cpus": 1}, replicas=999), out=tmp_path / "run", limit=1))
    assert time.perf_counter() - start < SECONDS


def test_what_others_hold_is_waited_for_and_then_named(session, monkeypatch):
    from debate.runtime.ray import session as module

    monkeypatch.setattr(module, "PLACEMENT_PATIENCE_S", 1.0)
    everything = {"CPU": float(os.cpu_count() or 1)}
    group = ray.util.placement_group([everything])
    assert group.wait(10)
    with pytest.raises(
        ConfigError,
        match=r"CPU 1, and within 1 s no node had that free and had started it\. Free now: .*Other runs may",
    ):
        Backends(config_of(engine={"num_cpus": 1}, replicas=1)).get("mock", "mock")
    ray.util.remove_placement_group(group)


def test_no_more_turns_than_allowed_are_with_an_engine_at_once(tmp_path, run):
    config = config_of(engine={"outstanding": 3}, replicas=1)
    backends = Backends(config)
    engine = backends.get("mock", "mock").engines[0]
    most = 0

    class Watching:
        def of_method(self, method):
            return self

        def __getattr__(self, name):
            return self.look

        def look(self, *given):
            nonlocal most
            most = max(most, len(engine._under_way))

    run(evaluate(config, out=tmp_path / "run", limit=8, methods=["text"], backends=backends, observer=Watching()))
    assert most <= 3
    assert engine.load.generated_tokens > 0
    run(backends.close())


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:9", "nobody answers there"),
        ("ray://127.0.0.1:10001", "write HOST:PORT"),
        ("here", "write HOST:PORT"),
    ],
)
def test_an_address_where_nobody_is_is_refused_in_seconds(address, sentence, monkeypatch):
    from debate.runtime.ray.session import RaySession

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    start = time.perf_counter()
    with pytest.raises(ConfigError, match=sentence):
        RaySession(ExecutionConfig(runtime="ray", ray_address=address))
    assert time.perf_counter() - start < SECONDS


def test_an_address_without_the_runtime_is_a_mistake():
    with pytest.raises(ConfigError, match=r"ray_address needs runtime: ray"):
        config_of(runtime="local", execution={"ray_address": "127.0.0.1:6379"})


def test_a_placement_of_a_model_that_nobody_speaks_by_is_a_mistake():
    config = config_of(execution={"engines": {"mcok": {"replicas": 2}}})
    with pytest.raises(
        UnknownName, match=r"execution\.engines: unknown model 'mcok'\. Known: default, mock\. Did you mean 'mock'"
    ):
        Backends(config).get("mock", "mock")


def test_ray_that_would_listen_everywhere_is_refused(monkeypatch):
    from debate.runtime.ray.session import RaySession

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "192.0.2.1")
    with pytest.raises(RunError, match="would listen on every interface"):
        RaySession(ExecutionConfig(runtime="ray"))


def test_nothing_is_left_of_the_actors_of_a_closed_run(tmp_path, run):
    backends = Backends(config_of())
    backends.get("mock", "mock")
    pids = [ray.get(engine.inner.actor.hello.remote())["pid"] for engine in backends.get("mock", "mock").engines]
    run(backends.close())
    until = time.monotonic() + 10
    while time.monotonic() < until and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
