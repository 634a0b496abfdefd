"""The benchmarks count what they say: on the mock backend, and on a tiny real model."""

import json

from debate.bench.engine import Arm, Plan, Rates, arms


def test_ratios_are_taken_within_a_round():
    plan = Plan(("one", "two"), (1.0,), (4,), tokens=8, rounds=2, encoder="expectation")
    rates = Rates(plan)
    for number, factor in enumerate((1, 100)):
        for arm in arms(plan):
            speed = {"text": 10, "cipher": 9 - number, "mixed": 8}[arm.kind] * (3 if arm.backend == "two" else 1)
            rates.add(arm, speed * factor)
    first, second = rates.lines()
    assert [line["backend"] for line in (first, second)] == ["one", "two"]
    # A machine that is a hundred times as fast in the second round moves the rates, not the ratios.
    assert (first["cipher/text"].low, first["cipher/text"].high) == (0.8, 0.9)
    assert second["text ×"].median == 3
    assert rates.rate(Arm("one", 1.0, 4, "text")).high == 1000
    assert "mixed" in first


def test_bench_engine_on_a_tiny_model(cli, tiny, tmp_path):
    out = tmp_path / "engine.json"
    given = (
        "--model",
        str(tiny()),
        "--dtype",
        "float32",
        "--rows",
        "1,3",
        "-T",
        "0.5",
        "--tokens",
        "6",
        "--rounds",
        "1",
    )
    code, printed, _ = cli(
        "bench", "engine", *given, "--out", str(out), "--option", "transformers.batch_invariant=false"
    )
    assert code == 0
    report = json.loads(out.read_text())
    assert [(line["rows"], line["temperature"]) for line in report["lines"]] == [(1, 0.5), (3, 0.5)]
    assert report["transformers batch_invariant"] is False
    assert all(line["cipher/text"]["median"] > 0 for line in report["lines"])
    assert "cipher/text" in printed


def test_bench_engine_says_what_is_wrong_with_its_numbers(cli):
    code, _, said = cli("bench", "engine", "--rows", "1,many")
    assert code == 2
    assert "got '1,many'" in said
    code, _, said = cli("bench", "engine", "--rows", "0")
    assert code == 2
    assert "--rows must be numbers of at least 1" in said


def test_bench_prefix_on_a_tiny_model(cli, tiny, tmp_path):
    """The engine shares in blocks of 64, so with that block all that can be shared is, but for what runs at the same time."""
    out = tmp_path / "prefix.json"
    given = ("first_debate", "--model", str(tiny("llama-wide")), "--set", "dtype=float32", "--set", "max_tokens=8")
    code, _, said = cli(
        "bench", "prefix", *given, "-L", "2", "--block", "64", "--out", str(out), "--set", "format=plain"
    )
    assert code == 0, said
    counts = json.loads(out.read_text())["counts"]
    later = {count["message"]: count for count in counts if count["round"] == "2 and later"}
    for count in later.values():
        assert 0 < count["shareable"] <= count["shared"] < count["prompt"]
        assert count["computed"] == count["prompt"] - count["shared"]


def test_bench_packing_counts_what_padding_costs(cli, tmp_path):
    out = tmp_path / "packing.json"
    code, printed, _ = cli(
        "bench", "packing", "--texts", 4, "--shortest", 2, "--longest", 16, "--rounds", 1, "--out", out
    )  # fmt: skip
    assert code == 0
    figures = json.loads(out.read_text())
    assert "packed" in printed
    for counts in figures["models"].values():
        assert counts["padded"]["positions"] == 64
        assert counts["packed"]["positions"] == counts["one by one"]["positions"] == figures["tokens"]
        assert counts["packed"]["linear"] == counts["one by one"]["linear"]
        assert counts["packed"]["attention"] <= counts["padded"]["attention"]
        # All products of the encoder are over tokens; of the prompts' head, one a text whatever is padded.
        assert abs(counts["packed"]["linear_share"] - figures["fill"]) < 0.01
        assert counts["packed"]["error"] < 1e-4


def test_bench_sharded_compares_counts_and_reckons(cli, tmp_path):
    out = tmp_path / "sharded.json"
    code, printed, _ = cli("bench", "sharded", "--length", 60, "--ranks", 4, "--width", 8, "--out", out)
    assert code == 0
    figures = json.loads(out.read_text())
    assert max(figures["errors"].values()) < 1e-5
    assert [one["ranks"] for one in figures["costs"]] == [4, 8, 64, 512]
    assert "1,048,576" in printed
    code, _, said = cli("bench", "sharded", "--length", 10, "--ranks", 6)
    assert code == 2
    assert "take fewer ranks" in said
