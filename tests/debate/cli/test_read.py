"""`debate read`: which names a message's tokens are shown by, and that a name in a file fetches nothing."""

import socket
from dataclasses import replace

import pytest
import torch

from agents.backends.mock import MockBackend
from agents.fingerprint import tokenizer_hash
from agents.message import Cipher, Message
from agents.message_file import write_message
from agents.model_folder import read_tokenizer


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Empty caches, and a list of what was asked of the network."""
    asked = []

    def refuse(*arguments):
        asked.append(arguments)
        raise OSError("no network in this test")

    for name in ("CIPHER_DEBATE_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


@pytest.fixture
def write(tmp_path):
    def write(model):
        cipher = Cipher(
            torch.ones(1, model.width),
            torch.tensor([7]),
            torch.ones(1),
            torch.full((1,), 0.5),
            torch.tensor([[7, 9]]),
            torch.tensor([[0.75, 0.25]]),
        )
        return write_message(Message("x", model, 0.5, (7,), "expectation", cipher), tmp_path / "m.safetensors")

    return write


@pytest.mark.parametrize(
    "name",
    ["owner/name", "smollm2", "../x", "/etc", "tiny/none", "a/b/c", "", "HuggingFaceTB/x", "~nosuchuser|x", "/etc|x"],
)
def test_a_name_in_a_message_is_never_fetched(cli, write, offline, name):
    code, out, err = cli("read", write(replace(MockBackend().fingerprint, model=name)))
    assert code == 0
    assert "<7> 0.750" in out
    assert "is not among the models fetched before; name it with --model" in err
    assert offline == []


def test_a_model_that_the_user_names_decodes_the_tokens(cli, tiny, write):
    tokenizer = read_tokenizer(tiny())
    file = write(replace(MockBackend().fingerprint, model="somebody", tokenizer=tokenizer_hash(tokenizer)))
    code, out, _ = cli("read", file, "--model", tiny())
    assert code == 0
    assert f"{tokenizer.decode([7])!r} 0.750" in out


def test_another_tokenizer_than_the_senders_shows_no_words(cli, tiny, write, offline):
    file = write(replace(MockBackend().fingerprint, model="tiny/ada", tokenizer="0" * 64))
    code, out, err = cli("read", file)
    assert (code, "<7> 0.750" in out, "has another tokenizer than the sender's" in err) == (0, True, True)
    code, _, err = cli("read", file, "--model", tiny())
    assert (code, "is not the sender's" in err) == (2, True)
