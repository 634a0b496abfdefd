import pytest
from support.viewer_runs import config_of, play

METHODS = ["single", "text", "cipher"]


@pytest.fixture(scope="session")
def played(tmp_path_factory):
    """A run of the mock: one agent, a debate in text, one in CIPHER."""
    return play(tmp_path_factory.mktemp("viewer") / "played", config_of(), METHODS, limit=6)
