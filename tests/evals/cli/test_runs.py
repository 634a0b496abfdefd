"""Runs at the command line: listed, shown, extended, compared; and what is refused in which words."""

import json

import pytest

from debate.config.load import load_config
from debate.run_folder.runs import list_runs

METHODS = ("--methods", "text,cipher")


@pytest.fixture
def play(cli, tmp_path):
    def play(name, *more, limit=2, config="smoke"):
        code, _, err = cli("eval", config, *METHODS, "--limit", limit, "--out", tmp_path / name, *more)
        assert code == 0, err
        return tmp_path / name

    return play


def table(folder):
    rows = json.loads((folder / "results.json").read_text())["methods"]
    return {name: {k: v for k, v in row.items() if k not in ("seconds", "cached_tokens")} for name, row in rows.items()}


def turns(folder, method="cipher"):
    return (folder / method / "transcript.jsonl").read_text()


def test_a_finished_run_goes_on_with_a_higher_limit(play, tmp_path):
    folder = play("a")
    said = (folder / "journal.log").read_text().count('"kind":"turn"')
    play("a", limit=3)
    whole = play("b", limit=3)
    assert table(folder) == table(whole)
    assert turns(folder) == turns(whole)
    # Nothing was said twice.
    assert said < (folder / "journal.log").read_text().count('"kind":"turn"') == 2 * 3 * 6
    assert len((folder / "samples.jsonl").read_text().splitlines()) == 3
    # Once more, and it goes on no further.
    play("a", limit=3)
    assert (folder / "journal.log").read_text().count('"kind":"turn"') == 2 * 3 * 6


def test_a_run_to_watch_goes_on_as_well(cli, tmp_path):
    for limit in (1, 2):
        code, out, err = cli(
            "run", "--task", "arithmetic", "--limit", limit, "--config", "smoke", "--out", tmp_path / "a b"
        )
        assert code == 0, err
    assert out.count("decision:") == 1
    assert f"(debate show '{tmp_path}/a b')" in err
    shown = json.loads(cli("show", tmp_path / "a b", "--json")[1])
    assert len(shown["debates"]) == 2


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--limit", 1), "is a run over 2 questions, and none of them is taken back: run it with --limit 2 or more"),
        (("--limit", 3, "--set", "rounds=2"), "-rounds: 3\n+rounds: 2"),
        (("--limit", 3, "--seed", 4), "-seed: 0\n+seed: 4"),
        (("--limit", 3, "--shuffle"), "+  shuffle: true"),
        (("--limit", 3, "--methods", "text"), "holds a run of another config"),
    ],
)
def test_what_is_no_extension_is_refused_and_nothing_is_written(play, cli, more, sentence):
    folder = play("a")
    before = (folder / "results.json").read_bytes(), (folder / "samples.jsonl").read_bytes()
    code, _, err = cli("eval", "smoke", *METHODS, "--out", folder, *more)
    assert (code, "--overwrite" in err) == (2, True)
    assert sentence in err
    assert before == ((folder / "results.json").read_bytes(), (folder / "samples.jsonl").read_bytes())
    # It is still the run that it was.
    play("a", limit=3)


def test_questions_that_changed_in_their_file_are_not_mixed(cli, tmp_path):
    data = tmp_path / "q.jsonl"
    asked = [json.dumps({"question": f"What is the result of {n}+1*1+1-1*1?", "answer": str(n + 1)}) for n in range(4)]
    data.write_text("\n".join(asked[:3]))
    evaluated = ("eval", "smoke", "--methods", "text", "--data", data, "--out", tmp_path / "r")
    assert cli(*evaluated, "--limit", 2)[0] == 0
    data.write_text("\n".join(asked[1:]))
    for limit in (2, 3):
        code, _, err = cli(*evaluated, "--limit", limit)
        assert (code, "holds a run over other questions: its question 1 is" in err) == (2, True)
    data.write_text("\n".join(asked))
    assert cli(*evaluated, "--limit", 3)[0] == 0


def test_rows_that_follow_from_the_questions_cannot_be_extended(cli, tmp_path):
    asked = ("eval", "smoke", "--methods", "single,text,self-consistency@tokens", "--out", tmp_path / "r", "--limit")
    assert cli(*asked, 2)[0] == 0
    code, _, err = cli(*asked, 3)
    assert (code, "whose number of votes was chosen by what the debates over its questions cost" in err) == (2, True)
    assert cli(*asked, 2)[0] == 0


def test_runs_are_listed(cli, play, tmp_path):
    play("one")
    play("deeper/two", limit=3)
    code, out, _ = cli("runs", tmp_path)
    assert code == 0
    rows = [line for line in out.splitlines() if "finished" in line]
    assert len(rows) == 2
    assert "deeper/two" in rows[0]
    assert "arithmetic" in rows[0]
    assert "cipher 3/3" in rows[0]
    listed = json.loads(cli("runs", tmp_path, "--json")[1])
    assert [run["methods"]["text"]["total"] for run in listed] == [3, 2]
    (tmp_path / "empty").mkdir()
    assert "no runs in" in cli("runs", tmp_path / "empty")[1]
    code, _, err = cli("runs", tmp_path / "nothing")
    assert (code, "is not a folder" in err) == (2, True)


def test_a_listing_survives_runs_that_are_damaged_or_half_done(play, tmp_path):
    play("good")
    damaged, killed, begun = (play(name) for name in ("damaged", "killed", "begun"))
    (damaged / "results.json").write_text("[")
    status = json.loads((killed / "run.json").read_text())
    (killed / "run.json").write_text(json.dumps({**status, "status": "running"}))
    # Of a run that goes on, what an earlier session wrote is not looked at.
    (killed / "results.json").write_text("[")
    (begun / "journal.log").write_text("")
    (begun / "run.json").unlink()
    found = {run.path.name: run for run in list_runs(tmp_path)}
    assert found["good"].state == "finished"
    assert found["damaged"].state == "damaged"
    assert (found["killed"].state, found["killed"].methods["cipher"]) == ("killed", (2, 2))
    assert found["begun"].state == "damaged"
    assert found["damaged"].reason
    assert found["begun"].reason


def test_show_prints_json_and_what_failed_or_changed(cli, play):
    folder = play("a")
    shown = json.loads(cli("show", folder, "--json", "--method", "text", "--limit", 1)[1])
    (debate,) = shown["debates"]
    assert (shown["state"], debate["method"], len(debate["turns"])) == ("finished", "text", 6)
    assert debate["decision"]["score"] == "correct"
    assert debate["turns"][0]["agent"] == "ada"
    assert debate["failed"] is None
    code, out, _ = cli("show", folder, "--failed")
    assert (code, "no such debate" in out, "round 1" in out) == (0, True, False)
    assert json.loads(cli("show", folder, "--failed", "--json")[1])["debates"] == []
    code, _, err = cli("show", folder, "--method", "ciper")
    assert (code, "Did you mean 'cipher'?" in err) == (2, True)
    code, _, err = cli("show", folder, "--question", "arithmetic-0-0010")
    assert (code, "has no question" in err, "Did you mean 'arithmetic-0-000" in err) == (2, True, True)


def test_show_finds_the_debates_in_which_somebody_changed_an_answer(cli, tmp_path):
    # Four tiny debaters on the right answer of some, and on another's of others.
    config = tmp_path / "c.yaml"
    config.write_text(
        "model: mock\nbackend: mock\nagents: {ada: {temperature: 0}, ben: {temperature: 2}}\nmax_tokens: 64\n"
    )
    cli("eval", config, "--methods", "text,cipher", "--limit", 6, "--out", tmp_path / "r")
    every = json.loads(cli("show", tmp_path / "r", "--json")[1])["debates"]
    changed = json.loads(cli("show", tmp_path / "r", "--changed", "--json")[1])["debates"]
    from evals.analysis.run_record import read_run

    expected = {
        (method.name, debate.question)
        for method in read_run(tmp_path / "r").methods
        for debate in method.debates
        if any(len({t.answer for t in debate.turns if t.agent == name}) > 1 for name in ("ada", "ben"))
    }
    assert {(debate["method"], debate["question"]) for debate in changed} == expected
    assert 0 < len(changed) < len(every)


def test_compare_shows_accuracies_and_what_the_configs_differ_in(cli, play):
    one, two = play("one", limit=3), play("two", "--set", "agents.ada.temperature=0.3", limit=2)
    code, out, err = cli("compare", one, two, "--methods", "cipher,cipher")
    assert code == 0, err
    assert f"{one}/cipher: 3/3 correct (100.0 %)" in out
    assert f"{two}/cipher: 2/2 correct (100.0 %)" in out
    assert "agents.ada.temperature: 0.15 → 0.3" in out
    assert "2 paired questions" in out
    assert (
        f"On the 2 questions that both have: 2 and 2 correct; left out, since the other run has no answer to them: 1 of {one}."
        in out
    )
    code, out, _ = cli("compare", one, one)
    assert out.count("The configs are the same.") == 2
    assert "left out" not in out


def test_compare_refuses_other_agents_unless_told(cli, play):
    one, two = play("one"), play("two", "--set", "agents.ben.role=critic")
    code, out, err = cli("compare", one, two)
    assert (code, out) == (2, "")
    assert (
        f"agent ben of text is mock by mock in bfloat16 in {one}, and mock by mock in bfloat16, role critic in {two}"
        in err
    )
    assert "pass --other-agents" in err
    code, out, _ = cli("compare", one, two, "--other-agents")
    assert code == 0
    assert "agents.ben.role: None → critic" in out
    three = play("three", "--set", "agents.cy={temperature: 0.9}")
    code, _, err = cli("compare", one, three)
    assert (code, f"agent cy of text is not there in {one}" in err) == (2, True)


def test_compare_refuses_questions_that_only_share_their_names(cli, tmp_path):
    for name, number in (("one", 1), ("two", 2)):
        (tmp_path / f"{name}.jsonl").write_text(
            json.dumps({"question": f"What is the result of {number}+1*1+1-1*1?", "answer": str(number + 1)})
        )
        asked = ("eval", "smoke", "--methods", "text", "--data", tmp_path / f"{name}.jsonl", "--out", tmp_path / name)
        assert cli(*asked)[0] == 0
    code, _, err = cli("compare", tmp_path / "one", tmp_path / "two")
    assert (code, "the runs asked different questions" in err) == (2, True)


def test_run_takes_temperature_prompts_and_role(cli, tmp_path):
    asked = ("run", "What is the result of 3+4*5+6-2*7?", "--config", "smoke", "--out", tmp_path / "r")
    code, _, err = cli(*asked, "-T", "0.4", "-T", "ben=0.7", "--prompts", "open", "--role", "ben=critic")
    assert code == 0, err
    config = load_config(tmp_path / "r" / "config.yaml")
    assert [agent.temperature for agent in config.agents.values()] == [0.4, 0.7]
    assert [agent.role for agent in config.agents.values()] == [None, "critic"]
    assert config.prompts == "open"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (("--role", "critik"), "Did you mean 'critic'?"),
        (("--role", "bne=critic"), "Did you mean 'ben'?"),
        (("--temperature", "hot"), "agents.ada.temperature"),
        (("--prompts", "opne"), "Did you mean 'open'?"),
    ],
)
def test_run_refuses_what_it_cannot_use(cli, option, sentence):
    code, _, err = cli("run", "What is the result of 3+4*5+6-2*7?", "--config", "smoke", *option)
    assert (code, sentence in err) == (2, True), err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("eval", "smoke", "--model", "smolm2", "--set", "backend=transformers"), "smollm2"),
        (("eval", "smoke", "--task", "arithmatic"), "arithmetic"),
        (("eval", "smoke", "--split", "tset"), "test"),
        (("eval", "smoke", "--methods", "ciper"), "cipher"),
        (("eval", "topologies/team"), "topologies/teams"),
        (("eval", "smoke", "--methods", "topologies/team.yaml"), "topologies/teams"),
        (("config", "show", "expert"), "debaters/experts"),
    ],
)
def test_a_misspelt_name_is_recognised(cli, tmp_path, arguments, meant):
    more = () if arguments[0] == "config" else ("--limit", 1, "--out", tmp_path / "r")
    code, _, err = cli(*arguments, *more)
    assert (code, f"Did you mean {meant!r}?" in err) == (2, True), err


def test_a_misspelt_run_and_method_are_recognised(cli, play, tmp_path):
    folder = play("first")
    code, _, err = cli("show", tmp_path / "frist")
    assert (code, f"Did you mean '{folder}'?" in err) == (2, True)
    code, _, err = cli("compare", folder, folder, "--methods", "ciper,text")
    assert (code, "Did you mean 'cipher'?" in err) == (2, True)
