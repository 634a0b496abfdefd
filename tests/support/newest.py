"""Prints what this project asks for, without upper bounds: `make test-newest` installs the newest of everything by it."""

import re
import tomllib
from pathlib import Path

# Not vLLM's, which pin a torch, nor Ray's.
EXTRAS = ("smollm2", "evals", "train", "openai", "serve", "signed", "view", "viz", "dev")
# Their newest release may find fault with what the one before let pass.
PINNED = ("ruff", "mypy")


def unbounded(requirement: str) -> str:
    """Return a requirement without its upper bound: `torch>=2.11,<2.14` as `torch>=2.11`."""
    return re.sub(r",?\s*<[^,;\s]*", "", requirement)


def main() -> None:
    """Print a requirement a line."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    for requirement in dict.fromkeys(map(unbounded, wanted)):
        if not requirement.startswith(PINNED):
            print(requirement)


if __name__ == "__main__":
    main()
