"""Whose answers count in a debate, said before it begins."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Electorate:
    """Whose answers count.

    Attributes:
        voters: their names, in the order of the config.
        temperatures: agent → temperature, of all. A tie goes to the voter of the lowest, which is chosen before the debate; a
            control's is infinite.
    """

    voters: tuple[str, ...]
    temperatures: Mapping[str, float]

    @cached_property
    def members(self) -> frozenset[str]:
        """The voters, to ask whether an agent is one."""
        return frozenset(self.voters)

    @property
    def of_voters(self) -> dict[str, float]:
        """Voter → temperature."""
        return {name: self.temperatures[name] for name in self.voters}

    def order(self) -> list[str]:
        """Return the voters, lowest temperature first, of equals the first named."""
        return sorted(self.voters, key=self.temperatures.__getitem__)
