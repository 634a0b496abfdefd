"""Signed runs: what is changed in one, by somebody who can write it all and has not the key, is found."""

import json
import shutil
import time
import zlib
from dataclasses import replace

import pytest

from agents.backends.mock import MockBackend
from agents.errors import ConfigError, RunError
from agents.message_file import read_message, to_bytes
from agents.signature import Place
from agents.signing import SigningKey, signed_file
from debate.build import build_debate
from debate.config.load import validate
from debate.decision.decision import Decision
from debate.orchestrator import play
from debate.run_folder.chain import Chain
from debate.run_folder.folder import RunFolder
from debate.run_folder.journal import JournalReader
from debate.run_folder.signing import signing_key
from debate.run_folder.turn_record import Cost
from debate.run_folder.verify import verify_run
from debate.runtime.backends import Backends
from debate.runtime.batch import play_questions

EVALUATION = (
    "eval",
    "smoke",
    "--limit",
    "2",
    "--methods",
    "text,cipher",
    "--set",
    "rounds=2",
    "--set",
    "max_tokens=12",
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return [SigningKey.generate().write(folder / name)[0] for name in ("ours", "theirs")]


@pytest.fixture(scope="module")
def played(tmp_path_factory, keys):
    """Return the folder of a signed evaluation."""
    from typer.testing import CliRunner

    from debate.cli.app import app

    out = tmp_path_factory.mktemp("played") / "run"
    result = CliRunner().invoke(app, [*EVALUATION, "--sign-with", str(keys[0]), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture
def signed(tmp_path, played):
    """Return a copy of it, to be tampered with."""
    return shutil.copytree(played, tmp_path / "signed")


def found(run, key=None):
    verdict = verify_run(run, key)
    return verdict.verdict, {check.name: (check.verdict, check.detail) for check in verdict.checks}


def rewrite(run, change):
    """Change a run's journal as who knows its format can: checksums and links are made to fit, and the seal."""
    lines = (run / "journal.log").read_bytes().splitlines()
    records = change([json.loads(line[9:]) for line in lines])
    chain, written = Chain(), []
    for record in records:
        plain = {key: value for key, value in record.items() if key not in ("seq", "chain")}
        body = chain.linked(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode())
        written.append(b"%08x %s\n" % (zlib.crc32(body), body))
        chain.add(written[-1])
    (run / "journal.log").write_bytes(b"".join(written))
    status = json.loads((run / "run.json").read_text())
    status["journal"] = vars(chain.seal())
    (run / "run.json").write_text(json.dumps(status))


def turns(records, method="text"):
    return [record for record in records if record["kind"] == "turn" and record["method"] == method]


@pytest.mark.parametrize("name", ["config.yaml", "text/transcript.jsonl"])
def test_a_file_that_is_all_holes_is_not_read_to_its_end(signed, name):
    with open(signed / name, "r+b") as file:
        file.truncate(1 << 40)
    start = time.thread_time()
    verdict, checks = found(signed)
    assert time.thread_time() - start < 10
    assert verdict == "refused"
    assert checks["sealed"] == ("refused", f"not as it was signed: {name}")


def test_a_signed_run_fits_together(cli, played, keys):
    code, printed, _ = cli("verify", str(played), "--key", f"{keys[0]}.pub")
    assert code == 0
    assert "signatures: 16 turns are signed, each for its place" in printed
    assert printed.strip().endswith("signed")
    code, printed, _ = cli("verify", str(played), "--json")
    facts = json.loads(printed)
    assert (code, facts["kind"], facts["verdict"], facts["key"]) == (
        0,
        "run",
        "signed",
        SigningKey.read(keys[0]).public,
    )
    assert {check["name"] for check in facts["checks"]} == {"manifest", "messages", "signatures", "results", "sealed"}
    assert not any(b"PRIVATE" in path.read_bytes() for path in played.rglob("*") if path.is_file())


def test_a_run_is_found_by_a_path_that_goes_up(played):
    assert found(played / ".." / played.name)[0] == found(played)[0] == "signed"


def test_words_that_the_journal_gives_a_signed_vector_message_are_compared_with_it(signed):
    def change(records):
        turns(records, "cipher")[0]["text"] = "Answer: 42"
        return records

    rewrite(signed, change)
    (signed / "manifest.json").unlink()
    assert "the text is not the one of its digest" in str(found(signed))


def test_a_signed_run_is_not_continued_without_a_key(cli, signed):
    before = (signed / "journal.log").read_bytes()
    code, _, err = cli(*EVALUATION, "--out", str(signed))
    assert (code, "is signed by" in err, "--sign-with" in err) == (2, True, True), err
    assert (signed / "journal.log").read_bytes() == before


def test_exit_codes(cli, played, keys, tmp_path):
    assert cli("verify", str(played), "--key", f"{keys[1]}.pub")[0] == 1
    assert cli(*EVALUATION, "--out", str(tmp_path / "unsigned"))[0] == 0
    code, printed, _ = cli("verify", str(tmp_path / "unsigned"))
    assert code == 3
    assert "16 of 16 turns are not signed" in printed
    code, _, said = cli("verify", str(tmp_path))
    assert code == 2
    assert "is not a run" in said
    code, _, said = cli("verify", str(played), "--key", str(tmp_path / "absent"))
    assert code == 2
    assert "--key: " in said


def test_messages_are_verified_too(cli, played, keys, tmp_path):
    message = read_message(next(played.glob("messages/*/*.safetensors")))
    file = tmp_path / "m.safetensors"
    file.write_bytes(signed_file(message, Place("1" * 32, "cipher", "q", 3, "ada"), SigningKey.read(keys[0])))
    code, printed, _ = cli("verify", str(file), "--key", f"{keys[0]}.pub")
    assert code == 0
    assert "question q, round 3, agent ada" in printed
    assert cli("verify", str(file), "--key", f"{keys[1]}.pub")[0] == 1
    file.write_bytes(file.read_bytes()[:-1])
    assert cli("verify", str(file))[0] == 1
    file.write_bytes(to_bytes(message))
    assert cli("verify", str(file))[0] == 3
    assert cli("verify", str(tmp_path / "absent"))[0] == 2
    assert cli("read", str(file))[0] == 0


def change_text(records):
    # A text is what its digest says: the content, with the digest made to fit, under the old signature.
    from debate.run_folder.turn_record import read_turn

    turn = turns(records)[0]
    said = read_turn(turn, None)
    message = replace(said.message, text=said.message.text + "!")
    turn |= message.header() | {"digest": message.digest}
    return records


def swap_rounds(records):
    one, other = (record for record in turns(records) if record["agent"] == "ada" and record["question"].endswith("0"))
    one["round"], other["round"] = other["round"], one["round"]
    return records


def move_to_the_other_question(records):
    ids = sorted({record["question"] for record in turns(records)})
    for record in turns(records):
        record["question"] = ids[1 - ids.index(record["question"])]
    return records


def exchange_agents(records):
    for record in turns(records):
        record["agent"] = {"ada": "ben", "ben": "ada"}[record["agent"]]
    return records


def other_run(records):
    next(record for record in records if record["kind"] == "signer")["run"] = "0" * 32
    return records


@pytest.mark.parametrize("change", [change_text, swap_rounds, move_to_the_other_question, exchange_agents, other_run])
def test_a_turn_that_is_changed_or_put_elsewhere_has_no_valid_signature(signed, change):
    rewrite(signed, change)
    verdict, checks = found(signed)
    assert verdict == checks["signatures"][0] == checks["sealed"][0] == "refused"
    assert "the first: " in checks["signatures"][1]


def test_signatures_that_are_taken_off_and_records_that_are_taken_away_are_missed(signed):
    rewrite(signed, lambda records: [{k: v for k, v in record.items() if k != "signature"} for record in records])
    verdict, checks = found(signed)
    assert (verdict, checks["signatures"][0], checks["sealed"][0]) == ("refused", "unsigned", "refused")


def test_a_cut_journal_with_its_seal_made_to_fit_is_refused(signed):
    rewrite(signed, lambda records: records[:-3])
    assert found(signed)[1]["sealed"] == (
        "refused",
        f"the first {json.loads((signed / 'manifest.json').read_text())['journal']['bytes']:,} bytes of the journal are not "
        "those that were signed",
    )


def test_what_is_added_after_a_signed_end_is_not_signed(signed):
    rewrite(signed, lambda records: [*records, {"kind": "models", "models": {}, "t": 0}])
    verdict, checks = found(signed)
    assert (verdict, checks["sealed"][0]) == ("unsigned", "unsigned")
    assert "bytes were added to the journal after the run was signed" in checks["sealed"][1]


@pytest.mark.parametrize("name", ["results.json", "text/transcript.jsonl"])
def test_results_that_are_not_the_journal_s_are_refused(signed, name):
    path = signed / name
    text = path.read_text()
    path.write_text(text.replace('"correct": 0', '"correct": 2') if name == "results.json" else text + "{}\n")
    verdict, checks = found(signed)
    assert verdict == checks["results"][0] == checks["sealed"][0] == "refused"
    assert name in checks["results"][1]
    assert name in checks["sealed"][1]
    path.unlink()
    assert found(signed)[1]["results"][0] == "refused"


@pytest.mark.parametrize("name", ["config.yaml", "cipher/config.yaml"])
@pytest.mark.parametrize(
    "change", [lambda file: file.write_text(file.read_text() + "# x\n"), lambda file: file.unlink()]
)
def test_a_config_that_is_not_the_signed_one_is_refused(signed, name, change):
    change(signed / name)
    verdict, checks = found(signed)
    assert verdict == "refused"
    assert checks["sealed"] == ("refused", f"not as it was signed: {name}")


def test_a_message_that_is_exchanged_or_missing_is_refused(signed):
    one, other = list(signed.glob("messages/*/*.safetensors"))[:2]
    one.write_bytes(other.read_bytes())
    verdict, checks = found(signed)
    assert verdict == checks["messages"][0] == "refused"
    assert "the file was exchanged" in checks["messages"][1]
    one.unlink()
    assert found(signed)[1]["messages"][0] == "refused"


def test_a_manifest_that_is_changed_or_another_run_s_is_refused(signed, cli, keys, tmp_path):
    path = signed / "manifest.json"
    facts = json.loads(path.read_text())
    for change in ({"run": "0" * 32}, {"messages": {**facts["messages"], "count": 1}}, {"format": 2}, {"more": 1}):
        path.write_text(json.dumps({**facts, **change}))
        verdict, checks = found(signed)
        assert verdict == checks["manifest"][0] == "refused"
    for text in ("[]", "", "{}", '{"signature": 5}', "[" * 100_000):
        path.write_text(text)
        assert found(signed)[1]["manifest"][0] == "refused"
    assert cli(*EVALUATION, "--sign-with", str(keys[0]), "--out", str(tmp_path / "again"))[0] == 0
    shutil.copy(tmp_path / "again" / "manifest.json", path)
    assert found(signed)[1]["sealed"][0] == "refused"
    path.unlink()
    assert found(signed)[0] == "unsigned"


def test_two_signed_runs_of_one_config_are_the_same_results_and_two_runs(played, cli, keys, tmp_path):
    assert cli(*EVALUATION, "--sign-with", str(keys[0]), "--out", str(tmp_path / "again"))[0] == 0
    for name in ("text/transcript.jsonl", "cipher/transcript.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (played / name).read_bytes()
    ids = [json.loads((run / "manifest.json").read_text())["run"] for run in (played, tmp_path / "again")]
    assert ids[0] != ids[1]


def test_which_key_signs(keys, monkeypatch, tmp_path, cli):
    execution = validate({"agents": {"ada": {}}, "execution": {"sign_with": str(keys[0])}}, source="x").execution
    none = execution.model_copy(update={"sign_with": None})
    ours, theirs = (SigningKey.read(key).public for key in keys)
    assert signing_key(none.sign_with) is None
    monkeypatch.setenv("CIPHER_DEBATE_SIGN_WITH", str(keys[1]))
    assert signing_key(none.sign_with).public == theirs
    assert signing_key(execution.sign_with).public == ours
    assert signing_key("none") is None
    # The option over the config, the config over the environment.
    setting = ("--set", f"execution.sign_with={tmp_path / 'absent'}")
    assert cli(*EVALUATION, *setting, "--sign-with", str(keys[0]), "--out", str(tmp_path / "run"))[0] == 0
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["key"] == ours


def test_what_is_no_path_names_no_key(tmp_path):
    with pytest.raises(ConfigError, match="is no path of a private key"):
        signing_key("a\0b", tmp_path)


def test_a_private_key_is_never_in_a_run_folder(cli, signed):
    code, _, said = cli("keys", str(signed / "text" / "key"))
    assert code == 2
    assert "keep private keys elsewhere" in said
    SigningKey.generate().write(signed / "key")
    code, _, said = cli(*EVALUATION, "--sign-with", str(signed / "key"), "--out", str(signed))
    assert code == 2
    assert "is in the run folder" in said


def test_a_run_does_not_go_on_from_a_turn_that_was_changed(keys, tmp_path, run):
    config = _config(keys[0])
    with RunFolder(tmp_path / "run", config) as folder:
        run(_play(config, folder, stop_after=1))
    rewrite(tmp_path / "run", lambda records: swap_agents_of_turns(records))
    with (
        pytest.raises(RunError, match="was changed after it was signed .* a message of another place"),
        RunFolder(tmp_path / "run", config) as folder,
    ):
        run(_play(config, folder))


def swap_agents_of_turns(records):
    first = turns(records, "m")[0]
    first["agent"] = {"ada": "ben", "ben": "ada"}[first["agent"]]
    return records


def test_an_edge_takes_the_key_that_it_demands_and_no_other(keys, tmp_path, run):
    ours, theirs = (SigningKey.read(key).public for key in keys)
    config = _config(keys[0], {"ada": ours})
    with RunFolder(tmp_path / "run", config) as folder:
        run(_play(config, folder))
        assert folder.method("m").result.total == 1
        assert folder.method("m").result.failed == 0
    for config in (_config(keys[0], {"ada": theirs}), _config(None, {"ada": ours})):
        with pytest.raises(ConfigError, match="an edge from ada demands a signature by ed25519:.*--sign-with"):
            build_debate(config, Backends(config))


class Signing(MockBackend):
    """A backend whose agents sign for themselves, with a key and for a place that a test chooses."""

    sign = None

    @property
    def capabilities(self):
        return replace(super().capabilities, signs=True)

    def submit(self, request):
        pending = super().submit(request)
        finish = pending.finish

        def finished(outcome):
            finish(
                outcome if isinstance(outcome, Exception) else replace(outcome, signature=Signing.sign(outcome.message))
            )

        pending.finish = finished
        return pending


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [("key", "it is signed by"), ("run", "it was signed for run"), ("none", "it is signed by"), ("", None)],
)
def test_an_agent_with_a_key_of_its_own_is_refused_without_it(keys, tmp_path, run, monkeypatch, wrong, reason):
    ours, theirs = map(SigningKey.read, keys)
    config = _config(keys[0], {"ada": theirs.public}, backend="debate_test:Signing")
    monkeypatch.setattr("agents.registry.load_class", lambda *given, **more: Signing)
    with RunFolder(tmp_path / "run", config) as folder:
        place = Place("0" * 32 if wrong == "run" else folder.signer.run, "m", "q1", 1, "ada")
        key = ours if wrong == "key" else theirs
        Signing.sign = staticmethod(lambda message: None if wrong == "none" else key.sign_message(message, place))
        run(_play(config, folder))
        result = folder.method("m").result
    ends = [entry.record for entry in JournalReader(tmp_path / "run" / "journal.log")]
    failed = [record["reason"] for record in ends if record["kind"] == "failed"]
    said = [record["agent"] for record in ends if record["kind"] == "turn" and record["round"] == 1]
    if reason is None:
        assert (result.failed, failed, sorted(said)) == (0, [], ["ada", "ben"])
        return
    assert result.failed == 1
    assert failed[0].startswith("MessageRefused: ada, round 1: ")
    assert reason in failed[0]
    # Nobody heard it, and it is not written down as said.
    assert "ada" not in said


def _config(key, demanded=None, **more):
    edges = [{"from": "ada", "to": "ben", "signed": demanded}, {"from": "ben", "to": "ada"}]
    topology = {"topology": {"edges": edges}} if demanded else {}
    execution = {"execution": {"sign_with": str(key)}} if key else {}
    base = {"agents": {"ada": {}, "ben": {}}, "backend": "mock", "model": "mock", "rounds": 2, "max_tokens": 8}
    return validate({**base, **topology, **execution, **more}, source="x")


async def _play(config, folder, *, stop_after=None):
    from agents.question import Question

    backends = Backends(config)
    try:
        debate, method = build_debate(config, backends), folder.method("m")
        question = Question("q1", "What is the result of 1+2*3+4-5*6?")
        if stop_after is not None:
            transcript = await play(debate, question)
            method.open(1, len(transcript.turns))
            method.begin(question)
            for turn in transcript.turns[:stop_after]:
                method.append_turn(question, method.signed(question, turn), Cost(0.1, "mock", 1))
            return
        decide = lambda transcript: Decision("1", "so", {})  # noqa: E731
        await play_questions(debate, [question], decide=decide, record=method)
    finally:
        await backends.close()


def test_turns_that_another_key_signs_than_the_demanded_are_not_signed_by_it(played, keys):
    ours, theirs = (SigningKey.read(key).public for key in keys)
    checks = found(played, theirs)[1]
    assert checks["signatures"] == ("unsigned", f"16 of 16 turns are not signed by {theirs}")
    assert checks["manifest"] == ("refused", f"it is signed by {ours}, and a signature by {theirs} is demanded")
