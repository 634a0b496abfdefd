"""A short storm among processes; `make chaos` has a longer one."""

import pytest
from chaos.ray_storm import ray_storm

pytest.importorskip("ray")


@pytest.mark.long
@pytest.mark.slow
def test_a_run_whose_engines_runners_and_driver_are_killed_comes_to_the_same_bytes(tmp_path):
    killed, wrong = ray_storm(tmp_path, kills=3, limit=120, seed=0, driver_share=0.4)
    assert min(killed.values()) >= 1
    assert wrong == []
