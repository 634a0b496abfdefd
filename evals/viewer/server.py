"""The viewer's server: the page, JSON of what is looked at, and a stream that says when a run has grown."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from agents.errors import DebateError, MissingDependency
from agents.json_text import parse_json
from debate.listening import listening_socket
from debate.transcript import TurnKey
from evals.analysis.blocks import Block
from evals.viewer.access import PageAccess
from evals.viewer.index import RunIndex, by_name
from evals.viewer.page import SCRIPT, SERVED_POLICY, STYLE, served, static
from evals.viewer.report import report_apart
from evals.viewer.run_view import RunView

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.requests import Request
    from starlette.responses import (
        HTMLResponse,
        JSONResponse,
        PlainTextResponse,
        RedirectResponse,
        Response,
        StreamingResponse,
    )
    from starlette.routing import Route

    from debate.http_server import server_config
except ModuleNotFoundError as error:
    raise MissingDependency("debate view", error.name or "starlette", "view") from error

# How often a journal's size is looked at while somebody watches the run.
LOOK_S = 0.5
# How often it is told that more answers have been read, and how many turns are read in between without letting others in.
TELL_S, TURNS = 1.0, 200
HEARTBEAT_S = 15.0
WARM_AFTER_S = 3.0
SAFE = {
    "Content-Security-Policy": SERVED_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Viewer:
    """Some runs behind one address.

    Args:
        paths: the run folders.
        port: 0 takes a free one.
        host: to listen on.

    Attributes:
        url: with the token, to be opened.
    """

    def __init__(self, paths: list[Path], *, port: int = 0, host: str = "127.0.0.1") -> None:
        self._paths = by_name(paths)
        self._views: dict[str, RunView] = {}
        self._making = threading.Lock()
        self._socket = listening_socket(host, port)
        self.port = int(self._socket.getsockname()[1])
        self.access = PageAccess(self.port)
        self._runs_made: dict[str, tuple[object, bytes]] = {}
        self._reports: dict[str, tuple[object, list[Block]]] = {}
        self._partial: dict[str, dict[str, str]] = {}
        self._server: uvicorn.Server | None = None
        self._is_stopping = False
        self.app = self._make_app()

    @property
    def url(self) -> str:
        """The address with the token."""
        return f"http://127.0.0.1:{self.port}/?token={self.access.token}"

    def view(self, name: str) -> RunView:
        """Return a run by its name, opened when it is first asked for.

        Raises:
            RunError: there is none, or it is damaged.
        """
        from agents.errors import RunError

        with self._making:
            if name not in self._views:
                if name not in self._paths:
                    raise RunError(f"no run is called {name[:80]!r} here. Open one of: {', '.join(self._paths)}")
                self._views[name] = RunView(self._paths[name])
            return self._views[name]

    def open_first(self) -> RunView:
        """Return the first run, its journal, configs and questions read.

        Raises:
            RunError: it is damaged.
        """
        view = self.view(next(iter(self._paths)))
        _ = view.index.scorer
        self._whole(next(iter(self._paths)), view.index)
        return view

    async def serve(self) -> None:
        """Serve until the task is cancelled."""
        self._server = server = uvicorn.Server(server_config(self.app, drain_s=1))
        # It may have been stopped before it began: a debate can be over sooner.
        server.should_exit = self._is_stopping
        threading.Thread(target=self._warm, name="debate-view-warm", daemon=True).start()
        try:
            await server.serve(sockets=[self._socket])
        finally:
            self.close()

    def stop(self) -> None:
        """End serving; from any thread."""
        self._is_stopping = True
        if self._server is not None:
            self._server.should_exit = True

    def close(self) -> None:
        """Give the port back, where it was never served or is not any more."""
        self._socket.close()

    def _warm(self) -> None:
        """Open the first run, so that what is clicked first is there at once; what is wrong with it is told when asked for."""
        with contextlib.suppress(DebateError, OSError):
            view = self.open_first()
            # The first view comes first: both share one interpreter.
            time.sleep(WARM_AFTER_S)
            view.warm()

    def say(self, run: str, question: str, turn: TurnKey, text: str) -> None:
        """Tell watchers what a turn under way has said so far; from any thread."""
        self._partial.setdefault(run, {})[json.dumps([question, turn.round, turn.agent])] = text

    def _make_app(self) -> Starlette:
        routes = [
            Route("/", self._page),
            Route(f"/{SCRIPT}", lambda _: Response(static(SCRIPT), media_type="text/javascript")),
            Route(f"/{STYLE}", lambda _: Response(static(STYLE), media_type="text/css")),
            Route("/api/runs", self._answer(self._runs)),
            Route("/api/run", self._answer(self._run)),
            Route("/api/debate", self._answer(self._debate)),
            Route("/api/message", self._answer(self._message)),
            Route("/api/report", self._answer(self._report)),
            Route("/api/events", self._events),
        ]
        app = Starlette(routes=routes)
        app.add_middleware(GZipMiddleware, minimum_size=2000, compresslevel=1)
        return _Guarded(app, self.access)  # type: ignore[return-value]

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(served("Debates"))

    def _answer(self, make: Callable[[Request], Any]) -> Callable[[Request], Any]:
        """Return an endpoint whose JSON is made in a thread; a user's mistake is a sentence with status 404."""

        async def endpoint(request: Request) -> Response:
            try:
                found = await run_in_threadpool(make, request)
                return found if isinstance(found, Response) else JSONResponse(found)
            except DebateError as error:
                return JSONResponse({"error": str(error)}, status_code=404)
            except (KeyError, ValueError) as error:
                return JSONResponse({"error": f"the request lacks or misspells {error}"}, status_code=400)

        return endpoint

    def _runs(self, request: Request) -> Any:
        found = []
        for name, path in self._paths.items():
            try:
                overview = self.view(name).index.overview(since=1 << 60)
                found.append({key: overview[key] for key in ("state", "task", "methods", "models")} | {"name": name})
            except DebateError as error:
                found.append({"name": name, "state": "damaged", "reason": str(error), "path": str(path)})
        return {"runs": found}

    def _run(self, request: Request) -> Any:
        name, since = request.query_params["run"], int(request.query_params.get("since", "0"))
        index = self.view(name).index
        index.advance()
        return {**index.overview(since), "name": name} if since else self._whole(name, index)

    def _whole(self, name: str, index: RunIndex) -> Response:
        """Return a whole run, as it was when it was first asked for: a page that has it asks for what came since."""
        key = (index.stand, index.is_read)
        made = self._runs_made.get(name)
        if made is None or made[0] != key:
            body = JSONResponse({**index.overview(), "name": name}).body
            made = self._runs_made[name] = key, bytes(body)
        return Response(made[1], media_type="application/json")

    def _debate(self, request: Request) -> Any:
        asked = request.query_params
        return self.view(asked["run"]).debate(asked["method"], asked["question"])

    def _message(self, request: Request) -> Any:
        asked = request.query_params
        turn = TurnKey(int(asked["round"]), asked["agent"])
        return self.view(asked["run"]).message(asked["method"], asked["question"], turn)

    def _report(self, request: Request) -> Any:
        name = request.query_params["run"]
        index = self.view(name).index
        index.advance()
        made = self._reports.get(name)
        if made is None or made[0] != index.stand:
            made = self._reports[name] = index.stand, report_apart(index.path)
        return {"blocks": made[1]}

    async def _events(self, request: Request) -> Response:
        name = request.query_params.get("run", "")
        try:
            view = await run_in_threadpool(self.view, name)
        except DebateError as error:
            return PlainTextResponse(str(error), status_code=404)
        return StreamingResponse(self._grown(name, view), media_type="text/event-stream")

    def _under_way(self, name: str, index: RunIndex) -> dict[str, str]:
        """Return what turns that are not in the journal yet have said, by question, round and agent."""
        partial = self._partial.get(name, {})
        for key in list(partial):
            question, number, agent = parse_json(key)
            if index.has_turn(question, TurnKey(number, agent)):
                partial.pop(key, None)
        return dict(partial)

    async def _grown(self, name: str, view: RunView) -> AsyncIterator[str]:
        """Yield an event whenever a run has a new version, until it is over and read; then one that says so."""
        index, known, told = view.index, -1, 0.0
        partial: dict[str, str] = {}
        while not (self._is_stopping or (self._server is not None and self._server.should_exit)):
            try:
                await run_in_threadpool(index.advance)
                more = await run_in_threadpool(index.read_answers, TURNS)
            except DebateError as error:
                yield _event({"error": str(error)})
                return
            state, now = index.standing, self._under_way(name, index)
            since = time.monotonic() - told
            if (index.version != known or now != partial) and (not more or since >= TELL_S):
                yield _event({"version": index.version, "state": state, "read": index.is_read, "partial": now})
                known, partial, told = index.version, now, time.monotonic()
            elif since >= HEARTBEAT_S:
                yield ": still here\n\n"
                told = time.monotonic()
            if more:
                continue
            if state != "running":
                yield _event({"version": index.version, "state": state, "read": True, "over": True})
                return
            await asyncio.sleep(LOOK_S if not now else LOOK_S / 4)


class _Guarded:
    """Lets through what has the token and calls the server by its name, and only reads; every answer has safe headers."""

    def __init__(self, app: Any, access: PageAccess) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)

        async def safely(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((key.lower().encode(), value.encode()) for key, value in SAFE.items()),
                ]
            await send(message)

        refused = self._refusal(request)
        await (refused or self._app)(scope, receive, safely)

    def _refusal(self, request: Request) -> Response | None:
        access = self._access
        if not access.is_called_rightly(request.headers.get("host")):
            return PlainTextResponse("This server answers to 127.0.0.1 and localhost alone.", status_code=421)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("The viewer only reads.", status_code=405)
        if request.url.path == "/" and access.knows(request.query_params.get("token")):
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie(access.cookie, access.token, httponly=True, samesite="strict", path="/")
            return answer
        if not access.allows(request.headers, request.cookies):
            return PlainTextResponse(
                "The address needs its token: open the one that `debate view` printed.", status_code=403
            )
        return None


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


@contextlib.contextmanager
def serving(viewer: Viewer) -> Iterator[Viewer]:
    """Serve from a thread of its own while the block runs, e.g. beside a debate."""
    thread = threading.Thread(target=lambda: asyncio.run(viewer.serve()), name="debate-view", daemon=True)
    thread.start()
    try:
        yield viewer
    finally:
        viewer.stop()
        thread.join(timeout=5)
