"""Watches the processes of a run's own cluster: when Ray's own die nothing brings them back, and Ray says nothing of it."""

import socket
import threading
from collections.abc import Callable, Mapping

LOOK_EVERY_S = 0.25
ANSWERING_S = 1.0


class Watch:
    """A thread that looks whether somebody still listens at each address of this machine.

    Args:
        addresses: what listens → host and port.
        lost: called once, in that thread, with what listens no longer.
    """

    def __init__(self, addresses: Mapping[str, tuple[str, int]], lost: Callable[[str], None]) -> None:
        self._addresses, self._lost = addresses, lost
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name="ray-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no longer."""
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            for name, address in self._addresses.items():
                if is_refused(address) and not self._stopped.is_set():
                    self._lost(name)
                    return


def is_refused(address: tuple[str, int]) -> bool:
    """Whether nobody listens at an address; one that merely does not answer in time does."""
    try:
        socket.create_connection(address, timeout=ANSWERING_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
