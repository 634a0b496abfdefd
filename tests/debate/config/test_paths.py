"""What a config names is found beside its file, where the command runs, or among the shipped ones."""

import pytest
import yaml

from agents.errors import ConfigError
from debate.build import build_debate
from debate.config.load import load_config
from debate.config.shipped import configs_folder, shipped
from debate.runtime.backends import Backends
from debate.topology.build import build_topology

SMOKE = {"backend": "mock", "model": "mock", "agents": {"ada": {}, "ben": {}}}


def prompts(folder, said):
    folder.mkdir(parents=True)
    for stage in ("system", "initial", "debate"):
        (folder / f"{stage}.jinja").write_text("" if stage == "system" else said + " {{ question }}")
    return folder


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function: keys → a config in a folder that is not the current one."""
    (tmp_path / "project").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    def call(**keys):
        (tmp_path / "project" / "c.yaml").write_text(yaml.safe_dump({**SMOKE, **keys}))
        return tmp_path / "project" / "c.yaml"

    return call


@pytest.mark.parametrize("name", ["mine", "./mine", "deep/mine"])
def test_prompts_and_roles_are_found_beside_the_config(write, tmp_path, run, name):
    own = prompts(tmp_path / "project" / name, "beside")
    config = load_config(write(prompts=name, templates={"t": {"role": name}}, agents={"ada": {"like": "t"}, "ben": {}}))
    assert (config.prompts, config.agents["ada"].role) == (str(own.resolve()),) * 2
    assert load_config(write(), [f"prompts={name}"]).prompts == str(own.resolve())

    async def asked():
        debate = build_debate(config, Backends(config))
        return debate.agents["ben"].prompts.initial("Q?").turns[-1].parts

    assert run(asked()) == ("beside Q?",)


def test_every_kind_of_path_is_found_beside_the_config(write, tmp_path):
    project = tmp_path / "project"
    for file in ("llama/config.json", "lora/adapter_config.json", "point/x", "q.jsonl"):
        (project / file).parent.mkdir(exist_ok=True)
        (project / file).write_text("{}")
    config = load_config(
        write(
            model="./llama", data="q.jsonl", agents={"ada": {"adapter": "lora", "checkpoint": "point"}, "ben": {}},
            execution={"engines": {"./llama": {"replicas": 2}}}, methods={"other": {"model": "llama"}},
        )
    )  # fmt: skip
    ada = config.agents["ada"]
    found = (config.model, config.data, ada.adapter, ada.checkpoint, config.methods["other"]["model"])
    assert found == tuple(str(project.resolve() / name) for name in ("llama", "q.jsonl", "lora", "point", "llama"))
    assert config.execution.engine(config.model).replicas == 2


def test_what_lies_beside_the_config_comes_first_and_the_current_folder_next(write, tmp_path):
    here = prompts(tmp_path / "elsewhere" / "own" / "set", "here")
    assert load_config(write(prompts="own/set")).prompts == "own/set"
    beside = prompts(tmp_path / "project" / "own" / "set", "beside")
    assert load_config(write(prompts="own/set")).prompts == str(beside.resolve())
    assert load_config(write(prompts=str(here))).prompts == str(here)


def test_a_folder_that_only_has_the_name_is_not_taken(write, tmp_path):
    for name in ("arithmetic", "critic", "smollm2"):
        (tmp_path / "project" / name).mkdir()
    config = load_config(write(prompts="arithmetic", model="smollm2", agents={"ada": {"role": "critic"}}))
    assert (config.prompts, config.model, config.agents["ada"].role) == ("arithmetic", "smollm2", "critic")


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"prompts": "arithmetics"}, r"prompts: no folder of prompt files 'arithmetics'\. Did you mean 'arithmetic'\?"),
        ({"prompts": "my/own"}, "prompts: no folder of prompt files 'my/own'"),
        ({"agents": {"ada": {"role": "kritic"}}}, r"agents\.ada\.role: no folder of prompt files 'kritic'"),
        ({"templates": {"t": {"prompts": "nope"}}}, r"templates\.t\.prompts: no folder of prompt files 'nope'"),
        ({"methods": {"m": {"prompts": "nope"}}}, r"methods\.m\.prompts: no folder of prompt files 'nope'"),
    ],
)
def test_what_lies_nowhere_is_refused_with_where_it_was_looked_for(write, tmp_path, keys, sentence):
    with pytest.raises(ConfigError, match=sentence) as refused:
        load_config(write(**keys))
    assert f"Looked for: {tmp_path / 'project'}" in str(refused.value)
    assert load_config(write(**keys), is_record=True)


def test_a_topology_file_is_found_in_all_three_places(write, tmp_path):
    graph = yaml.safe_dump({"agents": {"ada": {}, "ben": {}}, "edges": [{"from": "ada", "to": "ben"}]})
    path = write(agents={}, topology={"file": "g.yaml"})
    with pytest.raises(
        ConfigError,
        match=r"cannot read the topology g\.yaml: no such file\. Looked for: .*project/g\.yaml, .*elsewhere",
    ):
        load_config(path)
    (tmp_path / "elsewhere" / "g.yaml").write_text(graph)
    assert len(load_config(path).topology.edges) == 1
    (tmp_path / "project" / "g.yaml").write_text(graph.replace("to: ben", "to: [ben]"))
    assert load_config(path).topology.edges[0].hearers == ("ben",)


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_config_is_the_same_wherever_it_is_read(name, monkeypatch, tmp_path):
    config = load_config(configs_folder() / name)
    monkeypatch.chdir(tmp_path)
    assert load_config(configs_folder() / name) == config == load_config(configs_folder() / name, is_record=True)


def test_public_keys_that_edges_demand_are_found_beside_the_config(write, tmp_path):
    key = "ed25519:" + "A" * 43 + "="
    (tmp_path / "project" / "keys").mkdir()
    (tmp_path / "project" / "keys" / "ada.pub").write_text(key)
    (tmp_path / "elsewhere" / "ben.pub").write_text(key)

    def demanding(named):
        return {"topology": {"edges": [{"from": "*", "to": "*", "signed": named}]}}

    def signed(named):
        return load_config(write(**demanding(named))).topology.edges[0].signed

    beside = str((tmp_path / "project" / "keys" / "ada.pub").resolve())
    assert signed("keys/ada.pub") == beside
    # Of each speaker: beside the config, where the command runs, or the key itself.
    assert signed({"ada": "keys/ada.pub", "ben": "ben.pub"}) == {"ada": beside, "ben": "ben.pub"}
    assert signed(key) == key
    method = load_config(write(methods={"other": demanding("keys/ada.pub")})).methods["other"]
    assert method["topology"]["edges"][0]["signed"] == beside
    # Such a config finds the keys, and one that is missing is told by its name.
    build_topology(load_config(write(**demanding("keys/ada.pub"))).topology, ["ada", "ben"], rounds=1)
    missing = load_config(write(**demanding("keys/no.pub")))
    with pytest.raises(ConfigError, match=r"topology\.edges\.0\.signed: 'keys/no\.pub' is no public key"):
        build_topology(missing.topology, ["ada", "ben"], rounds=1)
