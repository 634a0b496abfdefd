"""A run on disk: the journal, which is the run, and what is derived from it.

    RUN/journal.log                      what was decided, record by record (debate/run_folder/journal.py)
    RUN/messages/DI/DIGEST.safetensors   the CIPHER messages, by content
    RUN/config.yaml                      the resolved config
    RUN/run.json                         status, who writes it, versions, model fingerprints
    RUN/log.jsonl                        events, for people
    RUN/manifest.json                    checksums of it all, signed, where a key was given
    RUN/lock                             held by the one process that writes
    derived, and rebuilt by `debate report`:
    RUN/results.json                     the table
    RUN/METHOD/transcript.jsonl          turns and decisions in the order of questions and plan; no times
    RUN/METHOD/timings.jsonl             what the same turns took

Opening the folder of an earlier run with the same config goes on with it: a turn that is in the journal is never
taken again. A higher limit on the number of questions goes on as well, also with a run that is finished.
"""

import asyncio
import contextlib
import difflib
import os
import platform
import secrets
import shutil
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from agents.atomic_file import write_atomic, write_json
from agents.component import is_component
from agents.errors import BackendFailed, DebateError, RunError, writing_failed
from agents.fingerprint import ModelFingerprint
from agents.installed import DECISIVE, versions
from agents.signing import SigningKey
from debate.config.load import refuse_keys, to_yaml
from debate.config.schema import DebateConfig
from debate.run_folder import journal
from debate.run_folder.chain import SEAL, STATUS, read_seal
from debate.run_folder.contents import MESSAGES, refuse_all_but_files, refuse_shared, remove_run
from debate.run_folder.journal import Journal, JournalReader, Record
from debate.run_folder.lock import LOCK, hold
from debate.run_folder.log import Log
from debate.run_folder.manifest import write_manifest
from debate.run_folder.message_store import MessageStore
from debate.run_folder.method_journal import MethodJournal
from debate.run_folder.reader import RunReader
from debate.run_folder.run_state import RunState
from debate.run_folder.signing import RunSigner, signing_key
from debate.run_folder.store import RunStore

FORMAT = 2
LOG = "log.jsonl"
# Its presence asks the writing process to stop.
CANCEL = "cancel"
# What may lie in a folder that a run was begun in but whose journal was not yet.
BEGUN = {LOCK, LOG, CANCEL, "config.yaml", "run.json"}


class RunFolder(RunStore):
    """The folder of one run, open for writing by this process alone; as a context manager it notes how the run ended.

    Args:
        path: run folder; created if it does not exist. An earlier run with the same config is continued.
        config: config of the run. Its `execution` may differ from the earlier run's, since it changes no result.
        asked: everything else that determines the results: methods, limit, data.
        overwrite: delete an earlier run in the folder.
        fixed: sentence that says why questions cannot be added to an earlier run there (default: they can).

    Raises:
        ConfigError: a key of a server in the config or in what was asked.
        RunError: the folder holds a run of another config, one that another process writes, a damaged one, or no run.
    """

    def __init__(
        self,
        path: Path,
        config: DebateConfig,
        *,
        asked: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        fixed: str = "",
    ) -> None:
        plan = {**config.model_dump(mode="json", by_alias=True), "asked": dict(asked or {})}
        # Before the first byte is written.
        refuse_keys(plan, source="config")
        self.path, self.config, self._fixed = path, config, fixed
        key = signing_key(config.execution.sign_with, path)
        self.state = RunState()
        self.warnings: list[str] = []
        try:
            self._refuse_strangers(overwrite)
            self._made = [folder for folder in (path, *path.parents) if not folder.exists()]
        except OSError as error:
            raise RunError(f"cannot look into {path}: {error.strerror}. Choose another folder with --out.") from error
        with contextlib.ExitStack() as opened:
            refuse_all_but_files(path)
            refuse_shared(path)
            lock = hold(path)
            opened.callback(lock.release)
            if overwrite:
                self._clear()
            _take_back_cancel(path)
            self.log = Log(path / LOG)
            opened.callback(self.log.close)
            fsync = config.execution.fsync
            # A journal that is made now has none of an earlier one's records.
            self._seal = read_seal(path) if (path / journal.NAME).exists() else None
            self._journal = Journal(path / journal.NAME, fsync=fsync)
            opened.callback(lambda: self._journal.close())
            self.messages = MessageStore(path / MESSAGES, durable=fsync == "always")
            self._replay(plan)
            self.signer = self._signer(key)
            write_atomic(path / "config.yaml", to_yaml(config))
            self.write_status("running", {})
            # All is well: what was opened stays open until `close`.
            self._opened = opened.pop_all()

    def _refuse_strangers(self, overwrite: bool) -> None:
        path = self.path
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} exists and is not a run; nothing was written. Choose another folder with --out.")
        if not path.exists() or (path / journal.NAME).exists():
            return
        if (path / "run.json").exists() and any(path.glob("*/transcript.jsonl")):
            if overwrite:
                return
            raise RunError(
                f"{path} holds a run of an earlier version, which kept no journal and cannot be continued. Choose another "
                "folder with --out, or pass --overwrite."
            )
        if any(file.name not in BEGUN and not file.name.endswith(".part") for file in path.iterdir()):
            raise RunError(f"{path} exists and is not a run; nothing was written. Choose another folder with --out.")

    def _clear(self) -> None:
        if left := remove_run(self.path, _methods(self.path), lambda: journal.begin(self.path / journal.NAME)):
            self.warnings.append(f"{self.path}: left in place, since no run made it: {', '.join(left)}")

    def _replay(self, plan: Record) -> None:
        """Read what is there; begin the run, or refuse to go on with another one."""
        self.state.replay(self._journal.replay(self._seal))
        earlier = self.state.config
        if earlier is not None and self.is_resumed and _asks_more(earlier, plan):
            if self._fixed:
                raise RunError(self._fixed)
            # The journal then says what the run is of now; what it was begun with stays above.
            earlier = None
        if earlier is not None and (change := _change(earlier, plan, self.path)):
            if self.is_resumed:
                raise RunError(change)
            # Nothing was said under the other config, which may have been a mistake: there is nothing to lose.
            self._begin_anew()
            earlier = None
        if self.state.signers and self.is_resumed and signing_key(self.config.execution.sign_with, self.path) is None:
            raise RunError(
                f"{self.path} is signed by {', '.join(self.state.signers)}, and no key is given: its further turns would be "
                "unsigned, and it could not be continued with the key. Give the key with --sign-with, or choose another --out."
            )
        if torn := self._journal.torn:
            self.warnings.append(
                f"{self._journal.path}: a torn record of {torn.num_bytes} bytes was cut off at byte {torn.offset}; the "
                "turn is taken again"
            )
        for warning in self.warnings:
            self.log.event(warning, "warning")
        self.messages.keep(self.state.digests())
        self.state.forget_ended()
        if earlier is None:
            self.append({"kind": "run", "config": plan})
        facts = {"python": platform.python_version(), "packages": versions(DECISIVE)}
        shared = {"rows_at_once": True} if self.config.execution.rows_at_once else {}
        self.append({"kind": "session", **_this_process(), **shared, **facts})

    def _signer(self, key: SigningKey | None) -> RunSigner | None:
        """Return what signs from here on, and write down which key that is."""
        if key is None:
            return None
        signer = RunSigner(self.state.run_id or secrets.token_hex(16), key)
        if key.public not in self.state.signers:
            self.append({"kind": "signer", "run": signer.run, "key": key.public})
        return signer

    def _begin_anew(self) -> None:
        path = self._journal.path
        self._seal = None
        self.write_status("running", {})
        self._journal.close()
        journal.begin(path)
        self._journal = Journal(path, fsync=self.config.execution.fsync)
        list(self._journal.replay())
        self.state = RunState()

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier session said or gave up anything."""
        return any(row.turns or row.total for row in self.state.results.values())

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is not None:
                interrupted = isinstance(error, KeyboardInterrupt | asyncio.CancelledError)
                # If the disk still takes it; the error under way is the one to report.
                with contextlib.suppress(DebateError):
                    reason = str(error) or type(error).__name__
                    self.write_status("interrupted" if interrupted else "failed", {"error": reason})
        finally:
            self.close()
            if isinstance(error, DebateError) and not isinstance(error, BackendFailed) and not self._has_said:
                self._take_back()

    @property
    def _has_said(self) -> bool:
        return self.is_resumed or any(row.failed for row in self.state.results.values())

    def _take_back(self) -> None:
        """Remove the folders that a run made which a mistake ended before anything was said."""
        if self.path not in self._made:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        for folder in self._made[1:]:
            try:
                folder.rmdir()
            except OSError:
                # Somebody else put something there.
                return

    def close(self) -> None:
        """Close the journal and let another process write."""
        self._opened.close()

    def note_models(self, models: Iterable[ModelFingerprint]) -> None:
        """Write down which models speak; refuse others than an earlier session's.

        Raises:
            RunError: a name stands for other weights or another tokenizer than before.
        """
        named = {str(model.model): model for model in models}
        for name, now in named.items():
            before = self.state.models.get(name, now)
            if not before.is_again(now):
                raise RunError(
                    f"{self.path} was begun with {before}; {name} is now {now}. Its turns would be of two models: use the same "
                    "weights, another --out, or --overwrite."
                )
        self.append({"kind": "models", "models": {name: model.record() for name, model in named.items()}})

    def write_status(self, status: str, facts: Mapping[str, Any]) -> None:
        """Write run.json: `running`, `finished`, `interrupted` or `failed`, and facts about the run."""
        self.refuse_if_elsewhere()
        if status != "running":
            self._seal = self._journal.seal()
            self.log.event(status, "error" if status == "failed" else "info", error=facts.get("error"))
        # While it runs, the seal of the session before holds: records are only added.
        sealed = {} if self._seal is None else {SEAL: vars(self._seal)}
        write_json(self.path / STATUS, {"format": FORMAT, "status": status, **_this_process(), **sealed, **facts})

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write what is derived, and that the run is finished."""
        self.write_results()
        found = RunReader(self.path)
        found.write_views()
        if self.signer is not None:
            methods, messages = found.state.methods, found.state.digests()
            write_manifest(self.path, self.signer.run, self.signer.key, methods=methods, messages=messages)
        self.write_status("finished", facts)

    def write_results(self) -> Path:
        """Write results.json and return its path."""
        self.refuse_if_elsewhere()
        return write_json(self.path / "results.json", self.state.table())

    def method(self, name: str) -> MethodJournal:
        """Return the journal of one method."""
        return MethodJournal(self, name)


def _methods(path: Path) -> set[str]:
    """Return the methods whose folders a run made: those in its journal, as far as it can be read, and in earlier versions'."""
    try:
        found = {folder.parent.name for folder in path.glob("*/transcript.jsonl")}
    except OSError as error:
        raise writing_failed(path, error) from error
    with contextlib.suppress(RunError):
        for entry in JournalReader(path / journal.NAME):
            found.add(str(entry.record.get("method", "")))
    return {name for name in found if is_component(name)}


def _take_back_cancel(path: Path) -> None:
    """Remove what asked an earlier session to stop."""
    try:
        (path / CANCEL).unlink(missing_ok=True)
    except OSError as error:
        raise writing_failed(path / CANCEL, error) from error


def _this_process() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _asks_more(earlier: Record, now: Record) -> bool:
    """Whether a plan is an earlier one with a higher limit, or none, and nothing else that decides results."""
    limits = [plan["asked"].get("limit") for plan in (earlier, now)]
    if limits[0] is None or (limits[1] is not None and limits[1] <= limits[0]):
        return False
    same = [{**plan, "asked": {**plan["asked"], "limit": None}, "execution": None} for plan in (earlier, now)]
    return same[0] == same[1]


def _change(earlier: Record, now: Record, path: Path) -> str:
    """Return a sentence with the diff of the YAML where two plans differ in what decides results; else nothing."""
    texts = [
        yaml.safe_dump({key: value for key, value in plan.items() if key != "execution"}, sort_keys=False)
        for plan in (earlier, now)
    ]
    if texts[0] == texts[1]:
        return ""
    diff = difflib.unified_diff(
        texts[0].splitlines(), texts[1].splitlines(), f"{path} was begun with", "now asked for", lineterm="", n=1
    )
    if _asks_more(now, earlier):
        limit = earlier["asked"].get("limit")
        before, most = (
            ("every question", "no limit") if limit is None else (f"{limit} questions", f"--limit {limit} or more")
        )
        return (
            f"{path} is a run over {before}, and none of them is taken back: run it with {most}, choose another folder with "
            "--out, or pass --overwrite."
        )
    return (
        f"{path} holds a run of another config:\n"
        + "\n".join(diff)
        + "\nRun it with the config that it was begun with, choose another folder with --out, or pass --overwrite."
    )
