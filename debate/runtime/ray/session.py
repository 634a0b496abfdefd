"""One run's connection to Ray: a cluster of its own on this machine, or one that is there; engines started on it."""

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.errors import (
    BackendFailed,
    ConfigError,
    DebateError,
    EngineLost,
    MissingDependency,
    RunError,
    first_line,
    portable,
)
from agents.pretrained import Progress
from agents.private_folder import private_folder
from agents.supervision.replicas import Replicas
from agents.supervision.supervised import Supervised
from debate.config.execution import ExecutionConfig
from debate.runtime.ray.watch import Watch

if TYPE_CHECKING:
    from debate.runtime.ray.runners import Runners

CONNECTING_S = 3.0
# A worker process imports torch before it answers; on a busy machine that takes its time.
PLACEMENT_PATIENCE_S = 120.0
LOOK_EVERY_S = 0.5
LOOPBACK = "127.0.0.1"
# Ray's logs and sockets of a run, with the process that they are of.
FOLDERS = "debate-ray-"


def keep_private() -> None:
    """Set what Ray reads from the environment when it is imported, unless somebody has set it otherwise.

    Without its cluster mode Ray listens on loopback alone, with all of its ports, as it does by default on macOS. Only who
    has the token may speak to it, on a machine with several users too. No usage statistics leave the machine. GPUs are
    seen by whoever asks for them.
    """
    for name, value in {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }.items():
        os.environ.setdefault(name, value)
    keep_quiet()


def keep_quiet() -> None:
    """The same for a cluster that is there: what concerns this process only."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


class RaySession:
    """Ray for one run.

    Args:
        execution: address and placements.
        progress: called with a sentence for each slow step.

    Raises:
        MissingDependency: Ray is not installed.
        ConfigError: nobody answers at the address.
        RunError: Ray does not start here.
    """

    def __init__(self, execution: ExecutionConfig, progress: Progress = lambda _: None) -> None:
        self._execution, self._progress = execution, progress
        self._folder: Path | None = None
        self._owns = False
        self._is_stopping = threading.Event()
        self._watch: Watch | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._replicas: list[Replicas] = []
        self._runners: Runners | None = None
        # Of engines that share a GPU: what one leaves free of it is measured as it starts.
        self._sharing = threading.Lock()
        if "ray" not in sys.modules:
            keep_private() if execution.ray_address is None else keep_quiet()
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingDependency("runtime 'ray'", "ray", "ray") from error
        self._ray = ray
        if ray.is_initialized():
            # Somebody's notebook or test; it is theirs to end.
            pass
        elif execution.ray_address is not None:
            self._connect(execution.ray_address)
        else:
            self._begin()
        from debate.runtime.ray.wire import Shelf, register

        register()
        self.shelf = Shelf()

    def engines(self, name: str, model: str, options: Mapping[str, Any]) -> Replicas:
        """Return the started engines of a model.

        Raises:
            ConfigError: nobody offers what they ask for, a node has other packages, or a mistake in the options.
        """
        from debate.runtime.ray import placement

        config = self._execution.engine(model)
        nodes = placement.nodes()
        placement.refuse_impossible(model, config, nodes)
        placement.refuse_collisions(name, model, config, nodes)
        options = placement.engine_options(name, model, config, options)
        self._progress(f"starting {config.replicas} engine(s) of {model} on Ray")
        start = partial(self._start, name, model, options)

        def supervised(number: int) -> Supervised:
            called = f"{name}:{model}#{number}"
            return Supervised(called, partial(start, called), outstanding=config.outstanding)

        with ThreadPoolExecutor(config.replicas) as threads:
            starting = [threads.submit(supervised, number) for number in range(config.replicas)]
        started = [one.result() for one in starting]
        replicas = Replicas(f"{name}:{model}", started, patience_s=self._execution.node_patience_s)
        self._replicas.append(replicas)
        return replicas

    def runners(self) -> "Runners | None":
        """Return the processes that play debates, started if need be; None where the config has none."""
        from debate.runtime.ray.runners import Runners

        if self._runners is None and self._execution.runners:
            self._progress(f"starting {self._execution.runners} runner(s) on Ray")
            self._runners = Runners(self._execution, self._replicas)
        return self._runners

    def stop(self) -> None:
        """End the runners, and give up waiting for places: engines that are being started again are not needed any more."""
        self._is_stopping.set()
        if self._runners is not None:
            self._runners.close()

    def close(self) -> None:
        """Leave; end the cluster if it is the run's own."""
        if self._watch is not None:
            self._watch.stop()
        if self._owns:
            self._owns = False
            self._ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self, address: str) -> None:
        host, colon, port = address.rpartition(":")
        if not colon or not port.isdigit() or "/" in host:
            raise ConfigError(f"ray_address {address!r}: write HOST:PORT, as `ray start --head` prints it")
        try:
            socket.create_connection((host, int(port)), timeout=CONNECTING_S).close()
        except OSError as error:
            raise ConfigError(
                f"ray_address {address}: nobody answers there ({error.strerror or error}). `ray start --head` starts a "
                "cluster and prints its address; without --ray-address the run starts one of its own."
            ) from error
        self._progress(f"connecting to Ray at {address}")
        self._initialise(address=address)

    def _begin(self) -> None:
        self._progress("starting Ray on this machine")
        self._folder = private_folder(FOLDERS)
        self._initialise(
            include_dashboard=False,
            dashboard_host=LOOPBACK,
            _node_ip_address=LOOPBACK,
            # Ray opens the folder that it is given to everybody; the one above lets nobody else through.
            _temp_dir=str(self._folder / "r"),
        )
        if self._ray.util.get_node_ip_address() != LOOPBACK:
            self.close()
            raise RunError(
                "Ray was imported before this run could keep it on loopback, and would listen on every interface. Set "
                "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 in the environment, or start Ray yourself and give its address."
            )
        with contextlib.suppress(RuntimeError):
            # Where there is none, as in a script that only starts engines, nothing is under way that could be told.
            self._loop = asyncio.get_running_loop()
        self._watch = Watch(self._own_processes(), self._lost)

    def _own_processes(self) -> dict[str, tuple[str, int]]:
        host, _, port = self._ray.get_runtime_context().gcs_address.rpartition(":")
        (node,) = self._ray.nodes()
        return {"raylet": (node["NodeManagerAddress"], node["NodeManagerPort"]), "GCS": (host, int(port))}

    def _lost(self, what: str) -> None:
        """End the run: called when a process of Ray itself is gone, in the thread that noticed."""
        if self._is_stopping.is_set():
            return
        error = EngineLost(
            f"Ray's {what} on this machine died, and with it the engines of this run. What was said is kept: the same command "
            "goes on."
        )
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end, error)

    def _end(self, error: EngineLost) -> None:
        for replicas in self._replicas:
            replicas.give_up(error)
        if self._runners is not None:
            self._runners.give_up(error)

    def _initialise(self, **options: Any) -> None:
        try:
            self._ray.init(log_to_driver=False, logging_level=logging.ERROR, namespace="cipher-debate", **options)
        except (ConnectionError, RuntimeError, OSError, ValueError) as error:
            self.close()
            sentence = " ".join(first_line(error).split())
            raise RunError(f"Ray does not start or connect: {sentence}") from error
        self._owns = True

    def _start(self, name: str, model: str, options: Mapping[str, Any], called: str) -> Any:
        """Return a started engine; called again when one has died."""
        from ray.exceptions import RayError
        from ray.util import remove_placement_group

        from debate.runtime.ray import placement
        from debate.runtime.ray.actor import EngineActor
        from debate.runtime.ray.packages import differing, packages
        from debate.runtime.ray.remote import RemoteEngine, reason

        ray = self._ray
        config = self._execution.engine(model)
        group = placement.reserved(config) if config.bundles > 1 else None
        actor = ray.remote(EngineActor).options(**placement.actor_options(config, group)).remote()

        def release() -> None:
            if group is not None:
                remove_placement_group(group)

        try:
            greeting = actor.hello.remote()
            self._wait(lambda: bool(ray.wait([greeting], timeout=LOOK_EVERY_S)[0]), model)
            facts = ray.get(greeting)
            if differs := differing(packages(), facts["packages"]):
                raise ConfigError(
                    f"the node at {facts['address']} has {differs[1]}, and this process has {differs[0]}: its engines would say "
                    "other things. Install the same versions there."
                )
            with self._sharing if config.shares_a_gpu else contextlib.nullcontext():
                description = ray.get(actor.start.remote(name, {"model": model, **options}))
        except BaseException as error:
            ray.kill(actor, no_restart=True)
            release()
            if not isinstance(error, RayError):
                raise
            cause = getattr(error, "cause", None)
            if isinstance(cause, DebateError):
                raise cause from portable(error)
            raise BackendFailed(f"{called} did not start: {reason(error)}") from portable(error)
        return RemoteEngine(
            called, actor, description, self.shelf, client="driver", node=facts["node"], release=release
        )

    def _wait(self, is_placed: Callable[[], bool], model: str) -> None:
        """Wait until an actor has found its place.

        Raises:
            ConfigError: no node has what it needs (any more), or others hold it, and went on holding it.
        """
        from debate.runtime.ray import placement

        one = self._execution.engine(model).model_copy(update={"replicas": 1})
        until = time.monotonic() + PLACEMENT_PATIENCE_S
        while not is_placed():
            placement.refuse_impossible(model, one, placement.nodes())
            if time.monotonic() > until or self._is_stopping.is_set():
                raise placement.occupied(model, self._execution.engine(model), PLACEMENT_PATIENCE_S)
