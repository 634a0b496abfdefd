"""Keys and signed messages: what is changed, said elsewhere, said twice or said by others is refused in a sentence."""

import base64
import json
import os
import pickle
import random
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents.errors import ConfigError, MessageError, RunError
from agents.fingerprint import ModelFingerprint
from agents.message import Cipher, Message
from agents.message_file import from_bytes, read_signed, to_bytes
from agents.signature import Place
from agents.signing import MessageRefused, Receiver, SigningKey, public_key, refuse_unsigned, signed_file

PLACE = Place("0" * 32, "cipher", "arithmetic-0", 2, "ada")
MODEL = ModelFingerprint("m", "t", "k", 50, 4)


@pytest.fixture(scope="module")
def key():
    return SigningKey.generate()


def cipher():
    beliefs = torch.full((3, 2), 0.5)
    told = Cipher(
        torch.ones(3, 4), torch.arange(3), torch.ones(3), torch.full((3,), 0.5), torch.ones(3, 2).long(), beliefs
    )
    return Message("abc", MODEL, 0.5, (0, 1, 2), "expectation", told)


def receiver(key):
    return Receiver({"ada": key.public})


def test_a_pair_is_written_once_the_private_one_for_its_owner_alone(tmp_path, key, monkeypatch):
    before = os.umask(0)
    try:
        private, public = key.write(tmp_path / "deep" / "key")
    finally:
        os.umask(before)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert public.read_text() == f"{key.public}\n"
    assert SigningKey.read(private).public == key.public == public_key(str(public), where="here")
    with pytest.raises(RunError, match="is there already, and a key is not replaced"):
        SigningKey.generate().write(private)
    private.chmod(0o640)
    with pytest.raises(ConfigError, match=r"can be read by others \(mode 0640\)"):
        SigningKey.read(private)


def test_what_is_no_key_is_refused(tmp_path, key):
    private, public = key.write(tmp_path / "key")
    public.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no private key"):
        SigningKey.read(public)
    with pytest.raises(ConfigError, match="cannot read the private key"):
        SigningKey.read(tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"edges.0: .*It holds a private key; the public one is in the file"):
        public_key(str(private), where="edges.0")
    for named in ("ed25519:abc", str(tmp_path), "a\0b", key.public[:-2] + "B="):
        with pytest.raises(ConfigError, match="where: "):
            public_key(named, where="where")


def test_a_private_key_is_neither_shown_nor_pickled(key):
    assert repr(key) == f"SigningKey({key.public})"
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(key)


@pytest.mark.parametrize("message", [cipher(), Message("four", MODEL, 1.0, (4,))], ids=["cipher", "text"])
def test_a_signed_message_is_the_same_message(key, message):
    blob = signed_file(message, PLACE, key)
    assert from_bytes(blob) == message
    found, signature = read_signed(blob)
    assert (signature.place, signature.key) == (PLACE, key.public)
    assert receiver(key).accept(blob, PLACE) == message == found
    # The same bytes each time, and the file without it is as it always was.
    assert signed_file(message, PLACE, key) == blob
    assert read_signed(to_bytes(message)) == (message, None)


def test_every_flipped_bit_of_a_header_is_refused(key):
    blob = signed_file(Message("four", MODEL, 1.0, (4,)), PLACE, key)
    for place in range(8 * len(blob)):
        changed = bytearray(blob)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(MessageError):
            receiver(key).accept(bytes(changed), PLACE)


def test_a_message_is_refused_where_it_was_not_said(key):
    blob = signed_file(cipher(), PLACE, key)
    elsewhere = {"run": "1" * 32, "debate": "text", "question": "arithmetic-1", "round": 3}
    for name, value in elsewhere.items():
        with pytest.raises(MessageRefused, match=rf"it was signed for {name} .* a message of another place"):
            receiver(key).accept(blob, replace(PLACE, **{name: value}))
    with pytest.raises(MessageRefused, match="no key is known of agent 'ben'"):
        receiver(key).accept(blob, replace(PLACE, agent="ben"))
    with pytest.raises(MessageRefused, match="it was signed for agent 'ada' and not 'ben'"):
        Receiver({"ben": key.public}).accept(blob, replace(PLACE, agent="ben"))


def test_a_message_is_heard_once(key):
    hearing, blob = receiver(key), signed_file(cipher(), PLACE, key)
    hearing.accept(blob, PLACE)
    with pytest.raises(MessageRefused, match="was heard before, and is said once: a replay"):
        hearing.accept(blob, PLACE)


def test_no_signature_and_another_s_are_refused(key):
    with pytest.raises(MessageRefused, match="it is not signed, and a signature by ed25519"):
        receiver(key).accept(to_bytes(cipher()), PLACE)
    other = SigningKey.generate()
    with pytest.raises(MessageRefused, match=rf"it is signed by {re.escape(other.public)}, and"):
        receiver(key).accept(signed_file(cipher(), PLACE, other), PLACE)
    # Who says that it is somebody's signature must have that key.
    message, signature = read_signed(signed_file(cipher(), PLACE, other))
    with pytest.raises(MessageRefused, match="the signature is not valid"):
        refuse_unsigned(message, replace(signature, key=key.public), PLACE, key.public)


def test_a_vector_that_is_changed_with_its_checksum_is_refused(key):
    message, signature = read_signed(signed_file(cipher(), PLACE, key))
    vectors = message.cipher.vectors.clone()
    vectors[1, 2] += 1e-6
    changed = to_bytes(replace(message, cipher=replace(message.cipher, vectors=vectors)), signature)
    assert from_bytes(changed) != message
    with pytest.raises(MessageRefused, match="the signature is not valid"):
        receiver(key).accept(changed, PLACE)


def test_a_malformed_signature_is_a_malformed_header(key):
    blob = signed_file(Message("four", MODEL, 1.0, (4,)), PLACE, key)
    draw = random.Random(0)
    header = json.loads(json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])["__metadata__"]["cipher-debate"])
    for name, values in {
        "round": (0, True, 1.5, "1", 1 << 40),
        "key": ("ed25519:x", None, key.public + "\n"),
        "value": ("", 5, "A" * 88),
        "run": (7, "\ud800", "x" * 20_000),
        "more": ("x",),
    }.items():
        changed = {**header, "signature": {**header["signature"], name: draw.choice(values)}}
        table = {"__metadata__": {"cipher-debate": json.dumps(changed, sort_keys=True)}}
        table["token_ids"] = {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}
        text = json.dumps(table).encode()
        with pytest.raises(MessageError, match=r"the header is malformed"):
            from_bytes(len(text).to_bytes(8, "little") + text + blob[-8:])


def test_what_is_no_key_is_a_sentence(tmp_path):
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    known = SigningKey.generate()._private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    # Ed25519 is 1.3.101.112; nobody has an algorithm of the number 122.
    unknown = base64.encodebytes(known.replace(bytes.fromhex("2b6570"), bytes.fromhex("2b657a"))).decode()
    path = tmp_path / "key"
    path.write_text(f"-----BEGIN PRIVATE KEY-----\n{unknown}-----END PRIVATE KEY-----\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no private key in PEM"):
        SigningKey.read(path)
    with pytest.raises(ConfigError, match="cannot read the private key .*null byte"):
        SigningKey.read(Path("a\0b"))
    with pytest.raises(ConfigError, match="no public key .* and no file of one"):
        public_key("~nobody-of-that-name/key.pub", where="--key")
