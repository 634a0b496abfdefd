"""Keys of servers: recognised by the name above them, by their form and by the environment; ordinary options are none."""

import traceback

import pytest

from agents.errors import ConfigError
from agents.secrets import refuse_secrets, refuse_secrets_anywhere

KEY = "sk-test-0123456789abcdef"
PLAIN = "correct horse battery"


@pytest.mark.parametrize(
    "options",
    [
        {"extra_body": {"password": PLAIN}},
        {"extra_body": {"apiKey": PLAIN}},
        {"extra_body": {"user": {"authToken": PLAIN}}},
        {"extra_body": {"client-secret": PLAIN}},
        {"extra_body": {"token": PLAIN}},
        {"extra_body": {"password": 12345678}},
        {"extra_body": {"secret": [1.5]}},
        {"extra_body": {"note": f"use {KEY} for it"}},
        {"extra_body": {KEY: 1}},
        {"extra_headers": {"Accept": PLAIN}},
        {"default_headers": {"anything": 5}},
        {"headers": [["anything", PLAIN]]},
        {"extra_body": {"http": {"headers": {"note": PLAIN}}}},
        {"Cookie": PLAIN},
        {"x-goog-whatever": PLAIN},
        {"Ocp-Apim-Subscription": PLAIN},
        {"extra_body": {"auth": f"Bearer {'a1' * 6}"}},
        {"extra_body": {"note": f"Bearer {'a1' * 6}"}},
        {"extra_body": {"note": "Basic dXNlcjpwYXNz="}},
        {"base_url": f"https://host/v1?token={PLAIN}"},
        {"base_url": "https://host/v1?api-version=5"},
        {"base_url": f"https://{PLAIN.replace(' ', '')}@host/v1"},
        {"base_url": "user:word@host/v1"},
        {"base_url": "https://host/v1#access_token=12345678"},
        {"extra_body": {"callback": "https://me:word@host/"}},
        {"extra_body": {"callback": "https://host/?x=1;sig=12345678"}},
        {"extra_body": {"pem": "-----BEGIN RSA PRIVATE KEY-----"}},
    ],
    ids=str,
)
def test_a_key_is_refused_wherever_it_is_and_not_repeated(options):
    with pytest.raises(ConfigError, match=r"^options\..*(a key has no place|give the address without user)") as caught:
        refuse_secrets(options)
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(part in shown for part in (KEY, PLAIN, "12345678", "a1a1", "dXNl", "me:word", "user:word"))


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://127.0.0.1:8000/v1", "api_key_env": "MY_KEY", "token_limit": "max_tokens", "timeout_s": 5.0},
        {"tokens_per_minute": 5000, "max_num_seqs": 4, "sends_top_k": True, "progress": None},
        {"extra_body": {"stop_token_ids": [1, 2], "eos_token": "</s>", "prompt_cache_key": "debate"}},
        {"extra_body": {"provider": {"order": ["a", "b"]}, "metadata": {"topic": "basic arithmetic"}}},
        {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}, "docs": "https://host/page?id=5"}},
        {"script": {".": "The key is under the mat. Answer: 5"}, "password": None, "secret": ""},
    ],
    ids=str,
)  # fmt: skip
def test_ordinary_options_hold_no_key(options):
    refuse_secrets(options)
    refuse_secrets_anywhere({"options": options}, where="config")


def test_what_stands_in_the_environment_as_a_key_is_one_wherever_it_is_written(monkeypatch):
    monkeypatch.setenv("SOME_SERVICE_TOKEN", "abcdefghijklmnop")
    monkeypatch.setenv("OTHER_KEY", "short")
    with pytest.raises(ConfigError, match=r"^config\.asked\.data: a key has no place") as caught:
        refuse_secrets_anywhere({"asked": {"data": "/x/abcdefghijklmnop.jsonl"}}, where="config")
    assert "abcdefghijklmnop" not in str(caught.value)
    refuse_secrets_anywhere({"asked": {"data": "a short file"}}, where="config")
