"""A target with every fault that the fuzzer looks for: `python -m fuzz.faulty FOLDER` prints what is found in it."""

import json
import sys
from pathlib import Path

from fuzz.run import Tally, fuzz
from fuzz.target import Target


class Faulty(Target):
    """Raises, dawdles and remembers."""

    name, documented = "faulty", (ValueError,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.kept: list[bytes] = []
        self.reads = 0

    def seeds(self):
        return [b"abc"]

    def read(self, blob):
        if len(blob) % 7 == 6:
            raise KeyError("undocumented")
        if blob[:1] == b"a":
            raise ValueError("documented")
        assert len(blob) % 7 != 5, "a promise"
        self.reads += 1
        if self.reads % 50 == 0:
            # So large a block is never carved out of what the process has freed before.
            self.kept.append(b"x" * (40 << 20))


def main() -> None:
    folder, tally = Path(sys.argv[1]), Tally()
    fuzz(Faulty(folder), 0, 0, 2, tally, folder / "findings")
    print(json.dumps(vars(tally)))


if __name__ == "__main__":
    main()
