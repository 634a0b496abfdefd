"""A debate that is played, and what its engines were asked for."""

from debate.build import build_debate
from debate.orchestrator import play
from debate.runtime.backends import Backends


async def play_recorded(config, question, *, before=None):
    """Return the transcript, and the requests that the engines took, in their order."""
    backends = Backends(config)
    debate = build_debate(config, backends)
    requests = []
    for engine in backends.started:
        inner = engine.submit

        def submit(request, inner=inner):
            pending = inner(request)
            requests.append(request)
            return pending

        engine.submit = submit
    try:
        return await play(debate, question, before=before), requests
    finally:
        await backends.close()
