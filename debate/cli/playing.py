"""Play questions one after the other for somebody who watches."""

import contextlib
import time
from pathlib import Path

from debate.cli.options import console, progress
from debate.cli.screen import Screen
from debate.config import DebateConfig
from debate.decision import decision_rule
from debate.orchestrator import play
from debate.protocol import TurnKey
from debate.run_folder import RunFolder
from debate.setup import Backends, build_debate
from debate.transcript import Question, Turn
from evals.task import Sample, create_task


async def play_questions(
    config: DebateConfig, question: str | None, limit: int, data: Path | None, out: Path | None, overwrite: bool
) -> None:
    """Debate the given question, or the first questions of the config's task, and print what is said and decided."""
    task = create_task(config.task, seed=config.seed, data=data)
    samples = [Sample("question", question, "")] if question else task.samples(limit)
    temperatures = config.temperatures
    targets = {sample.question: sample.target for sample in samples if sample.target}
    backends = Backends(config, progress)
    rule = decision_rule(config.decision, backends.decode)
    name = config.message
    try:
        debate = build_debate(config, backends, extract=task.extract, targets=targets)
        folder = RunFolder(out, config, overwrite=overwrite) if out else None
        with Screen(verbose=True) as screen, contextlib.ExitStack() as stack:
            writer = stack.enter_context(folder.method(name)) if folder else None
            screen.method_started(name, debate, len(samples), backends.started)
            for sample in samples:
                asked = Question(sample.id, sample.question)
                console.rule(f"{sample.question}", align="left", style="dim")
                started: dict[TurnKey, float] = {}

                def on_start(question: Question, turn: TurnKey, started: dict[TurnKey, float] = started) -> None:
                    started[turn] = time.perf_counter()
                    screen.turn_started(question, turn)

                def on_turn(question: Question, turn: Turn, started: dict[TurnKey, float] = started) -> None:
                    if writer:
                        writer.append_turn(question, turn, time.perf_counter() - started[turn.key])
                    screen.turn_said(question, turn)

                transcript = await play(debate, asked, on_start=on_start, on_turn=on_turn)
                decision = rule(transcript, temperatures, task.extract)
                score = task.score(decision.answer, sample.target) if sample.target else None
                if writer:
                    scored = {"score": score.value, "target": score.target} if score else {}
                    writer.append_decision(asked, decision, scored)
                verdict = f" ({score.value}; {sample.target} is right)" if score else ""
                answer = "no answer" if decision.answer is None else decision.answer
                console.print(f"decision: {answer}{verdict}: {decision.reason}", markup=False, style="bold")
                if saved := debate.protocol.num_turns - len(transcript.turns):
                    console.print(f"ended early: {saved} of {debate.protocol.num_turns} turns saved", markup=False)
                screen.debate_decided(asked, decision, score)
        if folder:
            folder.write_status("finished", {})
            console.print(f"transcript: {out}", markup=False)
    finally:
        await backends.close()
