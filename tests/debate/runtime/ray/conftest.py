"""One Ray for all tests that need no cluster of their own, and one undisturbed run to compare with."""

import asyncio
from pathlib import Path

import pytest
from support.outcomes import config_of, outcome

from debate.config.execution import ExecutionConfig
from evals.evaluation import evaluate

# It has nodes of its own, and ends the Ray of the others.
LAST = "test_ray_nodes"


def pytest_collection_modifyitems(items):
    """Put tests with simulated nodes last in this folder, where they may end the Ray of the others."""
    here = [place for place, item in enumerate(items) if Path(__file__).parent in item.path.parents]
    ordered = sorted((items[place] for place in here), key=lambda item: item.path.stem == LAST)
    for place, item in zip(here, ordered, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def session():
    """A run uses the Ray that is there. Its processes find the tests' backends as a user's would."""
    from debate.runtime.ray.session import RaySession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        session = RaySession(ExecutionConfig(runtime="ray"))
        yield session
        session.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """What a run in one process comes to."""
    folder = tmp_path_factory.mktemp("local") / "run"
    asyncio.run(evaluate(config_of(runtime="local"), out=folder, limit=8))
    return outcome(folder)
