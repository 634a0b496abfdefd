"""Going on with a long run costs its turns read once: twice the turns, twice the time, and no more."""

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
UNDER_WAY = 32


@pytest.mark.slow
def test_going_on_with_eight_times_the_turns_takes_no_more_than_sixteen_times_as_long(tmp_path, run):
    debate = build_debate(CONFIG, Backends(CONFIG))
    transcript = run(play(debate, QUESTION))
    for count in (500, 4000):
        with RunFolder(tmp_path / f"{count}", CONFIG) as folder:
            record = folder.method("text")
            for number in range(count):
                question = Question(f"q{number:05d}", QUESTION.text)
                record.begin(question)
                for turn in transcript.turns:
                    record.append_turn(question, turn, Cost(0.1))
                # The last debates were under way.
                if number < count - UNDER_WAY:
                    record.append_decision(question, Decision("1", "", {}), {})

    def goes_on(count: int) -> float:
        """Return processor seconds until the first unfinished debate of a run goes on."""
        start = time.process_time()
        with RunFolder(tmp_path / f"{count}", CONFIG) as folder:
            record = folder.method("text")
            asked = [Question(f"q{number:05d}", QUESTION.text) for number in range(count)]
            left = [question for question in asked if not record.is_over(question)]
            before = record.begin(left[0])
            run(play(debate, left[0], before=before))
        assert len(before) == len(transcript.turns)
        assert len(left) == UNDER_WAY
        return time.process_time() - start

    # Side by side, the better of three.
    few, many = (min(times) for times in zip(*((goes_on(500), goes_on(4000)) for _ in range(3)), strict=True))
    assert many <= 16 * few
