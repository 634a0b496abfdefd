"""Rows of the table: what each name plays, how k follows from a budget, what is compared."""

import asyncio

import pytest

from agents.errors import ConfigError, UnknownName
from debate.config.load import validate
from debate.run_folder.results import MethodResult
from debate.run_folder.run_state import MethodState
from evals.evaluation import Selection, evaluate
from evals.methods import (
    BEST_BY_TOKENS,
    BUDGETED,
    BY_ALL_TOKENS,
    BY_TIME,
    BY_TOKENS,
    REFINE_BY_TOKENS,
    SINGLE_BY_TOKENS,
    budget,
    is_baseline,
    is_bound,
    pairs,
    resolve,
    row_name,
)

CONFIG = validate(
    {
        "agents": {"ada": {"temperature": 0.2}, "ben": {"temperature": 0.8, "encoder": "topk(k=3)"}},
        "backend": "mock",
        "model": "mock",
        "methods": {"text": {}, "self-consistency(k=2)": {"max_tokens": 7}, "mine": {"rounds": 5}, "expert": {}},
    },
    source="x",
)


def test_self_consistency_is_k_independent_samples_and_a_vote():
    played = resolve(CONFIG, "self-consistency(k=12)")
    assert list(played.agents) == [f"ada-{number:02d}" for number in range(1, 13)]
    assert {agent.temperature for agent in played.agents.values()} == {0.7}
    assert (played.rounds, played.message, played.decision) == (1, "text", "majority")
    assert {a.temperature for a in resolve(CONFIG, "self-consistency(k=3, temperature=1.0)").agents.values()} == {1.0}
    assert len(resolve(CONFIG, BY_TOKENS, k=9).agents) == 9
    assert resolve(CONFIG, "self-consistency(k=2)").max_tokens == 7
    with pytest.raises(ConfigError, match="k must be at least 1"):
        resolve(CONFIG, "self-consistency(k=0)")
    with pytest.raises(ConfigError, match="has no parameter 'n'"):
        resolve(CONFIG, "self-consistency(n=3)")


def test_an_encoder_row_speaks_by_that_encoder_alone():
    played = resolve(CONFIG, "cipher:gumbel(tau=0.5)")
    assert (played.message, played.encoder) == ("cipher", "gumbel(tau=0.5)")
    assert {agent.encoder for agent in played.agents.values()} == {None}


def test_bounds_replace_everyone_but_the_deciding_agent():
    for role in ("expert", "dummy", "random", "misaligned"):
        played = resolve(CONFIG, role)
        assert (played.agents["ada"].role, played.agents["ben"].role) == (None, role)
        assert played.deciding_agent == "ada"
        assert is_bound(role)
    alone = validate({"agents": {"ada": {}}, "backend": "mock", "model": "mock"}, source="x")
    with pytest.raises(ConfigError, match="the config has one agent"):
        resolve(alone, "expert")


def test_a_config_file_gives_the_exchange_and_the_table_the_rest(tmp_path):
    file = tmp_path / "pair.yaml"
    file.write_text(
        "model: other\ntask: gsm8k\nseed: 9\nrounds: 4\nagents: {x: {temperature: 0.3}, y: {}}\nmessage: text\n"
    )
    played = resolve(CONFIG, str(file))
    assert (list(played.agents), played.rounds, played.message) == (["x", "y"], 4, "text")
    assert (played.model, played.task, played.seed) == ("mock", "arithmetic", 0)
    assert row_name(str(file)) == "pair"
    with pytest.raises(ConfigError, match="no method file"):
        resolve(CONFIG, str(tmp_path / "none.yaml"))


def test_names_of_the_config_and_unknown_ones():
    assert resolve(CONFIG, "mine").rounds == 5
    with pytest.raises(UnknownName, match="unknown method 'ciper'.*Did you mean 'cipher'"):
        resolve(CONFIG, "ciper")


def rows(**measured):
    return {
        name: MethodResult(name, total=total, generated_tokens=tokens, seconds=seconds)
        for name, (total, tokens, seconds) in measured.items()
    }


def test_k_meets_the_debates_budget():
    measured = rows(single=(10, 300, 2.0), text=(10, 1500, 9.0), cipher=(10, 1890, 25.0))
    assert budget(BY_TOKENS, measured)[0] == 6
    k, reason = budget(BY_TIME, measured)
    assert (k, reason) == (12, "k = 12: a question of cipher takes 12.50 times the seconds of a single answer")
    assert budget(BY_TOKENS, rows(single=(10, 300, 2.0), text=(10, 1500, 9.0)))[0] == 5
    # A row that is cheaper than a single answer still gets one, and no machine is asked for thousands.
    assert budget(BY_TOKENS, rows(single=(10, 300, 2.0), text=(10, 30, 9.0)))[0] == 1
    k, reason = budget(BY_TIME, rows(single=(10, 300, 0.0), text=(10, 30, 9.0)))
    assert (k, "more than the 64 samples allowed" in reason) == (64, True)
    for missing in ({}, rows(single=(1, 1, 1)), rows(text=(1, 1, 1)), rows(single=(1, 1, 1), expert=(1, 1, 1))):
        with pytest.raises(ConfigError, match="put both among the methods"):
            budget(BY_TOKENS, missing)


def test_the_budget_is_every_token_of_turns_that_were_said(tmp_path):
    """Thoughts count, a turn that was not said has no tokens, and a question that was given up is one of the total."""
    thinks = "<think>First three and four.</think>Answer: 7"
    config = CONFIG.model_copy(update={"task": "arithmetic", "max_tokens": 64, "options": {"script": {".*": thinks}}})
    (row,) = asyncio.run(evaluate(config, out=tmp_path / "said", methods=["single"], selection=Selection(limit=2)))
    assert row.generated_tokens == 2 * (len(thinks) + 1)
    state = MethodState("single")
    state.result.generated_tokens = 300
    for number, kind in enumerate(["decision"] * 9 + ["failed"]):
        state.end({"kind": kind, "question": f"q{number}", "text": "?", "answer": "7", "score": "correct"}, 0)
    debate = MethodResult("text", total=10, generated_tokens=1500)
    assert budget(BY_TOKENS, {"single": state.result, "text": debate})[0] == 5


def test_what_is_compared():
    assert pairs(["single", "text", "cipher"]) == [("cipher", "text"), ("cipher", "single"), ("text", "single")]
    found = pairs(["single", "cipher", "cipher:gumbel", "star", "expert"])
    assert found == [("cipher", "single"), ("cipher:gumbel", "cipher"), ("star", "cipher")]
    assert pairs(["single", BY_TOKENS]) == [(BY_TOKENS, "single")]
    assert pairs(["star", "ring", "single"]) == [("star", "single"), ("ring", "star")]
    assert pairs(["expert"]) == []
    assert is_baseline(BY_TIME)


def test_fair_opponents_have_one_agent():
    best = resolve(CONFIG, "best-of(n=3)")
    assert (list(best.agents), best.decision, best.message) == (["ada-1", "ada-2", "ada-3"], "likeliest", "text")
    refined = resolve(CONFIG, "self-refine(k=4)")
    assert (list(refined.agents), refined.rounds, refined.message) == (["ada"], 4, "text")
    assert refined.agents["ada"].temperature == 0.2
    longer = resolve(CONFIG, SINGLE_BY_TOKENS, k=900)
    assert (list(longer.agents), longer.rounds, longer.max_tokens) == (["ada"], 1, 900)
    # Never less than what every other row may say at once.
    assert resolve(CONFIG, SINGLE_BY_TOKENS, k=3).max_tokens == CONFIG.max_tokens
    assert len(resolve(CONFIG, BEST_BY_TOKENS, k=7).agents) == 7
    assert resolve(CONFIG, REFINE_BY_TOKENS, k=5).rounds == 5
    for name in ("best-of(n=0)", "self-refine(k=0)"):
        with pytest.raises(ConfigError, match="must be at least 1"):
            resolve(CONFIG, name)
    assert all(is_baseline(name) for name in (*BUDGETED, "best-of(n=3)", "self-refine(k=4)"))


def test_budgets_that_count_prompts_and_whole_answers():
    measured = rows(single=(10, 300, 2.0), cipher=(10, 1890, 25.0))
    measured["single"].prompt_tokens, measured["cipher"].prompt_tokens = 200, 6110
    assert budget(BY_ALL_TOKENS, measured)[0] == 16
    assert budget(BEST_BY_TOKENS, measured)[0] == budget(REFINE_BY_TOKENS, measured)[0] == 6
    tokens, reason = budget(SINGLE_BY_TOKENS, measured)
    assert (tokens, reason) == (189, "up to 189 tokens, as many as a question of cipher generates in all")
    with pytest.raises(ConfigError, match=r"or fix it: best-of\(n=5\)"):
        budget(BEST_BY_TOKENS, {})
