"""Going on with a long run starts new work at once, not after reading for minutes."""

import time

import pytest

from agents.question import Question
from debate.build import build_debate
from debate.config.load import validate
from debate.decision.decision import Decision
from debate.orchestrator import play
from debate.run_folder.folder import RunFolder
from debate.run_folder.turn_record import Cost
from debate.runtime.backends import Backends

CONFIG = validate({"agents": {"ada": {}, "ben": {}}, "backend": "mock", "model": "mock", "message": "text"}, source="x")
QUESTION = Question("q", "What is the result of 1+2*3+4-5*6?")
SECONDS = 5.0


@pytest.mark.slow
def test_a_run_of_100_000_turns_goes_on_within_five_seconds(tmp_path, run):
    debate = build_debate(CONFIG, Backends(CONFIG))
    transcript = run(play(debate, QUESTION))
    turns = len(transcript.turns)
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        record = folder.method("text")
        for number in range(100_000 // turns):
            question = Question(f"q{number:05d}", QUESTION.text)
            record.begin(question)
            for turn in transcript.turns:
                record.append_turn(question, turn, Cost(0.1))
            # The last debates were under way.
            if number < 100_000 // turns - 32:
                record.append_decision(question, Decision("1", "", {}), {})
    start = time.process_time()
    with RunFolder(tmp_path / "run", CONFIG) as folder:
        record = folder.method("text")
        asked = [Question(f"q{number:05d}", QUESTION.text) for number in range(100_000 // turns)]
        left = [question for question in asked if not record.is_over(question)]
        before = record.begin(left[0])
        run(play(debate, left[0], before=before))
    seconds = time.process_time() - start
    assert (len(left), len(before)) == (32, turns)
    assert seconds <= SECONDS
