"""A mock whose process dies or hangs on demand. What happened is kept in files, since nothing else outlives it."""

import asyncio
import os
import signal
from pathlib import Path

from agents.backend import Pending
from agents.backends.mock import MockBackend


class MortalBackend(MockBackend):
    """Replies as the mock.

    Args:
        folder: where deaths and hangs are counted.
        deaths: how often its process is killed, at the fifth request of a life.
        hangs: how often it never answers, at the third request of a life.
        poison: a text that kills its process whenever it is read.
        nap_s: seconds for which every answer waits.
        has_bug: whether it divides by zero.
    """

    def __init__(self, model="mock", *, folder, deaths=0, hangs=0, poison=None, nap_s=0.0, has_bug=False, **options):
        super().__init__(model, **options)
        self.folder, self.deaths, self.hangs, self.poison, self.nap_s = Path(folder), deaths, hangs, poison, nap_s
        self.has_bug, self.requests = has_bug, 0

    def submit(self, request):
        self.requests += 1
        if self.has_bug:
            raise ZeroDivisionError
        read = str(request.prompt)
        if self.poison and self.poison in read:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.requests == 5 and self.happens("death", self.deaths):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.requests == 3 and self.happens("hang", self.hangs):
            return Pending()
        inner = super().submit(request)
        if not self.nap_s:
            return inner
        outer = Pending()
        task = asyncio.get_running_loop().create_task(self.nap(inner, outer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return outer

    async def nap(self, inner, outer):
        await asyncio.sleep(self.nap_s)
        outer.finish(await inner)

    def happens(self, what, times):
        """Whether it is to happen once more; counted."""
        for number in range(times):
            try:
                (self.folder / f"{what}-{number}").touch(exist_ok=False)
                return True
            except FileExistsError:
                continue
        return False
