"""What the shipped configs say about themselves in their comments."""

import itertools
import re
import shlex

import pytest

from debate.config.load import load_config
from debate.config.shipped import configs_folder, find_config
from debate.protocol.exchange import build_exchange
from evals.methods import method_names, resolve
from evals.task import create_task
from kernels import encoders

FOLDER = configs_folder()
DEBATES = sorted(
    path for room in (".", "debaters", "minds", "specialists", "topologies") for path in (FOLDER / room).glob("*.yaml")
)


def comments(path):
    """Return what the comments say, in one line."""
    found = re.findall(r"(?:^|\s)# ?(.*)", path.read_text(encoding="utf-8"))
    return " ".join(found)


def models(config):
    return {(agent.backend or config.backend, agent.model or config.model) for agent in config.agents.values()}


@pytest.mark.parametrize("path", DEBATES, ids=lambda path: path.stem)
def test_a_comment_promises_what_the_config_sets(path):
    said, config = comments(path), load_config(path)
    edges = [edge for inbox in build_exchange(config).planned.plan.values() for edge in inbox.edges]
    assert bool(re.search(r"first (words|tokens)", said)) == any(edge.first_tokens for edge in edges)
    if "the paper's Table 1" in said or "identical debaters" in said:
        assert len(models(config)) == 1
    if "the paper's Table 2" in said or "of different strength" in said:
        assert len(models(config)) == 2


@pytest.mark.parametrize("path", [*FOLDER.glob("*/encoders.yaml")], ids=lambda path: path.parent.name)
def test_every_rule_is_every_encoder_but_those_named(path):
    (left_out,) = re.findall(r"Every rule by which a belief becomes a vector(?: but ([\w, -]+))?, over", comments(path))
    played = {name.split("(")[0] for name in re.findall(r"cipher:([\w-]+)", path.read_text())}
    assert {*played, "expectation", *filter(None, left_out.split(", "))} == set(encoders.names())


def test_dynamic_ends_in_a_round_in_which_everyone_hears_everyone():
    exchange = build_exchange(load_config(FOLDER / "topologies" / "dynamic.yaml"))
    heard = {turn: len(inbox.heard) for turn, inbox in exchange.planned.plan.items()}
    assert {turn.round: count for turn, count in heard.items()} == {1: 0, 2: 2, 3: 2, 4: 7}


COMMANDS = [
    pytest.param(shlex.split(line), id=line)
    for path in sorted(FOLDER.rglob("*.yaml"))
    # The starter's command names the files beside it, and tests/debate/config/test_reference.py runs it.
    if path.parent.name != "starter"
    for line in re.findall(r"^#.* (debate (?:eval|run|search) .*)", path.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("words", COMMANDS)
def test_the_commands_of_comments_name_what_there_is(words):
    config = load_config(find_config(FOLDER.parent / words[2]))
    given = dict(itertools.pairwise(words))
    for name in given.get("--methods", ",".join(method_names(config))).split(","):
        resolve(config, name)
    for name in given.get("--tasks", config.task).split(","):
        assert create_task(name).name == name
