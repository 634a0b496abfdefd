"""A backend that writes down what it is asked, for benchmarks."""

from agents.backend import Backend, Pending, Request
from agents.supervision.wrapped import Wrapped


class Recorder(Wrapped):
    """Passes requests on and keeps them.

    Attributes:
        requests: in the order asked.
    """

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.requests: list[Request] = []

    def submit(self, request: Request) -> Pending:
        """Write the request down and pass it on."""
        self.requests.append(request)
        return super().submit(request)

    async def close(self) -> None:
        """Leave the engine as it is: it outlives the recorder."""
