"""A sender that is no language model: its message is the exact posterior at every place, and a listener makes use of it."""

import asyncio
import random

import pytest
import torch

from agents.beliefs.cards import create_belief_backend
from agents.beliefs.verbaliser import Verbaliser
from agents.errors import ConfigError, RequestError
from agents.fingerprint import fingerprint
from agents.question import Question
from evals.evaluation import Selection, evaluate
from evals.tasks.evidence import asked, draw_case, load_world, posterior
from evals.training.vocabulary import make_tokenizer
from evals.witnesses.experiment import config_of

BACKEND = "evals.witnesses.exact:CARD"
QUESTIONS = 40


@pytest.mark.parametrize(("name", "witness"), [("four_low", 1), ("four_mid", 2), ("eight_high", 2)])
def test_its_message_is_the_exact_posterior_at_every_place(name, witness):
    world, rng, tokenizer = load_world(name), random.Random(3), make_tokenizer()
    believer = create_belief_backend(BACKEND, witness=witness)
    verbaliser = Verbaliser(tokenizer, fingerprint("x", torch.zeros(len(tokenizer), 4), tokenizer), believer.template)
    letters = [tokenizer.convert_tokens_to_ids(letter) for letter in world.letters]
    for _ in range(3):
        case = draw_case(world, rng, "train")
        (belief,) = believer.believe([Question("q", asked(world, case.lines))])
        assert len(belief.labels) == world.symbols**world.length
        cipher = verbaliser.cipher(belief, sender=believer.name).cipher
        assert cipher is not None
        found = torch.zeros(world.length, len(tokenizer)).scatter_(1, cipher.top_ids, cipher.top_probabilities)
        exact = torch.tensor(posterior(world, case.lines[witness - 1]))
        torch.testing.assert_close(found[:, letters].double(), exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "witness", "said"),
    [
        ("What is 1+1?", 2, "question of witnesses"),
        ("a-d\n15 ab ad", 2, "question of witnesses"),
        ("a-z\n15 ab ad", 1, "question of witnesses"),
        ("a-b\n15 ab ad", 1, "a symbol beyond a-b"),
        ("a-h\n11111 abcde abcde", 1, "at most 4096 strings"),
    ],
)
def test_what_is_no_evidence_of_its_own_is_refused(text, witness, said):
    with pytest.raises(RequestError, match=said):
        create_belief_backend(BACKEND, witness=witness).believe([Question("q", text)])


def test_options_that_it_does_not_have_are_refused():
    with pytest.raises(ConfigError, match="counted from 1"):
        create_belief_backend(BACKEND, witness=0)
    with pytest.raises(ConfigError, match="no checkpoint"):
        create_belief_backend(BACKEND, checkpoint="kim")
    with pytest.raises(ConfigError, match="line"):
        create_belief_backend(BACKEND, line=2)
    (nothing,) = create_belief_backend(BACKEND).believe([Question("q", " ")])
    assert nothing.abstention


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_trained_listener_gains_by_what_it_hands_over(tmp_path):
    config = config_of("four_mid", {})
    methods = ["single", "trained-exact"]
    rows = asyncio.run(evaluate(config, out=tmp_path, methods=methods, selection=Selection(limit=QUESTIONS)))
    right = {row.method: row.correct for row in rows}
    assert right["trained-exact"] >= right["single"] + 6, right
