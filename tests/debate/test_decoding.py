"""`decoding:` in a config: a debate of real debaters who adapt what they hear; who may have the key, and what a run records."""

import asyncio

import pytest

from agents.errors import ConfigError
from agents.question import Question
from debate.build import build_debate
from debate.config.load import load_config, validate
from debate.config.shipped import configs_folder
from debate.orchestrator import play
from debate.runtime.backends import Backends
from evals.methods import method_names, resolve
from evals.provenance import speakers
from evals.training import whole
from evals.training.recipe import load_recipe

ASKED = Question("q", "What is the result of 14+12*5+7-13*6?")
STEPS = "hso(steps=3, rate=0.1, bound=1.0)"


def config(decoding=None, **more):
    own = {} if decoding is None else {"decoding": decoding}
    raw = {
        "model": "tiny/ivy", "backend": "transformers", "dtype": "float32", "prompts": "tiny", "format": "plain", "rounds": 2,
        "message": "cipher", "max_tokens": 40, "seed": 3,
        "agents": {"ivy": {"temperature": 0.3, **own}, "jay": {"model": "tiny/jay", "temperature": 0.5, **own}},
    }  # fmt: skip
    return validate({**raw, **more}, source="x")


@pytest.fixture(scope="module")
def engines():
    made = Backends(config())
    yield made
    asyncio.run(made.close())


def played(engines, *decoding, **more):
    """Return (round, agent) → digest of what was said."""
    transcript = asyncio.run(play(build_debate(config(*decoding, **more), engines), ASKED))
    return {(turn.key.round, turn.key.agent): turn.message.digest for turn in transcript.turns}


def test_steps_change_what_is_said_after_hearing_and_nothing_before(engines):
    plain, adapted = played(engines), played(engines, STEPS)
    assert {key: one for key, one in plain.items() if key[0] == 1} == {
        key: one for key, one in adapted.items() if key[0] == 1
    }
    assert all(adapted[key] != one for key, one in plain.items() if key[0] == 2)
    assert adapted == played(engines, STEPS), "the same config gives the same bytes"


def test_no_steps_and_words_alone_are_the_plain_debate_byte_for_byte(engines):
    assert played(engines, "hso(steps=0)") == played(engines)
    assert played(engines, STEPS, message="text") == played(engines, message="text")


def test_a_run_records_it(engines):
    debate = build_debate(config(STEPS), engines)
    assert {name: found["decoding"] for name, found in speakers(config(STEPS), debate).items()} == {
        "ivy": STEPS,
        "jay": STEPS,
    }
    assert "decoding" not in speakers(config(), build_debate(config(), engines))["ivy"]
    assert "decoding" not in config().model_dump()["agents"]["ivy"]


def test_who_may_have_it(engines):
    agents = config().model_dump()["agents"]
    with pytest.raises(ConfigError, match=r"agents\.eve\.decoding: only language models that debate decode"):
        build_debate(config(agents={**agents, "eve": {"role": "random", "decoding": STEPS}}), engines)
    with pytest.raises(ConfigError, match="agent 'eve': its backend decodes in its own way alone"):
        build_debate(config(agents={**agents, "eve": {"backend": "mock", "model": "mock", "decoding": STEPS}}), engines)
    with pytest.raises(ConfigError, match="agent 'eve': unknown decoding 'hsoo'"):
        build_debate(config(agents={**agents, "eve": {"decoding": "hsoo"}}), engines)


def test_a_text_is_searched_for_and_vectors_are_not(engines):
    plain = played(engines, message="text")
    searched = played(engines, "acbs(width=2)", message="text")
    assert plain != searched
    assert searched == played(engines, "acbs(width=2)", message="text")
    with pytest.raises(ConfigError, match="agent 'ivy': decoding acbs searches for a text"):
        build_debate(config("acbs"), engines)


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"weighs": "labels"}, "acbs searches for a text, and an agent that weighs options says none"),
        ({"weighs": "labels", "decoding": "ftp_blocks"}, "says a message by blocks, and an agent that weighs options"),
        ({"top_p": 0.9}, "top_p and top_k mean nothing"),
    ],
)
def test_a_way_beside_what_it_has_no_part_in_is_a_sentence(engines, own, sentence):
    agents = {"ivy": {"temperature": 0.3, "decoding": "acbs", **own}, "jay": {"model": "tiny/jay", "temperature": 0.5}}
    with pytest.raises(ConfigError, match=sentence):
        build_debate(config(message="text", agents=agents), engines)


def test_samples_of_one_who_searches_are_drawn_and_those_of_one_who_adapts_are_adapted():
    searched, adapted = config("acbs", message="text"), config(STEPS)
    for row in ("self-consistency(k=3)", "best-of(n=3)"):
        assert {agent.decoding for agent in resolve(searched, row).agents.values()} == {None}
        assert {agent.decoding for agent in resolve(adapted, row).agents.values()} == {STEPS}


def test_engines_that_adapt_at_the_same_time_leave_each_other_as_they_were(engines):
    """Two models, each with a thread of its own: what was said before is said again after."""
    before = played(engines)
    played(engines, STEPS)
    assert played(engines) == before


@pytest.fixture(scope="module")
def ftp(tmp_path_factory):
    """Return the setting that gives the shipped debate of `ftp` its debater, as it begins: no weights of it are shipped."""
    folder = tmp_path_factory.mktemp("ftp")
    recipe = load_recipe(configs_folder() / "training" / "ftp.yaml")
    whole.save(*whole.build(recipe), recipe, folder)
    return f"agents.ftp.model={folder}"


def test_one_that_foretells_debates_the_one_it_was_made_of_on_her_table_by_blocks(ftp):
    short = load_config(configs_folder() / "minds" / "ftp.yaml", [ftp, "max_tokens=12"])
    models = Backends(short)
    try:
        made = {name: build_debate(resolve(short, name), models) for name in ("cipher", "cipher-blocks", "text")}
        tables = {agent.backend.fingerprint.table for agent in made["cipher"].agents.values()}
        assert len(tables) == 1
        said = [
            [turn.message.digest for turn in asyncio.run(play(made[name], ASKED)).turns]
            for name in ("cipher", "cipher-blocks", "cipher-blocks")
        ]
        assert said[1] == said[2]
        assert said[0] != said[1]
        assert asyncio.run(play(made["text"], ASKED)).turns
        with pytest.raises(ConfigError, match="agent 'dee': decoding ftp_blocks needs a model with a head"):
            build_debate(
                load_config(configs_folder() / "minds" / "ftp.yaml", [ftp, "agents.dee.decoding=ftp_blocks"]), models
            )
        with pytest.raises(ConfigError, match="agent 'ftp': decoding ftp_blocks: this model foretells 8 tokens"):
            build_debate(
                load_config(configs_folder() / "minds" / "ftp.yaml", [ftp, "agents.ftp.decoding=ftp_blocks(n=9)"]),
                models,
            )
    finally:
        asyncio.run(models.close())


DECODING = [path for path in sorted((configs_folder() / "minds").glob("*.yaml")) if "decoding:" in path.read_text()]


@pytest.mark.parametrize("path", DECODING, ids=lambda path: path.stem)
def test_the_shipped_debates_are_built_with_their_own_models(path, ftp):
    """And on another engine they are refused, but for the rows that have no way of decoding."""
    shipped = load_config(path, [ftp] if path.stem == "ftp" else [])
    models = Backends(shipped)
    mocked = load_config(path, ["backend=mock", "model=mock"])
    others = Backends(mocked)
    refused = 0
    try:
        for name in method_names(shipped):
            made = build_debate(resolve(shipped, name), models)
            if any(agent.decoding for agent in made.agents.values()):
                refused += 1
                alone = {key: {**one.model_dump(), "model": None} for key, one in resolve(mocked, name).agents.items()}
                with pytest.raises(ConfigError, match="decodes in its own way alone"):
                    build_debate(validate({**resolve(mocked, name).model_dump(), "agents": alone}, source="x"), others)
    finally:
        asyncio.run(models.close())
        asyncio.run(others.close())
    assert refused == sum("decoding" in repr(row) for row in shipped.methods.values())
