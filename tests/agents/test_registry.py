"""What a name in a config stands for: shipped, registered, or a dotted path, the same at every seam."""

import sys

import pytest

from agents.beliefs.cards import card, is_belief_backend
from agents.beliefs.pooling import find_pool
from agents.errors import ConfigError, DebateError, MissingDependency, UnknownName
from agents.moved import MOVED, moved
from agents.registry import check_options, create_backend, load
from debate.decision.rules import decision_rule
from debate.protocol.rules import find_protocol
from debate.protocol.stopping import StoppingContext, stopping_rule
from debate.topology.generators import build_graph
from evals.task import create_task
from kernels.encoders import parse

WATCH = StoppingContext(())
# Every seam: how a name is looked up there, what is shipped as that, and a misspelt name where any is.
SEAMS = {
    "backend": (create_backend, "agents.backends.mock:MockBackend", "mok"),
    "belief backend": (card, "agents.models.kalm.card:CARD", "kaml"),
    "task": (create_task, "evals.tasks.arithmetic:Arithmetic", "arithmetik"),
    "topology": (lambda name: build_graph(name, ("a", "b")), "debate.topology.generators:ring", "rng"),
    "protocol": (find_protocol, "debate.protocol.rules:Relay", "relai"),
    "stopping rule": (lambda name: stopping_rule(name, WATCH), "debate.protocol.stopping:stable", "stabel"),
    "decision": (decision_rule, "debate.decision.answers:majority", "majorty"),
    "verifier": (
        lambda name: decision_rule(f"verifier(score={name!r})"),
        "agents.registry:takes",
        "",
    ),
    "pool": (find_pool, "agents.beliefs.pooling:product", "prodct"),
}


@pytest.mark.parametrize("kind", SEAMS)
def test_a_dotted_path_leads_to_what_it_names(kind):
    find, path, _ = SEAMS[kind]
    assert find(path) is not None
    assert find(path.replace(":", ".")) is not None


@pytest.mark.parametrize("kind", SEAMS)
@pytest.mark.parametrize(
    "wrong", ["no.such.module:thing", "os:nothing_there", "os:system", "builtins:print", ".:x", ":x"]
)
def test_what_a_path_does_not_lead_to_is_a_sentence_and_nothing_is_called(kind, wrong):
    with pytest.raises(DebateError, match=kind):
        SEAMS[kind][0](wrong)


@pytest.mark.parametrize("kind", SEAMS)
@pytest.mark.parametrize(
    "program",
    [
        "subprocess:Popen",
        "shutil:rmtree",
        "agents.atomic_file:shutil.rmtree",
        "agents.atomic_file:Path",
        "antigravity:x",
    ],
)
def test_nothing_of_pythons_own_library_is_called_or_imported(kind, program):
    # A topology's function is called with the agents' names: Popen would start the program of the first one's name.
    with pytest.raises(DebateError, match=f"{kind} .*is of Python's standard library"):
        SEAMS[kind][0](program)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("kind", ["topology", "stopping rule", "decision"])
def test_a_function_that_fails_is_a_sentence_with_its_error_as_the_cause(kind, monkeypatch, tmp_path):
    (tmp_path / "failing.py").write_text("def rule(*given):\n    raise TypeError('not like this')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=f"{kind} 'failing:rule' cannot be made: TypeError: not like this") as raised:
        SEAMS[kind][0]("failing:rule")
    assert isinstance(raised.value.__cause__, TypeError)


def test_what_makes_no_stopping_rule_is_refused(monkeypatch, tmp_path):
    (tmp_path / "no_rules.py").write_text("def rule(watch):\n    return 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="stopping rule 'no_rules:rule' makes no rule"):
        SEAMS["stopping rule"][0]("no_rules:rule")


@pytest.mark.parametrize("kind", [kind for kind, (_, _, misspelt) in SEAMS.items() if misspelt])
def test_a_misspelt_name_is_told_what_was_meant(kind):
    find, _, misspelt = SEAMS[kind]
    with pytest.raises(UnknownName, match=f"unknown {kind} '{misspelt}'. Known: .*Did you mean"):
        find(misspelt)


def test_a_class_is_looked_at_before_it_is_called(monkeypatch, tmp_path):
    """What is no backend is not called, whatever it would do with a config's options."""
    (tmp_path / "traps.py").write_text(
        "called = []\n"
        "def function(*args, **options):\n    called.append(options)\n"
        "class Other:\n    def __init__(self, **options):\n        called.append(options)\n"
        "from agents.backend import Backend\n"
        "class Half(Backend):\n    def __init__(self, **options):\n        called.append(options)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import traps

    for name in ("function", "Other"):
        with pytest.raises(ConfigError, match=f"'traps:{name}' is no class derived from agents.backend.Backend"):
            create_backend(f"traps:{name}", model="m")
        with pytest.raises(ConfigError, match=f"'traps:{name}' is no class derived from evals.task.Task"):
            create_task(f"traps:{name}")
        with pytest.raises(ValueError, match=f"'traps:{name}' is no class derived from kernels.encoders.Encoder"):
            parse(f"traps:{name}")
    with pytest.raises(ConfigError, match="'traps:Half' is not finished: it has no capabilities, close, fingerprint"):
        create_backend("traps:Half")
    assert traps.called == []


def test_options_are_read_from_the_signature(monkeypatch, tmp_path):
    def taking(*, model, width=3): ...

    def any_of(**options): ...

    check_options("backend 'x'", ["model", "width"], taking)
    check_options("backend 'x'", ["model", "anything"], any_of)
    with pytest.raises(ConfigError, match=r"backend 'x' needs the option 'model'"):
        check_options("backend 'x'", ["width"], taking)
    for function, further in ((taking, None), (any_of, taking)):
        with pytest.raises(ConfigError, match=r"has no option 'widht'. It takes: .*width. Did you mean 'width'"):
            check_options("backend 'x'", ["model", "widht"], function, passed_on_to=further)


def test_a_type_error_inside_a_backend_is_its_own(monkeypatch, tmp_path):
    """What goes wrong within is not taken for an option that it does not know."""
    (tmp_path / "faulty_start.py").write_text(
        "from agents.backends.mock import MockBackend\n"
        "class Faulty(MockBackend):\n    def __init__(self, model='mock'):\n        super().__init__(colour='red')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        create_backend("faulty_start:Faulty")


@pytest.mark.parametrize(
    ("find", "old"),
    [
        (lambda name: build_graph(name, ("a", "b")), "debate.graph:ring"),
        (lambda name: stopping_rule(name, WATCH), "debate.stopping:stable(rounds=2)"),
        (decision_rule, "debate.decision:majority"),
        (decision_rule, "debate.beliefs.weighted"),
        (find_protocol, "debate.protocol:SimultaneousRounds"),
        (find_protocol, "debate.protocols:Relay"),
        (find_pool, "agents.pooling:linear"),
    ],
)
def test_a_path_written_before_a_module_moved_leads_to_the_new_place(find, old):
    assert find(old) is not None


def test_what_is_not_there_any_more_names_the_new_place(monkeypatch, tmp_path):
    with pytest.raises(
        ConfigError, match=r"'debate.graph:rong': that module has moved, and is now debate.topology.gene"
    ):
        load("debate.graph:rong", "topology", "debate.topologies")
    for name, text in (("gone", "from debate.graph import ring\n"), ("lost", "from debate.decision import majority\n")):
        (tmp_path / f"imports_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"imports debate.graph, which has moved: debate.topology.generators"):
        load("imports_gone:x", "topology", "debate.topologies")
    with pytest.raises(ConfigError, match=r"imports debate.decision, which has moved: debate.decision.decision and "):
        load("imports_lost:x", "decision", "debate.decisions")


def test_every_new_place_is_there():
    for old, homes in MOVED.items():
        assert moved(old) == " and ".join(homes)
        for home in homes:
            if home != "debate.runtime.ray" and not home.startswith("debate.runtime.ray."):
                __import__(home)


def test_a_path_to_a_card_is_a_belief_backend(monkeypatch, tmp_path):
    assert is_belief_backend("agents.models.kalm.card:CARD")
    assert not is_belief_backend("agents.backends.mock:MockBackend")
    assert not is_belief_backend("no.such:card")


def test_a_missing_package_of_a_path_is_named_without_an_extra(monkeypatch, tmp_path):
    (tmp_path / "needy_topology.py").write_text("import package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependency, match="needs the package 'package_that_is_not_there'. Install it.$"):
        load("needy_topology:ring", "topology", "debate.topologies")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise ValueError('no GPU\\nhere')", "ValueError: no GPU$"),
        ("def __getattr__(name):\n    raise RuntimeError('lazy')", "RuntimeError: lazy"),
    ],
)
def test_a_module_that_fails_is_a_sentence(monkeypatch, tmp_path, source, reason):
    monkeypatch.delitem(sys.modules, "failing_topology", raising=False)
    (tmp_path / "failing_topology.py").write_text(f"{source}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=f"^topology 'failing_topology:ring' cannot be imported: {reason}"):
        load("failing_topology:ring", "topology", "debate.topologies")
