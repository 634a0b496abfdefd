"""Keys, signing and verifying: Ed25519 of the library `cryptography`.

A private key is a file of PEM that its owner alone can read; beside it lies NAME.pub, one line, `ed25519:…`, for everybody.
"""

import base64
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.errors import ConfigError, MessageError, MissingDependency, RunError, writing_failed
from agents.message import Message
from agents.message_file import read_signed, to_bytes
from agents.signature import Place, Signature, is_public_key, statement

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHM = "ed25519:"
PUBLIC = ".pub"
# A PEM file of one key has a hundred or two.
LARGEST_KEY = 10_000


class MessageRefused(MessageError):
    """A message without the signature that is demanded of it."""


class SigningKey:
    """A private key. Its bytes are in no repr and are not pickled.

    Args:
        private: the library's.

    Attributes:
        public: `ed25519:…`.
    """

    def __init__(self, private: "Ed25519PrivateKey") -> None:
        self._private = private
        self.public = ALGORITHM + _base64(private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SigningKey({self.public})"

    def __reduce__(self) -> Any:
        raise TypeError("a private key stays in its process")

    @classmethod
    def generate(cls) -> "SigningKey":
        """Return a new key."""
        with _library():
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """Return the key in a file.

        Raises:
            ConfigError: not there, none, or open to others than its owner.
        """
        with _library():
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        try:
            with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
                mode, blob = stat.S_IMODE(os.fstat(file.fileno()).st_mode), file.read(LARGEST_KEY)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"cannot read the private key {path}: {reason}. `debate keys` makes one.") from error
        if mode & 0o077:
            raise ConfigError(
                f"the private key {path} can be read by others (mode {mode:04o}): make it yours alone, chmod 600 {path}, or "
                "make another with `debate keys`"
            )
        try:
            found = load_pem_private_key(blob, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigError(
                f"{path} holds no private key in PEM without a passphrase; `debate keys` makes one"
            ) from error
        if not isinstance(found, Ed25519PrivateKey):
            raise ConfigError(f"{path} holds a private key, but not of Ed25519; `debate keys` makes one")
        return cls(found)

    def write(self, path: Path) -> tuple[Path, Path]:
        """Write the pair, PATH for its owner alone and PATH.pub; return both paths. Nothing is replaced.

        Raises:
            RunError: one of them is there already, or the disk does not take it.
        """
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = path.with_name(path.name + PUBLIC)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for file in (path, public):
                if os.path.lexists(file):
                    raise RunError(f"{file} is there already, and a key is not replaced: choose another file")
            _write_new(path, pem, 0o600)
            _write_new(public, self.public.encode() + b"\n", 0o644)
        except OSError as error:
            raise writing_failed(path, error) from error
        return path, public

    def sign(self, statement: bytes) -> str:
        """Return the signature of bytes, in base64; the same bytes have the same."""
        return _base64(self._private.sign(statement))

    def sign_message(self, message: Message, place: Place) -> Signature:
        """Return what vouches for a message at a place."""
        return Signature(place, self.public, self.sign(statement(message.digest, place, self.public)))


@dataclass
class Receiver:
    """Takes message files of other processes: each signed for its place by its agent's key, and each place once.

    Attributes:
        keys: agent → public key; an agent that is not among them is refused.
    """

    keys: Mapping[str, str]
    _heard: set[Place] = field(default_factory=set, repr=False)

    def accept(self, blob: bytes, place: Place, *, source: str = "message") -> Message:
        """Return the message in a file's bytes.

        Args:
            blob: the file.
            place: where the receiver is to hear it.
            source: what an error begins with.

        Raises:
            MessageRefused: unsigned, signed by another key or for another place, changed, or heard before.
            MessageError: no message.
        """
        if (key := self.keys.get(place.agent)) is None:
            raise MessageRefused(f"{source}: no key is known of agent {place.agent[:40]!r}, so nothing is heard of it")
        message, signature = read_signed(blob, source=source)
        refuse_unsigned(message, signature, place, key, source=source)
        if place in self._heard:
            raise MessageRefused(
                f"{source}: {place.agent[:40]}'s message of round {place.round} was heard before, and is said once: a replay"
            )
        self._heard.add(place)
        return message


def refuse_unsigned(
    message: Message, signature: Signature | None, place: Place, key: str, *, source: str = "message"
) -> None:
    """Raise MessageRefused unless a message is signed for a place by the owner of a key.

    Args:
        message: what was said.
        signature: what came with it.
        place: where it is heard.
        key: the public key that is demanded.
        source: what the error begins with.
    """
    if signature is None:
        raise MessageRefused(f"{source}: it is not signed, and a signature by {key} is demanded")
    if signature.key != key:
        raise MessageRefused(f"{source}: it is signed by {signature.key}, and a signature by {key} is demanded")
    if difference := place.difference(signature.place):
        raise MessageRefused(f"{source}: it was signed for {difference}: a message of another place")
    if not is_signed(statement(message.digest, place, key), signature.value, key):
        raise MessageRefused(
            f"{source}: the signature is not valid: the message or its place was changed after it was signed"
        )


def is_signed(statement: bytes, value: str, key: str) -> bool:
    """Whether a signature in base64 is one of these bytes by the owner of a public key."""
    with _library():
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix(ALGORITHM), validate=True))
        public.verify(base64.b64decode(value, validate=True), statement)
    except (InvalidSignature, ValueError):
        return False
    return True


def signed_file(message: Message, place: Place, key: SigningKey) -> bytes:
    """Return a message file that is signed for a place."""
    return to_bytes(message, key.sign_message(message, place))


def public_key(named: str, *, where: str) -> str:
    """Return a public key that is written as such, or stands in a file.

    Raises:
        ConfigError: it is neither; the text starts with `where`.
    """
    if is_public_key(named):
        return named
    try:
        with open(os.open(Path(os.path.expanduser(named)), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            text = file.read(LARGEST_KEY).decode("ascii", "replace").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"{where}: {named[:80]!r} is no public key (ed25519:…) and no file of one: {reason}. `debate keys` makes a pair."
        ) from error
    if not is_public_key(text):
        private = " It holds a private key; the public one is in the file that ends in .pub." * ("PRIVATE KEY" in text)
        raise ConfigError(f"{where}: {named[:80]!r} holds no public key (ed25519:…).{private}")
    return text


def _write_new(path: Path, content: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        # Whatever the umask gives besides.
        os.fchmod(file.fileno(), mode)
        file.write(content)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@contextmanager
def _library() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        raise MissingDependency("signing", "cryptography", "signed") from error
