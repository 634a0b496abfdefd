"""A mock whose engine dies, hangs or runs out of memory on demand. What it did is kept outside it, as it is replaced."""

import asyncio
from collections import Counter

from agents.backend import Pending
from agents.backends.mock import MockBackend
from agents.errors import BackendFailed, OutOfMemory, RowFailed

HAPPENED = Counter()


class FaultyBackend(MockBackend):
    """Replies as the mock.

    Args:
        poison: a text that kills the engine whenever it is read.
        deaths: how often the engine dies besides, at its every tenth request.
        hang: a text that the engine never answers, the first `hangs` times.
        room: most requests at once; more run out of memory.
        row: a text that the model has no answer to, whoever else is served.
    """

    def __init__(self, model="mock", *, poison=None, deaths=0, hang=None, hangs=1, room=None, row=None, **options):
        super().__init__(model, **options)
        self.poison, self.deaths, self.hang, self.hangs, self.room, self.row = poison, deaths, hang, hangs, room, row
        self.dead = None
        self.held = set()
        HAPPENED["starts"] += 1

    def submit(self, request):
        if self.dead is not None:
            raise self.dead
        inner, outer = super().submit(request), Pending()
        self.held.add(outer)
        HAPPENED["most"] = max(HAPPENED["most"], len(self.held))
        task = asyncio.get_running_loop().create_task(self.serve(request, inner, outer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return outer

    async def serve(self, request, inner, outer):
        for _ in range(5):
            await asyncio.sleep(0)
        read = str(request.prompt)
        HAPPENED["requests"] += 1
        if self.hang and self.hang in read and HAPPENED["hangs"] < self.hangs:
            HAPPENED["hangs"] += 1
            await asyncio.sleep(3600)
        if self.room is not None and len(self.held) > self.room:
            self.end(OutOfMemory(f"{len(self.held)} at once"))
        elif self.poison and self.poison in read:
            self.dead = BackendFailed("a cosmic ray")
            self.end(self.dead)
        elif HAPPENED["requests"] % 10 == 0 and HAPPENED["deaths"] < self.deaths:
            HAPPENED["deaths"] += 1
            self.dead = BackendFailed("out of luck")
            self.end(self.dead)
        self.held.discard(outer)
        answer = await inner
        outer.finish(RowFailed("its logits are not finite") if self.row and self.row in read else answer)

    def end(self, failure):
        for pending in self.held:
            pending.finish(failure)
        self.held.clear()

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
