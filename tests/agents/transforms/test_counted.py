"""What a copy costs is counted of the copy: by a profiler, by what the steps say they kept, and by the bytes of its files."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from agents import pretrained
from agents.transforms.counted import counted_maps, kept_share
from agents.whole_model import whole_model

CUT, AGAIN = "optin(macs=0.7, score='random')", "optin(macs=0.5, score='random', seed=1)"
SVD = "svd(ratio=2.0)"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "cache_home", lambda: tmp_path / "home")


def made(base, *steps):
    """Return a copy's folder and record."""
    folder = pretrained.locate(pretrained.transformed(str(base), steps))
    return folder, json.loads((folder / "transform.json").read_text())


def loaded(folder):
    from agents.model_folder import read_config

    return whole_model(folder, read_config(folder), "m", dtype=torch.float32, attention="eager")


def profiled(model):
    """Return the multiply-accumulates of a token in all maps, the output table's among them, as torch counts them."""

    def operations(length):
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            model(input_ids=torch.zeros(1, length, dtype=torch.long), use_cache=False)
        return counter.get_total_flops()

    # b T + a T²: what attention costs grows with the square.
    return (4 * operations(8) - operations(16)) // (2 * 8) // 2


@pytest.mark.parametrize("steps", [(CUT,), (CUT, AGAIN), (SVD, AGAIN), (AGAIN, "repquant(bits=4, rows=2, length=8)")])
def test_maps_cost_what_a_profiler_counts_and_files_have_the_bytes(tiny, home, steps):
    folder, record = made(tiny("llama"), *steps)
    model = loaded(folder)
    whole = record["whole"]
    assert (
        whole["map_macs"] == counted_maps(model).macs == profiled(model) - model.get_output_embeddings().weight.numel()
    )
    assert whole["map_macs_before"] == counted_maps(loaded(tiny("llama"))).macs > whole["map_macs_used"]
    sizes = [
        sum(weight.nbytes for weight in load_file(each / "model.safetensors").values())
        for each in (tiny("llama"), folder)
    ]
    assert [whole["weight_bytes_before"], whole["weight_bytes"]] == sizes
    assert f"{whole['map_macs_used']:,} without the rows and columns" in (folder / "README.md").read_text()


def test_what_is_used_is_what_a_step_says_it_kept_and_no_product_of_shares(tiny, home):
    _, one = made(tiny("llama"), CUT)
    (step,) = one["steps"]
    # q, k, v, o of a head with two query heads of 8 numbers at width 32; gate, up and down of a unit.
    kept = sum(step["heads"]) * 8 * 32 * (2 * 2 + 2) + sum(step["units"]) * 3 * 32
    assert one["whole"]["map_macs_used"] == kept < one["whole"]["map_macs"]
    # The shortest rows are removed first, and those of zeros are the shortest.
    _, both = made(tiny("llama"), CUT, "optin(macs=0.8, score='magnitude')")
    shares = [step["macs_kept"] for step in both["steps"]]
    assert kept_share(both) == both["whole"]["map_macs_used"] / both["whole"]["map_macs_before"]
    assert kept_share(both) > shares[0] * shares[1] + 0.02


def test_the_share_of_a_chain_is_of_its_first_base_and_of_factors_what_they_take(tiny, home):
    folder, _ = made(tiny("llama"), CUT)
    _, again = made(folder, AGAIN)
    _, both = made(tiny("llama"), CUT, AGAIN)
    assert kept_share(again) == kept_share(both)
    _, factored = made(tiny("llama"), CUT, SVD)
    share = factored["steps"][-1]["macs_kept"] * factored["whole"]["map_macs"] / factored["whole"]["map_macs_before"]
    assert kept_share(factored) == pytest.approx(share)
    _, changed = made(tiny("llama"), SVD, AGAIN)
    assert kept_share(changed) is None
    # Rounding changes the products too, and keeps no share of its own.
    _, rounded = made(tiny("llama"), SVD, "repquant(bits=4, rows=2, length=8)")
    assert kept_share(rounded) is None
    assert kept_share({**both, "whole": None}) is None
