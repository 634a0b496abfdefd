"""A mock that takes its time over some prompts, and keeps count of what it began and what was cancelled."""

import asyncio
from collections import Counter

from agents.backend import Pending
from agents.backends.mock import MockBackend

HAPPENED = Counter()


class SlowBackend(MockBackend):
    """Replies as the mock; a prompt with `SLOW` in it after a while, unless it is cancelled before.

    Args:
        nap_s: how long the while is.
    """

    def __init__(self, model="mock", *, nap_s=60.0, **options):
        super().__init__(model, **options)
        self.nap_s = nap_s

    def submit(self, request):
        if "SLOW" not in str(request.prompt):
            return super().submit(request)
        outer = Pending()
        task = asyncio.get_running_loop().create_task(self.nap(request, outer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        outer._cancel_with = task.cancel
        HAPPENED["begun"] += 1
        return outer

    async def nap(self, request, outer):
        try:
            await asyncio.sleep(self.nap_s)
            outer.finish(await super().submit(request))
        except asyncio.CancelledError:
            HAPPENED["cancelled"] += 1
            outer.finish(asyncio.CancelledError())

    async def close(self):
        await asyncio.gather(*self._tasks, return_exceptions=True)
