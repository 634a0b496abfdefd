"""Devices as data: what their makers say that they can do, each with its source; a user's own is a file of the same form."""

from pathlib import Path

from pydantic import Field, ValidationError

from agents.errors import ConfigError, UnknownName
from agents.yaml_file import read_yaml
from debate.config.frozen import Frozen

SHIPPED = Path(__file__).with_name("devices.yaml")


class Device(Frozen):
    """Peaks of one device."""

    operations: dict[str, float] = Field(min_length=1)
    """Operations by data type, dense, in 10^12 a second."""
    bandwidth: float = Field(gt=0, allow_inf_nan=False)
    """Bandwidth of its memory, in 10^9 bytes a second."""
    memory: float = Field(gt=0, allow_inf_nan=False)
    """Size of its memory, in 10^9 bytes."""
    source: str = Field(min_length=1)
    """Where the figures are from."""

    def operations_a_second(self, dtype: str) -> float:
        """Return the peak of a data type, in operations a second.

        Raises:
            ConfigError: the source gives none.
        """
        if dtype not in self.operations:
            known = ", ".join(self.operations)
            raise ConfigError(
                f"this device has no peak in {dtype}, only in {known} ({self.source}); choose another --dtype"
            )
        return 1e12 * self.operations[dtype]

    @property
    def bytes_a_second(self) -> float:
        """Bytes a second from its memory."""
        return 1e9 * self.bandwidth

    @property
    def memory_bytes(self) -> float:
        """Bytes of its memory."""
        return 1e9 * self.memory


def devices(path: Path = SHIPPED) -> dict[str, Device]:
    """Return the devices of a file by name.

    Raises:
        ConfigError: no such file, no mapping of devices, or a key or number that cannot be.
    """
    try:
        raw = read_yaml(path)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file of devices") from error
    if not isinstance(raw, dict) or not raw:
        raise ConfigError(f"{path}: a file of devices is a mapping of a name to its figures")
    found = {}
    for name, figures in raw.items():
        try:
            found[str(name)] = Device.model_validate(figures)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in (name, *first["loc"]))
            raise ConfigError(f"{path}: {where}: {first['msg']}") from error
        if any(not 0 < peak < float("inf") for peak in found[str(name)].operations.values()):
            raise ConfigError(f"{path}: {name}.operations: a peak is a number above 0")
    return found


def device(name: str) -> Device:
    """Return a shipped device by its name, or the one device of a file.

    Raises:
        UnknownName: no such device.
        ConfigError: a file that cannot be read, or that has several devices.
    """
    if name.endswith((".yaml", ".yml")):
        own = devices(Path(name))
        if len(own) != 1:
            raise ConfigError(f"{name} has {len(own)} devices; a file given with --device has one")
        return next(iter(own.values()))
    known = devices()
    if name not in known:
        raise UnknownName("device", name, known)
    return known[name]
