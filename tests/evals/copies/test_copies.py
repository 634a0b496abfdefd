"""The table of transformed copies: rows as in the runs, drift as of the beliefs, seeds that change calibrations alone."""

import asyncio
import json

import pytest
import torch
import yaml

from agents import pretrained
from agents.errors import ConfigError, RunError, UnknownName
from agents.model_folder import read_config, read_tokenizer
from agents.pretrained import locate
from agents.tokenizers import byte_tokenizer
from debate.config.load import load_config
from debate.config.shipped import configs_folder
from evals.analysis.run_record import read_run
from evals.copies.drift import Scored, Whole, held_out_turns, scored_texts, texts_of
from evals.copies.experiment import config_of_seed, copies, play, seeded
from evals.copies.table import _drift, markdown, size, tabulate

CUT = "optin(macs=0.8, score='random')"
WHOLE = "optin(macs=1.0)"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "cache_home", lambda: tmp_path / "home")


@pytest.fixture
def file(tmp_path):
    """Return a config with a copy that draws, one that does not, and a row of its own kind."""
    raw = yaml.safe_load((configs_folder() / "transforms" / "dee.yaml").read_text())
    kept = {name: raw["methods"][name] for name in ("single", "text", "cipher")}
    for name, transform in (("cut", CUT), ("same", WHOLE)):
        kept[f"single-{name}"] = {
            "rounds": 1, "message": "text",
            "agents": {"first": {"temperature": 0, "transforms": [transform]}, "second": None},
        }  # fmt: skip
        kept[f"cipher-{name}"] = {"agents": {"second": {"transforms": [transform]}}}
    kept["both"] = {"rounds": 2, "agents": {name: {"transforms": [CUT]} for name in ("first", "second")}}
    path = tmp_path / "copies.yaml"
    path.write_text(yaml.safe_dump({**raw, "rounds": 2, "methods": kept}, sort_keys=False))
    return path


def test_the_table_is_that_of_the_runs_and_of_the_beliefs(file, tmp_path, home):
    out = tmp_path / "out"
    asyncio.run(play(file, out, 2, limit=4))
    scored = scored_texts("tiny/dee", None, lambda _: None)[::40]
    found = tabulate(out, scored)
    runs = [{m.name: m for m in read_run(out / f"seed-{seed}").methods} for seed in (0, 1)]
    # The later seed has the rows alone whose transforms take one.
    assert set(runs[1]) == set(runs[0]) - {"single", "text", "cipher"}
    assert (found.questions, found.texts) == (4, 5)
    cut, same = found.copies
    assert (cut.name, same.name) == ("cut", "same")
    for family in ("single", "cipher"):
        rights = [sum(v for (v,) in run[f"{family}-cut"].outcomes().values()) for run in runs]
        base = sum(v for (v,) in runs[0][family].outcomes().values())
        assert cut.cells[family].by_seed == tuple(rights)
        assert cut.cells[family].difference == pytest.approx((sum(rights) / 2 - base) / 4)
    assert "text" not in cut.cells
    # What changes nothing is the model itself.
    assert same.drift == 0
    assert same.agreement == 1
    assert same.cells["single"].difference == same.cells["cipher"].difference == 0
    assert same.cells["cipher"].cost == found.base["cipher"].cost
    assert len(cut.drift_by_seed) == 2
    assert cut.drift_by_seed[0] != cut.drift_by_seed[1]
    assert cut.drift == pytest.approx(sum(cut.drift_by_seed) / 2)
    assert cut.interval.low <= cut.drift <= cut.interval.high
    assert set(found.others) == {"both"}
    # Two copies that need less than 0.8 of a token's operations each.
    tokens = [
        sum(t.prompt_tokens - t.cached_tokens + t.generated_tokens for d in run["both"].debates for t in d.turns) / 4
        for run in runs
    ]
    assert 0.5 * sum(tokens) / 2 < found.others["both"].cost < 0.8 * sum(tokens) / 2
    page = markdown(found)
    assert "| cut | " in page
    assert "| both | " in page


def test_drift_is_the_divergence_of_beliefs_at_the_scored_tokens(home):
    from transformers import AutoModelForCausalLM

    copy = f"tiny/dee | {CUT}"
    tokenizer = read_tokenizer(locate("tiny/dee"))
    (text,) = held_out_turns(tokenizer, 1)
    models = [
        AutoModelForCausalLM.from_pretrained(locate(name), config=read_config(locate(name)), dtype=torch.float64)
        for name in ("tiny/dee", copy)
    ]
    with torch.inference_mode():
        one, other = (torch.softmax(m(torch.tensor([text.ids])).logits[0], -1) for m in models)
    places = range(text.first - 1, len(text.ids) - 1)
    expected = sum(float((one[i] * (one[i] / other[i]).log()).sum()) for i in places) / len(places)
    found = Whole("tiny/dee", [text]).drift(copy)
    assert found.divergences[0] == pytest.approx(expected, rel=1e-3)
    assert found.agreement == sum(int(one[i].argmax() == other[i].argmax()) for i in places) / len(places)


def test_texts_are_read_and_refused(tmp_path):
    tokenizer = byte_tokenizer(258)
    (tmp_path / "a.txt").write_text("ab\n\nc\ndef\n")
    assert texts_of(tmp_path / "a.txt", tokenizer) == [Scored(tokenizer(text).input_ids, 1) for text in ("ab", "def")]
    (tmp_path / "b.jsonl").write_text('{"txt": "a"}\n')
    with pytest.raises(ConfigError, match="cannot read texts from"):
        texts_of(tmp_path / "b.jsonl", tokenizer)
    (tmp_path / "c.txt").write_text("a\n")
    with pytest.raises(ConfigError, match="no text of more than one token"):
        texts_of(tmp_path / "c.txt", tokenizer)
    with pytest.raises(ConfigError, match="--texts FILE"):
        scored_texts(str(locate("tiny/dee")), None, lambda _: None)


def test_a_seed_is_added_to_that_of_the_file_and_what_takes_none_stays():
    assert seeded(["optin(macs=0.5, seed=3)", "svd(ratio=2.0)"], 0)[0].endswith("seed=3, ramp=False)")
    later = seeded(["optin(macs=0.5, seed=3)", "svd(ratio=2.0)"], 2)
    assert "seed=5" in later[0]
    assert later[1] == "svd(ratio=2.0)"


def test_what_cannot_be_tabulated_is_refused(file, tmp_path, home):
    with pytest.raises(ConfigError, match="no row of its methods has transforms"):
        config_of_seed(configs_folder() / "debaters" / "headline.yaml", 0)
    raw = yaml.safe_load(file.read_text())
    del raw["methods"]["text"]
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(
        ConfigError, match="have no row 'text', which copies are compared with in the end. It has: .*single"
    ):
        asyncio.run(play(tmp_path / "short.yaml", tmp_path / "none", 1, limit=1))
    assert not (tmp_path / "none").exists()
    file.write_text(file.read_text().replace(CUT, "svd(ratio=2.0)").replace(WHOLE, "svd(ratio=1.5)"))
    with pytest.raises(ConfigError, match="none of its transforms or attentions takes a seed"):
        config_of_seed(file, 1)
    with pytest.raises(UnknownName, match="unknown method 'singel'.*Did you mean 'single'"):
        asyncio.run(play(file, tmp_path / "none", 1, methods=["singel"], limit=1))
    with pytest.raises(RunError, match="has no runs of copies"):
        tabulate(tmp_path / "none", [])
    asyncio.run(play(file, tmp_path / "out", 1, methods=["single", "single-cut"], limit=1))
    with pytest.raises(RunError, match="has no row text"):
        tabulate(tmp_path / "out", [])


def test_a_cost_that_is_not_known_is_a_dash(file, tmp_path, home):
    raw = yaml.safe_load(file.read_text())
    raw["methods"]["both"]["agents"]["second"]["transforms"] = ["svd(ratio=1.5)", "optin(macs=0.5, score='random')"]
    file.write_text(yaml.safe_dump(raw, sort_keys=False))
    asyncio.run(play(file, tmp_path / "out", 1, limit=1))
    found = tabulate(tmp_path / "out", scored_texts("tiny/dee", None, lambda _: None)[:1])
    assert found.others["both"].cost is None
    assert found.copies[0].cells["cipher"].cost > 0
    (row,) = [line for line in markdown(found).splitlines() if line.startswith("| both |")]
    assert row.endswith("| – |")
    assert "A dash is a copy of several transforms whose share cannot be counted" in markdown(found)
    assert size({"macs_kept": 0.8, "of_steps": 2}) == "80% of the MACs, by the last of 2 transforms alone"


def test_the_size_of_a_chain_with_factors_is_that_of_its_last_step_and_says_so(file, tmp_path, home):
    raw = yaml.safe_load(file.read_text())
    raw["methods"] = {row: raw["methods"][row] for row in ("single", "text", "cipher", "single-cut")}
    raw["methods"]["single-cut"]["agents"]["first"]["transforms"] = [CUT, "svd(ratio=2.0)"]
    file.write_text(yaml.safe_dump(raw, sort_keys=False))
    asyncio.run(play(file, tmp_path / "out", 1, limit=1))
    (copy,) = tabulate(tmp_path / "out", scored_texts("tiny/dee", None, lambda _: None)[:1]).copies
    step = json.loads((locate(f"tiny/dee | {CUT} | svd(ratio=2.0)") / "transform.json").read_text())["steps"][-1]
    share = step["factor_bytes"] / step["map_bytes"]
    assert share < 0.6
    assert size(copy.facts).endswith(f"{share:.0%} of the bytes, by the last of 2 transforms alone")


def test_a_chain_has_the_size_and_the_cost_that_are_counted_of_the_copy(file, tmp_path, home):
    again = "optin(macs=0.5, score='random', seed=1)"
    raw = yaml.safe_load(file.read_text())
    raw["methods"] = {row: raw["methods"][row] for row in ("single", "text", "cipher", "single-cut")}
    raw["methods"]["single-cut"]["agents"]["first"]["transforms"] = [CUT, again]
    file.write_text(yaml.safe_dump(raw, sort_keys=False))
    asyncio.run(play(file, tmp_path / "out", 1, limit=1))
    found = tabulate(tmp_path / "out", scored_texts("tiny/dee", None, lambda _: None)[:1])
    whole = json.loads((locate(f"tiny/dee | {CUT} | {again}") / "transform.json").read_text())["whole"]
    share = whole["map_macs_used"] / whole["map_macs_before"]
    (debate,) = {m.name: m for m in read_run(tmp_path / "out" / "seed-0").methods}["single-cut"].debates
    tokens = sum(t.prompt_tokens - t.cached_tokens + t.generated_tokens for t in debate.turns)
    assert found.copies[0].cells["single"].cost == pytest.approx(share * tokens)
    assert f"| cut | {share:.0%} of the maps' MACs" in markdown(found)


def test_the_command_makes_the_page_and_the_figures(file, tmp_path, home, cli):
    texts = tmp_path / "texts.txt"
    texts.write_text("What is the result of 1+2*3+4-5*6?\n3+4\n")
    code, out, err = cli("copies", file, "--out", tmp_path / "out", "--seeds", 1, "--limit", 1, "--texts", texts)
    assert code == 0, err
    assert "| cut |" in out
    figures = json.loads((tmp_path / "out" / "copies.json").read_text())
    assert figures["texts"] == 2
    assert (tmp_path / "out" / "copies.md").read_text() in out


@pytest.mark.parametrize("path", sorted((configs_folder() / "transforms").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_name_copies_that_can_be_made_beside_the_rows_they_are_compared_with(path):
    config = load_config(path)
    assert {"single", "text", "cipher"} <= set(config.methods)
    named = copies(config)
    for copy, (base, name, cache, attention) in named.items():
        assert base == config.model
        assert name.startswith(f"{base} | ") or cache or attention
        assert f"single-{copy}" in config.methods
        for row in sorted({f"single-{copy}", f"text-{copy}", f"cipher-{copy}"} & set(config.methods)):
            agents = [agent for agent in config.methods[row]["agents"].values() if agent]
            transforms = [agent["transforms"] for agent in agents if "transforms" in agent]
            assert len(transforms) == 1 or (cache or attention)
            assert all(seeded(each, 0) for each in transforms)


def test_a_copy_may_have_another_cache_or_attention_and_its_seed_is_changed_too(file, tmp_path, home):
    raw = yaml.safe_load(file.read_text())
    rows = {row: raw["methods"][row] for row in ("single", "text", "cipher")}
    for copy, options in (
        ("stair", {"cache": "uniform(bits=2, chunk=8)"}),
        ("drawn", {"attention": "probabilistic(block=8)"}),
    ):
        rows[f"cipher-{copy}"] = {"agents": {"second": {"options": options}}}
    file.write_text(yaml.safe_dump({**raw, "methods": rows}, sort_keys=False))
    later, played = config_of_seed(file, 2)
    assert played == ("cipher-drawn",)
    assert copies(later)["drawn"].attention == "probabilistic(block=8, seed=2)"
    asyncio.run(play(file, tmp_path / "out", 1, limit=1))
    scored = scored_texts("tiny/dee", None, lambda _: None)[::50]
    stair, drawn = tabulate(tmp_path / "out", scored).copies
    length = round(sum(len(text.ids) for text in scored) / len(scored))
    assert stair.drift > 0 < drawn.drift
    assert 0 < drawn.facts["scores"] < 1
    assert 4 < stair.facts["cache_bits"] < 8
    assert f"bits a number of the cache at {length} tokens" in size(stair.facts)


def test_a_cache_whose_chunk_is_never_full_does_not_drift(home):
    scored = scored_texts("tiny/dee", None, lambda _: None)[::50]
    whole = Whole("tiny/dee", scored)
    same = whole.drift("tiny/dee", cache="uniform(bits=2, chunk=500)")
    assert max(same.divergences) < 1e-7
    assert whole.drift("tiny/dee", attention="combiner(segment=500)").agreement == 1


@pytest.mark.parametrize(
    ("nats", "shown"),
    [
        (0, "0.000"),
        (1.23456, "1.235"),
        (0.0123, "0.012"),
        (0.00123, "0.0012"),
        (0.0003, "0.0003"),
        (1.26e-7, "1.3e-07"),
    ],
)
def test_a_small_drift_is_not_shown_as_none(nats, shown):
    assert _drift(nats) == shown
