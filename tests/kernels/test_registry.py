"""Names that distributions register."""

from types import SimpleNamespace

import pytest

from kernels import registry
from kernels.errors import BadPath


@pytest.fixture(autouse=True)
def looked_up_again():
    yield
    registry.registered.cache_clear()


def test_a_name_of_two_owners_is_refused_and_one_said_twice_is_not(monkeypatch):
    points = [SimpleNamespace(name="ours", value="a:B"), SimpleNamespace(name="ours", value="a:B")]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: points)
    registry.registered.cache_clear()
    assert registry.registered("debate.encoders") == {"ours": "a:B"}
    points.append(SimpleNamespace(name="ours", value="c:D"))
    registry.registered.cache_clear()
    with pytest.raises(BadPath, match="the name 'ours' has several owners: a:B, c:D"):
        registry.registered("debate.encoders")


@pytest.mark.parametrize("name", ["." * 2000 + "a:B", "a..b:C", ":B", "a b:C", "1.2"])
def test_what_can_name_no_module_is_an_unknown_name(name):
    with pytest.raises(registry.UnknownName):
        registry.find(name, "encoder", group="debate.encoders")


def test_extras_that_an_entry_point_needs_are_no_part_of_its_path(monkeypatch):
    points = [SimpleNamespace(name="ours", value="a.b:C [vision, sound]")]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: points)
    registry.registered.cache_clear()
    assert registry.registered("debate.encoders") == {"ours": "a.b:C"}
