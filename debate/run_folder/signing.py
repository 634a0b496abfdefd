"""What a run signs with: the key that it was given, and its id, by which a turn is of this run and of no other."""

import os
from dataclasses import dataclass
from pathlib import Path

from agents.errors import ConfigError
from agents.signature import Place, Signature
from agents.signing import SigningKey
from debate.transcript import Turn

VARIABLE = "CIPHER_DEBATE_SIGN_WITH"
# In place of a file: no key, whatever stands further down.
UNSIGNED = "none"


@dataclass(frozen=True)
class RunSigner:
    """Signs what is said in a run.

    Attributes:
        run: the run's id, 32 hexadecimal digits.
        key: by which.
    """

    run: str
    key: SigningKey

    def signed(self, turn: Turn, place: Place) -> Signature:
        """Return what vouches for a turn."""
        return self.key.sign_message(turn.message, place)


def signing_key(named: str | None, run: Path | None = None) -> SigningKey | None:
    """Return the key to sign with: of the file that is named, else of the environment's; None where there is none.

    Args:
        named: the file, `none` for no key, or None.
        run: the folder of the run that is signed.

    Raises:
        ConfigError: it cannot be read, others can read it, or it lies in the run folder, which is passed on.
    """
    named = named or os.environ.get(VARIABLE, "")
    if named in ("", UNSIGNED):
        return None
    if "\0" in named:
        raise ConfigError(f"{named[:80]!r} is no path of a private key; `debate keys` makes one")
    path = Path(os.path.expanduser(named))
    if run is not None and run.resolve() in path.resolve().parents:
        raise ConfigError(
            f"the private key {path} is in the run folder {run}, which is passed on: keep it elsewhere, and make another pair "
            "with `debate keys` if somebody has the folder already"
        )
    return SigningKey.read(path)
