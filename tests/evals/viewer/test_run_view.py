"""What the viewer shows of a debate and of a message, against the engine's own record of it."""

import json
import math

import pytest
from support.viewer_runs import config_of, play

from agents.errors import RunError
from agents.message import Message
from agents.tokenization import segments
from debate.run_folder.message_store import MessageStore
from debate.run_folder.turn_record import read_turn
from debate.transcript import TurnKey
from evals.viewer.run_view import RunView
from evals.viewer.tokens import FileTokenizer


@pytest.fixture(scope="module")
def view(played):
    return RunView(played)


def first(view, method):
    return next(q for q in view.index.questions() if view.index.cell(method, q))


def test_a_debate_is_the_transcript(view, played):
    question = first(view, "cipher")
    debate = view.debate("cipher", question)
    lines = [json.loads(line) for line in (played / "cipher" / "transcript.jsonl").read_text().splitlines()]
    turns = [line for line in lines if line["kind"] == "turn" and line["question"] == question]
    assert [(turn["round"], turn["agent"], turn["text"]) for turn in debate["turns"]] == [
        (turn["round"], turn["agent"], turn["text"]) for turn in turns
    ]
    assert [turn["seed"] for turn in debate["turns"]] == [str(turn["seed"]) for turn in turns]
    assert [[heard["round"], heard["agent"]] for heard in debate["turns"][-1]["heard"]] == turns[-1]["heard"]
    assert {heard["form"] for turn in debate["turns"] for heard in turn["heard"]} == {"cipher"}
    decision = next(line for line in lines if line["kind"] == "decision" and line["question"] == question)
    assert (debate["end"]["answer"], debate["end"]["reason"]) == (decision["answer"], decision["reason"])
    with pytest.raises(RunError, match="has no debate of 'cipher' over 'none'"):
        view.debate("cipher", "none")


def test_a_message_is_what_its_file_holds(view, played):
    question = first(view, "cipher")
    turn = view.debate("cipher", question)["turns"][-1]
    shown = view.message("cipher", question, TurnKey(turn["round"], turn["agent"]))
    message = MessageStore(played / "messages").get(turn["digest"])
    cipher = message.cipher
    assert len(shown["nearest"]) == len(cipher)
    assert shown["entropy"] == pytest.approx(cipher.entropy.tolist(), abs=1e-4)
    assert shown["norm"] == pytest.approx(cipher.vectors.float().norm(dim=1).tolist(), abs=1e-4)
    assert "".join(shown["strings"][place] for place in shown["nearest"]) == turn["text"]
    ids = [shown["ids"][place] for place, _ in shown["top"][0]]
    assert ids == cipher.top_ids[0][: len(ids)].tolist()
    with pytest.raises(RunError, match="ada has not spoken in round 9"):
        view.message("cipher", question, TurnKey(9, "ada"))


@pytest.mark.parametrize("method", ["single", "text", "cipher"])
def test_a_prompt_has_as_many_tokens_as_the_engine_read(view, played, method):
    """Rendered again with the messages in its slots, it is what was read: the run counted its tokens."""
    from agents.backend import ChatTurn, Prompt
    from agents.byte_tokens import ByteTokenizer

    question = first(view, method)
    records, _ = view.index.records(method, question)
    store = MessageStore(played / "messages")
    said = {(record["round"], record["agent"]): read_turn(record, store).message for record in records}
    for record in records:
        shown = view.message(method, question, TurnKey(record["round"], record["agent"]))["prompt"]
        assert shown["exact"] is True
        assert shown["form"] == "plain"

        def part(piece: dict) -> str | Message:
            return piece["text"] if "text" in piece else said[piece["slot"]["round"], piece["slot"]["agent"]]

        turns = tuple(ChatTurn(turn["role"], tuple(map(part, turn["parts"]))) for turn in shown["turns"])
        prompt = Prompt(turns, cue=shown["cue"], format="plain")
        model = said[record["round"], record["agent"]].model
        found = segments(prompt, ByteTokenizer(), model)
        length = sum(one.num_tokens if isinstance(one, Message) else len(one) for one in found)
        assert length == record["usage"]["prompt_tokens"]
        slots = [piece["slot"] for turn in shown["turns"] for piece in turn["parts"] if "slot" in piece]
        assert len(slots) == len(record["heard"]) + (record["round"] > 1)


def test_a_prompt_whose_files_have_changed_says_so(tmp_path):
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "system.jinja").write_text("Add.")
    (prompts / "initial.jinja").write_text("{{ question }}")
    (prompts / "debate.jinja").write_text("{{ question }} {{ own }} {% for other in others %}{{ other }}{% endfor %}")
    run = play(tmp_path / "run", config_of(prompts=str(prompts)), ["text"], limit=1)
    view = RunView(run)
    question, key = first(view, "text"), TurnKey(1, "ada")
    assert view.message("text", question, key)["prompt"]["exact"] is True
    (prompts / "initial.jinja").write_text("Now: {{ question }}")
    assert RunView(run).message("text", question, key)["prompt"]["exact"] is False
    (prompts / "initial.jinja").unlink()
    assert "cannot be rendered again" in RunView(run).message("text", question, key)["prompt"]["none"]


def test_who_speaks_by_rule_reads_no_prompt_and_an_answer_alone_is_heard_as_one(tmp_path):
    config = config_of(
        agents={"ada": {}, "eve": {"role": "expert"}},
        topology={"generator": "complete", "edges": [{"from": "eve", "to": "ada", "seen": "answers"}]},
    )
    run = play(tmp_path / "run", config, ["text"], limit=1)
    view = RunView(run)
    question = first(view, "text")
    assert "speaks by rule" in view.message("text", question, TurnKey(1, "eve"))["prompt"]["none"]
    (heard,) = next(t for t in view.debate("text", question)["turns"] if t["agent"] == "ada" and t["round"] == 2)[
        "heard"
    ]
    assert heard["form"] == "answer"


def test_a_missing_message_is_told_and_takes_nothing_else_with_it(tmp_path):
    run = play(tmp_path / "run", config_of(), ["cipher"], limit=1)
    view = RunView(run)
    question = first(view, "cipher")
    turn = view.debate("cipher", question)["turns"][0]
    (run / "messages" / turn["digest"][:2] / f"{turn['digest']}.safetensors").unlink()
    shown = view.message("cipher", question, TurnKey(1, turn["agent"]))
    assert "missing" in shown
    assert len(view.debate("cipher", question)["turns"]) == 6


def test_the_tokenizer_of_a_file_is_transformers_own():
    from pathlib import Path

    import agents
    from agents.fingerprint import tokenizer_hash
    from agents.model_folder import read_tokenizer

    folder = Path(agents.__file__).parent / "debaters" / "ivy"
    ours, theirs = FileTokenizer(folder), read_tokenizer(folder)
    assert tokenizer_hash(ours) == tokenizer_hash(theirs)
    assert bool(ours.chat_template) == bool(theirs.chat_template)
    for token in range(len(ours.get_vocab())):
        assert ours.decode([token]) == theirs.decode([token])


def test_distances_are_of_the_table_that_spoke(tmp_path):
    from debate.config.load import load_config

    config = load_config("debaters/experts", ["max_tokens=12"])
    run = play(tmp_path / "run", config, ["cipher"], limit=1)
    view = RunView(run)
    question = first(view, "cipher")
    shown = view.message("cipher", question, TurnKey(1, "jay"))
    assert shown["strings"] is not None
    assert all(0 <= distance < 1 for distance in shown["distance"])
    # A vector between rows is off the nearest by more, the less sure the belief.
    least, most = min(shown["entropy"]), max(shown["entropy"])
    assert shown["distance"][shown["entropy"].index(most)] >= shown["distance"][shown["entropy"].index(least)]
    assert all(math.isfinite(norm) for norm in shown["norm"])
