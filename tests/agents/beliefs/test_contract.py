"""The same promises of every belief backend, by its registered name."""

import asyncio
import subprocess
import sys

import pytest
import torch
from support.contracts import CONTRACTS

from agents.backend import Prompt, Request, Sampling
from agents.beliefs.cards import card, cards, create_belief_backend
from agents.beliefs.verbaliser import Verbaliser
from agents.errors import ConfigError, RequestError, UnknownName
from agents.observation import MODALITIES
from agents.question import Question
from agents.registry import create_backend, names


@pytest.fixture(scope="module", params=CONTRACTS)
def contract(request):
    found = CONTRACTS[request.param]
    for package in card(found.backend).packages:
        pytest.importorskip(package)
    return found


@pytest.fixture(scope="module")
def backend(contract, tmp_path_factory):
    """Return a contract's backend, one for all its tests, computed on one thread as what they compare it with."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = contract.make(tmp_path_factory.mktemp("contract") / "prepared")
    torch.set_num_threads(threads)
    return made


def test_it_believes_the_same_again_and_in_any_company(contract, backend, tmp_path):
    cases = contract.cases()
    together = backend.believe(cases)
    assert together == backend.believe(cases)
    assert together == [backend.believe([case])[0] for case in cases]
    assert together[::-1] == backend.believe(cases[::-1])
    assert together == contract.make(tmp_path / "again").believe(cases)


def test_its_beliefs_are_over_its_labels_and_differ(contract, backend):
    cases = contract.cases()
    beliefs = backend.believe(cases)
    assert all(belief.labels == backend.labels(case) for belief, case in zip(beliefs, cases, strict=True))
    assert len({belief.positions for belief in beliefs}) > 1


def test_it_abstains_on_nothing_and_only_there(contract, backend):
    first = contract.cases()[0]
    nothing, something = backend.believe([Question("case", "?", (contract.empty,), first.labels, first.options), first])
    assert nothing.abstention == f"the {backend.modality} is empty"
    assert not something.abstention
    assert backend.believe([]) == []


def test_it_refuses_another_modality_and_what_it_does_not_take(contract, backend):
    # A question is a text, so that only other modalities can be missing.
    if backend.modality != "text":
        with pytest.raises(RequestError, match=f"looks at {backend.modality}; this case has {contract.other.modality}"):
            backend.believe([Question("case", "?", (contract.other,))])
        with pytest.raises(RequestError, match="this case has only a question"):
            backend.believe([Question("case", "?")])
    for observation, sentence in contract.refused:
        with pytest.raises(RequestError, match=sentence):
            backend.believe([Question("case", "?", (observation,))])
    # It lives.
    assert backend.believe(contract.cases()[:1])


def test_it_is_saved_and_loaded_as_it_was(contract, backend, tmp_path):
    backend.save_pretrained(tmp_path / "saved")
    again = create_belief_backend(contract.backend, checkpoint=str(tmp_path / "saved"))
    assert again.believe(contract.cases()) == backend.believe(contract.cases())
    assert again.name == backend.name


def test_an_option_that_it_does_not_take_is_a_sentence(contract, tmp_path):
    options = {**contract.options, **contract.prepare(tmp_path)}
    with pytest.raises(ConfigError, match="has no option 'colour'. It takes"):
        create_belief_backend(contract.backend, **options, colour="red")


@pytest.fixture(scope="module")
def language_models(tiny):
    """Return engines by name, one of each for all contracts, and what runs their coroutines."""
    with asyncio.Runner() as runner:
        transformers = create_backend("transformers", model=str(tiny()), dtype="float32")
        engines = {"mock": create_backend("mock"), "transformers": transformers}
        yield engines, runner.run
        for engine in engines.values():
            runner.run(engine.close())


@pytest.mark.parametrize("engine", ["mock", "transformers"])
def test_its_message_is_heard_by_a_language_model(contract, backend, engine, language_models):
    engines, run = language_models
    model = engines[engine]

    async def play():
        verbaliser = Verbaliser(model.tokenizer, model.fingerprint)
        for belief in backend.believe(contract.cases()):
            message = verbaliser.cipher(belief, sender=backend.name)
            heard = await model.submit(Request(Prompt.of("He said: ", message), Sampling(max_tokens=2)))
            assert heard.usage.prompt_tokens >= len(message.cipher)

    run(play())


def test_every_card_says_what_it_must_and_imports_no_model():
    known = cards()
    assert [each.name for each in known] == list(names("debate.belief_backends"))
    assert {contract.backend for contract in CONTRACTS.values()} == {each.name for each in known}
    for each in known:
        assert each.modality in MODALITIES
        assert all((each.paper, each.message, each.checkpoint, each.licence, each.backend))
        assert not each.packages or each.extra
    code = "import sys; from agents.beliefs.cards import cards; cards(); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    inside = [name for name in found if name.startswith("agents.models.") and name.count(".") > 2]
    assert [name for name in inside if not name.endswith(".card")] == []


def test_an_unknown_backend_is_a_sentence():
    with pytest.raises(
        UnknownName, match=r"unknown belief backend 'discrete_function'.*Did you mean 'discrete_functions'"
    ):
        card("discrete_function")
