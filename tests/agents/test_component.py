import pytest

from agents.component import check_component
from agents.errors import ConfigError


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", "\x1b[31m", "‮", "é" * 101])
def test_names_that_a_file_system_reads_otherwise_are_refused(name):
    with pytest.raises(ConfigError, match="a method cannot be called"):
        check_component(name, "method")


@pytest.mark.parametrize(
    "name", ["text", "cipher:topk(k=5)", "<script>", "$x$", "...", ".hidden", "mixed edges", "日本"]
)
def test_other_names_stay_as_they_are(name):
    assert check_component(name, "method") == name
