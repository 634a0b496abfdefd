"""A debate rehearsed without its models: what its prompts have at most, and what is wrong, against engines that were started."""

import pytest

from agents.errors import PromptTooLong
from agents.question import Question
from debate.build import build_debate
from debate.config.load import load_config, validate
from debate.orchestrator import play
from debate.preview.rehearsal import rehearse, seconds_of
from debate.protocol.exchange import build_exchange
from debate.run_folder.reader import read_method
from debate.runtime.backends import Backends
from debate.transcript import TurnKey
from evals.evaluation import evaluate
from evals.sample import Sample

QUESTION = "What is 1+2*3?"


def config(**keys):
    raw = {"backend": "mock", "model": "mock", "agents": {"ada": {}, "ben": {}}, "message": "text", "max_tokens": 60}
    return validate({**raw, **keys}, source="x")


def rehearsed(config, *questions):
    return rehearse(config, build_exchange(config), questions)


def kinds(found):
    return [finding.kind for finding in found.findings]


@pytest.mark.parametrize("message", ["text", "cipher"])
@pytest.mark.parametrize("backend", ["mock", "transformers"])
def test_no_prompt_of_a_debate_is_longer_than_the_rehearsed_one(run, tiny, backend, message):
    model = "mock" if backend == "mock" else str(tiny("llama-wide"))
    played = config(backend=backend, model=model, message=message, max_tokens=24, dtype="float32", prompts="open")
    (longest,) = rehearsed(played, QUESTION, "Q?").prompts

    async def prompts():
        backends = Backends(played)
        transcript = await play(build_debate(played, backends), Question("q", QUESTION))
        await backends.close()
        return {turn.key: turn.usage.prompt_tokens for turn in transcript.turns}

    counted = run(prompts())
    # Each of the three messages in a prompt was measured as one token and room for max_tokens.
    assert max(counted.values()) <= longest.tokens
    first = min(counted.values())
    alone = rehearsed(played.model_copy(update={"rounds": 1}), QUESTION).prompts[0]
    assert alone.tokens == first


@pytest.mark.parametrize("message", ["text", "cipher"])
@pytest.mark.parametrize(("memory", "count"), [("debate", 3), ("questions", 1), ("questions", 2), ("questions", 4)])
@pytest.mark.parametrize("prompts", ["tiny", "arithmetic"])
def test_what_is_remembered_is_measured(run, tmp_path, message, memory, count, prompts):
    played = config(
        agents={"ada": {"memory": memory}, "ben": {}}, message=message, max_tokens=24, rounds=3, prompts=prompts,
        task="arithmetic", methods={message: {}},
    )  # fmt: skip
    asked = [Sample(f"q{n}", QUESTION if n % 2 else "1+1?", "7") for n in range(count, 0, -1)]
    found = rehearsed(played, *(sample.question for sample in asked))
    run(evaluate(played, out=tmp_path / "run", samples=asked))
    read = [
        turn.usage.prompt_tokens
        for debate in read_method(tmp_path / "run" / message)
        for turn in debate.transcript.turns
    ]
    assert max(read) <= found.prompts[0].tokens
    assert found.prompts[0].turn == TurnKey(3, "ada")
    assert sum(read) <= count * found.prompt_tokens
    plain = rehearsed(config(message=message, max_tokens=24, rounds=3, prompts=prompts), QUESTION).prompts[0]
    # Questions and messages that are shorter than they may be are all that it is too high by.
    spared = len(read) * (24 + len(QUESTION)) * 3
    assert plain.tokens < found.prompts[0].tokens <= max(read) + spared


def test_of_a_memory_that_is_too_long_one_hears_before(cli):
    raw = ("topology", "check", "minds/related", "--set", "overflow=fail", "--set", "agents.atlas.model=tiny/dee")
    raw += ("--set", "agents.dee.memory=questions")
    code, out, _ = cli(*raw)
    assert (code, "the longest prompt" in out) == (0, False)
    code, out, _ = cli(*raw, "--questions", 50)
    assert (code, "a question whose prompt is too long fails" in out) == (0, True)


def test_what_may_not_fit_is_warned_of_and_what_cannot_is_an_error(run):
    def of(context):
        return config(options={"context": context}, max_tokens=60, prompts="tiny")

    (longest,) = rehearsed(of(10_000), QUESTION).prompts
    fits = longest.tokens + 60
    assert kinds(rehearsed(of(fits), QUESTION)) == []
    tight = rehearsed(of(fits - 1), QUESTION)
    assert kinds(tight) == ["warning"]
    assert "that is 1 more than the context" in tight.findings[0].text
    assert kinds(rehearsed(of(longest.least + 60), QUESTION)) == ["warning"]
    hopeless = of(longest.least + 59)
    assert kinds(rehearsed(hopeless, QUESTION, QUESTION * 9)) == ["error"]

    async def play_it():
        await play(build_debate(hopeless, Backends(hopeless)), Question("q", QUESTION))

    with pytest.raises(PromptTooLong, match="round 2"):
        run(play_it())


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"backend": "mok"}, "unknown backend 'mok'.*Did you mean 'mock'"),
        ({"backend": "transformers", "model": "tiny/ad"}, "unknown tiny debater 'tiny/ad'.*Did you mean 'tiny/ada'"),
        ({"backend": "transformers", "model": "./nowhere"}, r"unknown model './nowhere': no such folder"),
        ({"options": {"contxt": 3}}, "backend 'mock' has no option 'contxt'"),
        ({"prompts": "nope"}, "agents.ada: no prompts in .*nope"),
        ({"agents": {"ada": {"role": "kritic"}}}, "agents.ada: unknown role 'kritic'.*Did you mean 'critic'"),
        ({"message": "cipher", "encoder": "exp"}, "encoder: unknown encoder 'exp'"),
    ],
)
def test_what_would_be_refused_when_it_starts_is_an_error(keys, sentence):
    import re

    found = [finding for finding in rehearsed(config(**keys)).findings if finding.kind == "error"]
    assert len(found) >= 1
    assert re.search(sentence, found[0].text)


def test_what_cannot_be_known_is_said_to_be_unknown():
    found = rehearsed(config(backend="transformers", model="nobody/such-model-here"))
    assert (found.prompts, found.prompt_tokens, found.operations) == ((), None, None)
    assert kinds(found) == ["warning"]
    assert "not on this machine yet" in found.findings[0].text


def test_controls_read_nothing_and_larger_debates_take_longer():
    alone = rehearsed(config(agents={"ada": {}, "ben": {"role": "dummy"}}), QUESTION)
    assert alone.prompts[0].turn.agent == "ada"
    experts = [
        rehearsed(load_config("debaters/experts", [f"rounds={rounds}"]), QUESTION).operations for rounds in (1, 3)
    ]
    assert 0 < 3 * experts[0] < experts[1]
    assert seconds_of(0) == 0
