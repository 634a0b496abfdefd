"""Searches and reproductions on Ray: the option reaches the config."""

import pytest

from debate.config.execution import ExecutionConfig


@pytest.fixture
def executed(monkeypatch):
    """Note how each evaluation was to be carried out, and stop it there: tests/debate/runtime/ray plays on Ray."""
    from agents.errors import ConfigError
    from debate.runtime import backends

    seen = []

    def stop(self, name, model, options):
        seen.append(self._config.execution)
        raise ConfigError("stopped here")

    monkeypatch.setattr(backends.Backends, "_engines", stop)
    return seen


@pytest.mark.parametrize(
    "command",
    [
        ("search", "smoke", "--trials", 1, "--limit", 2),
        ("reproduce", "table1", "--limit", 1, "--tasks", "arithmetic", "--model", "mock", "--set", "backend=mock"),
    ],
    ids=lambda command: command[0],
)
def test_runtime_ray_is_how_the_run_is_carried_out(command, executed, cli, tmp_path):
    where = ("--out", tmp_path / "r", "--runtime", "ray", "--ray-address", "127.0.0.1:1")
    code, _, err = cli(*command, *where)
    assert (code, "stopped here" in err) == (2, True)
    at_once = command[0] == "reproduce"
    assert executed == [ExecutionConfig(runtime="ray", ray_address="127.0.0.1:1", rows_at_once=at_once)]
    code, _, err = cli(*command, "--out", tmp_path / "s", "--runtime", "cluster")
    assert (code, "runtime: " in err, "'local' or 'ray'" in err) == (2, True, True)
