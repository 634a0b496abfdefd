import pytest
from support.browser import require_browser, started
from support.viewer_runs import config_of, play

METHODS = ["single", "text", "cipher"]


@pytest.fixture(scope="session")
def played(tmp_path_factory):
    """A run of the mock: one agent, a debate in text, one in CIPHER."""
    return play(tmp_path_factory.mktemp("viewer") / "played", config_of(), METHODS, limit=6)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    require_browser()
    with started(str(tmp_path_factory.mktemp("profile"))) as found:
        yield found


@pytest.fixture(autouse=True)
def usual_window(request):
    yield
    if "browser" in request.fixturenames:
        found = request.getfixturevalue("browser")
        found.size(1280)
        found.dark(False)
