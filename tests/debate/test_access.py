"""Who may ask a server."""

import pytest

from agents.errors import ConfigError
from debate.access import Access, is_loopback


def test_with_a_token_it_alone_counts():
    access = Access("abc")
    for given in ("Bearer abc", "bearer abc", "Bearer  abc "):
        assert access.refusal({"authorization": given, "host": "anywhere"}) is None
    for given in ("abc", "Bearer abd", "Bearer abcd", "Bearer", "Basic abc", "Bearer \udcff", ""):
        assert "the token is missing or wrong" in access.refusal({"authorization": given, "host": "localhost"})
    assert "abc" not in repr(access)


def test_without_one_local_names_count():
    access = Access()
    for host in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]", "[::1]:8000"):
        assert access.refusal({"host": host}) is None
    for headers in ({}, {"host": "evil"}, {"host": "localhost.evil:80"}, {"host": "localhost:x"}, {"host": ":80"}):
        assert "local name alone" in access.refusal(headers)


def test_loopback_is_told_from_the_rest():
    assert all(is_loopback(host, option="--host") for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert not any(is_loopback(host, option="--host") for host in ("0.0.0.0", "::", "10.0.0.1"))
    with pytest.raises(ConfigError, match="--host 'example' is no address, e.g. 127.0.0.1"):
        is_loopback("example", option="--host")
