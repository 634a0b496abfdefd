"""Targets: what a user's files say a debate is. Configs, overrides, topologies, prompts, names."""

import json
from pathlib import Path
from typing import ClassVar

import yaml
from fuzz.mutation import by_value
from fuzz.target import Target, kind_and_rest
from support.fitted import MODEL

from agents.component import is_component
from agents.errors import ConfigError, DebateError, PromptError
from agents.message import Message
from agents.prompts import Prompts
from agents.yaml_file import parse_yaml
from debate.config.load import load_config, parse_override, read_config, to_yaml, validate
from debate.config.topology_file import read_topology_file
from debate.topology.build import build_topology

SHIPPED = Path(__file__).resolve().parents[2] / "configs"


def _yaml_bytes(value: object) -> bytes:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode("utf-8", "replace")


BY_VALUE = by_value(lambda blob: yaml.load(blob, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), _yaml_bytes)
YAML_PIECES = (
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!python/object/apply:os.system ",
    b"!!binary ",
    b"!!set ",
    b"? ",
    b"--- ",
    b"%YAML 1.2\n",
    b"{",
    b"[",
    b"1_000",
    b"2020-02-30",
    b".inf",
    b".nan",
    b"0x",
    b"count: 1000000000\n",
    b"agents: ",
    b"topology: ",
    b"methods: ",
    b"- ",
    b"\n  ",
)


class Configs(Target):
    """A config, whole: from its YAML to the topology of every round."""

    name, documented, share = "configs", (DebateError,), 0.4
    pieces = YAML_PIECES
    changes = (BY_VALUE,)

    def seeds(self) -> list[bytes]:
        names = ("smoke.yaml", "topologies/teams.yaml", "topologies/ring.yaml", "debaters/experts.yaml")
        files = [SHIPPED / name for name in names if (SHIPPED / name).is_file()]
        small = b"backend: mock\nmodel: mock\nagents:\n  ada: {temperature: 0.5}\n  ben: {count: 3}\ntopology: ring(hops=1)\n"
        rich = (
            b"backend: mock\nmodel: mock\nrounds: 3\nagents: {a: {count: 4}, z: {role: judge}}\nprotocol: sequential\n"
            b"stopping: agreement\ndecision: majority\nmethods: {few: {rounds: 1}}\ntopology:\n  generator: star\n"
            b"  edges: [{from: a1, to: [a2, a3], message: text, delay: 1, rounds: [2, 3]}, {from: a2, to: a1, remove: true}]\n"
        )
        return [small, rich, *(file.read_bytes() for file in files)]

    def read(self, blob: bytes) -> None:
        path = self.scratch / "config.yaml"
        path.write_bytes(blob)
        config = validate(read_config(path), source=str(path))
        judges = [name for name, agent in config.agents.items() if agent.is_judge]
        build_topology(config.topology, list(config.agents), rounds=config.rounds, judges=judges, seed=config.seed)
        # What is written into a run folder is the same config when it is read again.
        path.write_text(to_yaml(config), encoding="utf-8")
        assert load_config(path, is_record=True) == config, "a config that is another one when it is read again"


class Yaml(Target):
    """YAML alone: bounded, without recursion, never an object of a class."""

    name, documented, share = "yaml", (ConfigError,), 2.0
    pieces = YAML_PIECES

    def seeds(self) -> list[bytes]:
        return [
            b"a: &x [1, 2]\nb: *x\nc: {d: '1', <<: {e: 2}}\n",
            b"- 2020-01-01\n- 1e3\n- !!str 5\n- |\n  text\n- ? k\n  : v\n",
        ]

    def read(self, blob: bytes) -> None:
        parse_yaml(blob.decode("utf-8", "replace"), source="fuzz")


class Overrides(Target):
    """`--set key.path=value`, and names of agents, methods and runs."""

    name, documented, share = "overrides", (DebateError,), 0.4
    pieces = (b"=", b".", b"agents.", b"methods.", b"options.", b"{", b"[", b"..", b"/")

    def seeds(self) -> list[bytes]:
        return [
            b"agents.ada.temperature=0.2",
            b"methods.text.rounds=2",
            b"topology={generator: ring}",
            b"execution.runtime=local",
        ]

    def read(self, blob: bytes) -> None:
        text = blob.decode("utf-8", "surrogateescape")
        if is_component(text):
            assert Path("/a", text).parent == Path("/a"), "a name that leaves its folder"
            assert text not in ("", ".", "..")
        parse_override(text)
        path = self.scratch / "small.yaml"
        if not path.exists():
            path.write_text("backend: mock\nmodel: mock\nagents: {ada: {}, ben: {}}\n")
        load_config(path, [text])


class Topologies(Target):
    """Topology files: GraphML, node-link JSON and YAML; and generators by name."""

    name, documented, share = "topologies", (DebateError,), 2.0
    kinds = (".graphml", ".json", ".yaml", "name")
    pieces = (
        b"<node id='a'/>",
        b"<edge source='a' target='b'/>",
        b"<!DOCTYPE x>",
        b"<!ENTITY a 'b'>",
        b"&a;",
        b"]]>",
        b"<data key='d0'>",
        b"nan",
        b'"nodes"',
        b'"links"',
        b'"edges"',
        b'"id"',
        b'"source"',
        b'"target"',
        b"ring(hops=2)",
        b"both=True",
        b"(",
        b")",
        b"=",
        b",",
        b"1e9",
    )
    changes = (
        lambda blob, chance: blob[:1] + by_value()(blob[1:], chance),
        lambda blob, chance: blob[:1] + BY_VALUE(blob[1:], chance),
    )

    def seeds(self) -> list[bytes]:
        link = {
            "directed": True,
            "nodes": [{"id": "a", "temperature": 0.5}, {"id": "b"}],
            "edges": [{"source": "a", "target": "b", "delay": 1}],
        }
        graphml = (
            b'<?xml version="1.0"?><graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="d0" for="node"'
            b' attr.name="temperature" attr.type="double"/>'
            b'<graph edgedefault="directed"><node id="a"><data key="d0">0.5</data></node>'
            b'<node id="b"/><edge source="a" target="b"/></graph></graphml>'
        )
        own = b"agents: {a: {}, b: {count: 2}}\nedges:\n- {from: a, to: b1, message: text}\n"
        names = (
            b"ring",
            b"ring(hops=2)",
            b"star",
            b"erdos_renyi(p=0.5)",
            b"tree(branching=2)",
            b"sparse(k=2)",
            b"small_world(k=2)",
        )
        return [b"\0" + graphml, b"\1" + json.dumps(link).encode(), b"\2" + own, *(b"\3" + name for name in names)]

    def read(self, blob: bytes) -> None:
        kind, content = kind_and_rest(blob, len(self.kinds))
        if self.kinds[kind] == "name":
            build_topology(content.decode("utf-8", "replace"), [f"a{place}" for place in range(6)], rounds=2)
            return
        path = self.scratch / f"graph{self.kinds[kind]}"
        path.write_bytes(content)
        agents, edges = read_topology_file(path)
        raw = {"backend": "mock", "model": "mock", "agents": agents, "topology": {"edges": edges}}
        config = validate(raw, source=str(path))
        build_topology(config.topology, list(config.agents), rounds=config.rounds)


class PromptFiles(Target):
    """Prompt files: templates and worked examples; and texts put into sound ones."""

    name, documented, share = "prompts", (PromptError,), 0.3
    kinds = ("initial.jinja", "debate.jinja", "examples.yaml", "text")
    pieces = (
        b"{{ question }}",
        b"{% for other in others %}",
        b"{% endfor %}",
        b"{{ own }}",
        b"{% if own_first %}",
        b"{% endif %}",
        b"{#",
        b"#}",
        b"{{ question.__class__.__mro__ }}",
        b"{{ ''.format }}",
        b"{% include '/etc/passwd' %}",
        b"{{ undefined }}",
        b"| safe",
        b"{% raw %}",
        b"{% set x = 1 %}",
        b"{{ 1 // 0 }}",
        b"{{ 'a' * 99 }}",
        "\ue000".encode(),
        "\uf8ff".encode(),
        b"\x02",
        b"\x00",
    )
    sound: ClassVar[dict[str, str]] = {
        "system.jinja": "Be brief.",
        "initial.jinja": "{{ question }}",
        "debate.jinja": "{{ question }} {% for other in others %}{{ other }} {% endfor %}{{ own }}",
    }
    changes = (lambda blob, chance: blob[:1] + BY_VALUE(blob[1:], chance),)

    def seeds(self) -> list[bytes]:
        examples = b"initial:\n- {question: '1+1?', solution: '2'}\ncue: 'Answer:'\nclose: '\\n\\n'\n"
        return [
            b"\0{{ question }}",
            b"\1" + self.sound["debate.jinja"].encode(),
            b"\2" + examples,
            b"\3What is {{ question }}?",
        ]

    def read(self, blob: bytes) -> None:
        kind, content = kind_and_rest(blob, len(self.kinds))
        folder = self.scratch / "prompts"
        folder.mkdir(exist_ok=True)
        (folder / "examples.yaml").unlink(missing_ok=True)
        for name, text in self.sound.items():
            (folder / name).write_text(text)
        text = content.decode("utf-8", "replace")
        if self.kinds[kind] != "text":
            (folder / self.kinds[kind]).write_bytes(content)
            text = "?"
        prompts = Prompts(folder)
        prompts.check()
        heard = Message(text, MODEL, 0.0)
        prompt = prompts.debate(text, heard, [text, (heard, text)])
        said = "".join(part if isinstance(part, str) else part.text for turn in prompt.turns for part in turn.parts)
        if self.kinds[kind] == "text":
            assert said.count(text.strip()) >= 1, "a text that did not reach the prompt"
            assert sum(isinstance(part, Message) for turn in prompt.turns for part in turn.parts) == 2
