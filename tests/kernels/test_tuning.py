"""Which launch of a kernel is chosen: the one that was timed fastest, once a device."""

import json

import pytest
import torch

from kernels import tuning
from kernels.tuning import Tuned

pytest.importorskip("triton")
CPU = torch.device("cpu")
LAUNCHES = [{"BLOCK": 64, "num_warps": 4}, {"BLOCK": 128, "num_warps": 4}, {"BLOCK": 32, "num_warps": 8}]


@pytest.fixture
def kept(tmp_path, monkeypatch):
    file = tmp_path / "kernels" / "tuned.json"
    monkeypatch.setattr(tuning, "_tuned", lambda device: Tuned(file))
    monkeypatch.delenv("CIPHER_DEBATE_TUNE", raising=False)
    return file


def timed(seconds, ran):
    """A clock that knows how long each launch takes, by its first block."""

    def run(launch):
        ran.append(launch["BLOCK"])
        if seconds[launch["BLOCK"]] is None:
            from triton.runtime.errors import OutOfResources

            raise OutOfResources(300_000, 232_448, "shared memory")

    def clock(call, device):
        call()
        return seconds[ran[-1]]

    return run, clock


def test_the_fastest_is_kept_for_the_next_process(kept):
    ran = []
    assert tuning.chosen("product", "[10, 4]", LAUNCHES, CPU) == LAUNCHES[0]
    run, clock = timed({64: 3.0, 128: 1.0, 32: 2.0}, ran)
    assert tuning.tune("product", "[10, 4]", LAUNCHES, CPU, run, clock) == LAUNCHES[1]
    assert tuning.chosen("product", "[10, 4]", LAUNCHES, CPU) == LAUNCHES[1]
    # Of another shape, or another kernel, nothing is known.
    assert tuning.chosen("product", "[20, 4]", LAUNCHES, CPU) == LAUNCHES[0]
    assert tuning.chosen("search", "[10, 4]", LAUNCHES, CPU) == LAUNCHES[0]
    assert tuning.known(CPU) == {"product [10, 4]": LAUNCHES[1]}
    before = len(ran)
    assert tuning.tune("product", "[10, 4]", LAUNCHES, CPU, run, clock) == LAUNCHES[1]
    assert len(ran) == before, "it was timed again"


def test_what_a_device_cannot_launch_is_left_out_but_the_default_has_to_run(kept):
    run, clock = timed({64: 2.0, 128: None, 32: 3.0}, [])
    assert tuning.tune("product", "a", LAUNCHES, CPU, run, clock) == LAUNCHES[0]
    run, clock = timed({64: None, 128: 1.0, 32: 3.0}, [])
    with pytest.raises(Exception, match="out of resource"):
        tuning.tune("product", "b", LAUNCHES, CPU, run, clock)


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"product a": {"BLOCK": 999}}', '{"product a": 3}', "[" * 100_000])
def test_a_file_that_says_something_else_costs_timing_alone(kept, text):
    kept.parent.mkdir()
    kept.write_text(text)
    assert tuning.chosen("product", "a", LAUNCHES, CPU) == LAUNCHES[0]
    run, clock = timed({64: 3.0, 128: 1.0, 32: 2.0}, [])
    assert tuning.tune("product", "a", LAUNCHES, CPU, run, clock) == LAUNCHES[1]
    assert json.loads(kept.read_text())["product a"] == LAUNCHES[1]


def test_nothing_is_timed_where_that_is_switched_off_or_there_is_no_choice(kept, monkeypatch):
    run, clock = timed({64: 3.0, 128: 1.0, 32: 2.0}, ran := [])
    assert tuning.tune("product", "a", LAUNCHES[:1], CPU, run, clock) == LAUNCHES[0]
    monkeypatch.setenv("CIPHER_DEBATE_TUNE", "0")
    assert tuning.tune("product", "a", LAUNCHES, CPU, run, clock) == LAUNCHES[0]
    assert not ran
    assert not kept.exists()


def test_what_was_timed_before_does_not_count_where_that_is_switched_off(kept, monkeypatch):
    run, clock = timed({64: 3.0, 128: 1.0, 32: 2.0}, ran := [])
    assert tuning.tune("product", "a", LAUNCHES, CPU, run, clock) == LAUNCHES[1]
    monkeypatch.setenv("CIPHER_DEBATE_TUNE", "0")
    before = len(ran)
    assert tuning.chosen("product", "a", LAUNCHES, CPU) == LAUNCHES[0]
    assert tuning.tune("product", "a", LAUNCHES, CPU, run, clock) == LAUNCHES[0]
    assert len(ran) == before
