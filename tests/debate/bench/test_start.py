"""What a start of vLLM is said to take: from marks that are known, and from processes that write some."""

import json
import sys
import textwrap
import time

import pytest
from rich.console import Console

from agents.backends.vllm import stages
from agents.backends.vllm.stages import CLOSING, SPEAKING, Stage
from agents.errors import BackendFailed
from debate.bench.start import COMMAND, Start, bench_start, launch, parts

MARKS = (
    Stage("reading the model's files", 103.0, 2.5, 1),
    Stage("starting vLLM's processes", 110.0, 9.0, 1),
    Stage("loading the weights", 130.0, 11.0, 2),
    Stage("compiling the model, and its first pass", 134.0, 14.0, 2),
    Stage(SPEAKING, 150.0, 9.5, 1),
    Stage(CLOSING, 151.0, 9.75, 1),
)


def test_a_stage_lasts_until_the_next_in_whichever_process():
    found = parts(Start(100.0, MARKS, 50.0))
    assert [(part.name, part.seconds, part.cpu_s) for part in found] == [
        (COMMAND, 3.0, 2.5),
        ("reading the model's files", 7.0, 6.5),
        # The worker's first mark: all that it took until then.
        ("starting vLLM's processes", 20.0, 11.0),
        ("loading the weights", 4.0, 3.0),
        ("compiling the model, and its first pass", 16.0, 0.5),
        (SPEAKING, 1.0, 0.25),
    ]


@pytest.mark.parametrize(("marks", "said"), [(MARKS[:3], "loading the weights"), ((), "imports")])
def test_a_start_that_did_not_speak_has_no_figures(marks, said):
    with pytest.raises(BackendFailed, match=said):
        parts(Start(100.0, marks, 1.0))


def test_medians_of_several_starts(tmp_path):
    out, seconds = tmp_path / "start.json", iter((2.0, 30.0, 4.0))
    commands = []

    def launched(command, *, cold):
        commands.append((command, cold))
        later = next(seconds)
        slow = [
            Stage(mark.name, mark.at + (later if mark.at >= 134 else 0), mark.cpu_s, mark.process) for mark in MARKS
        ]
        return Start(100.0, tuple(slow), 50.0 + later)

    console = Console(record=True, width=120)
    report = bench_start(
        model="smollm2",
        dtype="bfloat16",
        tokens=4,
        rounds=3,
        cold=True,
        options=["max_num_seqs=2"],
        out=out,
        console=console,
        progress=lambda said: None,
        launch=launched,
    )
    assert json.loads(out.read_text()) == report
    assert report["to_first_turn_s"] == [53, 81, 55]
    by_name = {line["name"]: line["seconds"] for line in report["stages"]}
    assert by_name["loading the weights"] == 8
    assert by_name["compiling the model, and its first pass"] == 16
    assert "missed" in console.export_text()
    (command, cold), *_ = commands
    assert cold
    assert command[-2:] == ["--option", "max_num_seqs=2"]


def test_marks_are_written_by_processes_and_read_by_whoever_started_them(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import json, os, time
            sum(range(300_000))
            for name in ({SPEAKING!r}, {CLOSING!r}):
                stage = {{"name": name, "at": time.time(), "cpu_s": time.process_time(), "process": os.getpid()}}
                with open(os.environ[{stages.VARIABLE!r}], "a") as file:
                    file.write(json.dumps(stage) + "\\n")
            """
        )
    )
    start = launch([sys.executable, str(program)], cold=False)
    first, last = parts(start)
    assert (first.name, last.name) == (COMMAND, SPEAKING)
    assert 0 < first.cpu_s <= start.cpu_s
    assert last.seconds < first.seconds
    program.write_text("raise SystemExit('no engine')")
    with pytest.raises(BackendFailed, match="no engine"):
        launch([sys.executable, str(program)], cold=True)


def test_whoever_waits_is_told(monkeypatch, tmp_path):
    said = []
    monkeypatch.delenv(stages.VARIABLE, raising=False)
    stages.begin("nobody listens")
    with stages.told(said.append, look_s=0.01):
        stages.begin("loading the weights")
        while not said:
            time.sleep(0.01)
    assert said == ["vLLM after 0 s: loading the weights"]
    # A line that is being written is read when it is whole.
    file = tmp_path / "stages"
    file.write_text(json.dumps(vars(MARKS[0])) + '\n{"name": "load')
    assert stages.read(file) == [MARKS[0]]
