"""Folders of this user alone, swept when their processes are gone."""

import os
import stat
import subprocess
import sys

from agents.private_folder import private_folder


def test_it_is_this_user_s_alone_and_those_of_dead_processes_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, other = tmp_path / f"mine-{ended.pid}-abc", tmp_path / "mine-notes"
    for folder in (dead, other):
        folder.mkdir()
        (folder / "socket").touch()
    before = os.umask(0)
    try:
        ours = private_folder("mine-")
    finally:
        os.umask(before)
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700
    assert not dead.exists()
    assert other.exists()
    assert private_folder("mine-") != ours
    assert ours.exists()
