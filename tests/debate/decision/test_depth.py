"""Depth against its definition, and the test's size and power."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debate.decision.depth import depths, drift, outliers


def units(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def plain_depths(points, reference=None):
    """Return depths by the definition: 2 minus the mean cosine distance, a point itself left out of its own cloud."""
    cloud = points if reference is None else reference
    found = []
    for place, point in enumerate(points):
        others = [y for other, y in enumerate(cloud) if reference is not None or other != place]
        found.append(2 - np.mean([1 - point @ y for y in others]))
    return np.array(found)


@given(st.integers(2, 9), st.integers(1, 9), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_depth_is_its_definition(count, others, width, seed):
    draw = np.random.default_rng(seed)
    points, reference = units(draw.normal(size=(count, width))), units(draw.normal(size=(others, width)))
    assert np.allclose(depths(points), plain_depths(points))
    assert np.allclose(depths(points, reference), plain_depths(points, reference))


def test_one_point_is_as_deep_as_can_be():
    assert depths(np.array([[1.0, 0.0]])).tolist() == [2.0]


def test_outliers_are_far_below_the_median_and_never_of_three():
    draw = np.random.default_rng(0)
    cloud = units(np.array([1.0, 0, 0, 0]) + 0.05 * draw.normal(size=(9, 4)))
    points = np.concatenate([cloud, [[0, 0, 0, 1.0]]])
    assert outliers(depths(points)) == [9]
    assert outliers(depths(points[-3:])) == []
    assert outliers(depths(np.ones((5, 1)))) == []


def clouds(draw, shift, count, width=16):
    base = np.zeros(width)
    base[0] = 2.0
    moved = base.copy()
    moved[1] = shift
    return units(base + 0.5 * draw.normal(size=(count, width))), units(moved + 0.5 * draw.normal(size=(count, width)))


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 0.0, 0.12), (2.0, 0.95, 1.0)])
def test_drift_keeps_its_level_and_finds_a_shift(shift, low, high):
    draw = np.random.default_rng(1)
    found = [drift(*clouds(draw, shift, 40)) for _ in range(200)]
    assert low <= np.mean([one.p < 0.05 for one in found]) <= high
    if shift:
        assert np.mean([one.q for one in found]) < 0.4


def test_drift_of_equal_points_says_nothing():
    same = np.ones((5, 1))
    assert drift(same, same).p == 1.0
    assert drift(same, same).q == 0.5
