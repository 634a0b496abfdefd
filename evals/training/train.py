"""The recipe carried out: transformers' Trainer over stages, each of which goes on where an earlier run of it stopped."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from agents.atomic_file import open_atomic, replacing
from agents.errors import ConfigError, MissingDependency
from evals.training import adapter, attributes, whole
from evals.training.recipe import Pool, Recipe, Stage
from evals.training.rows import PackedRows, collate, embedded
from evals.training.soft import Sender
from evals.training.speaking import accuracy, sample_pool
from evals.training.subjects import Subject, Sums, subject_of
from evals.training.turns import Attempts, Drawer, TaughtTurn

Say = Callable[[str], None]

HISTORY = "history.jsonl"
# Of the held-out loss.
LOSS_ROWS = 32
# Steps after which the estimate of the whole is made.
TIMED_STEPS = 20


def train(recipe: Recipe, out: Path, *, say: Say = lambda _: None) -> Path:
    """Return where what was trained is: OUT/model, OUT/adapter or a classifier's file. An earlier run is gone on with.

    Args:
        recipe: what to do.
        out: the run's folder.
        say: called with a sentence now and then.

    Raises:
        MissingDependency: the extra `train` is not installed.
        ModelError, UnknownName: the model that it begins with, or takes its table from, is not there or of another shape.
    """
    if recipe.classifier is not None:
        return attributes.train(recipe, recipe.classifier, out, say=say)
    done: Path = out / form(recipe).MODEL
    if done.is_dir():
        say(f"{recipe.name} is trained already: {done}")
        return done
    model, tokenizer = _run_stages(recipe, out, say)
    with replacing(done) as aside:
        form(recipe).save(model, tokenizer, recipe, aside)
    return done


def form(recipe: Recipe) -> ModuleType:
    """Return the module that has what is trained: a whole model, or an adapter."""
    return adapter if recipe.lora is not None else whole


def _run_stages(recipe: Recipe, out: Path, say: Say) -> tuple[Any, Any]:
    try:
        import accelerate  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependency("debate train", "accelerate", "train") from error
    from transformers import set_seed

    out.mkdir(parents=True, exist_ok=True)
    set_seed(recipe.seed)
    model, tokenizer = form(recipe).build(recipe)
    stages = recipe.stages
    tokens = sum(stage.steps for stage in stages) * recipe.rows * recipe.row_tokens
    learned = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    of = f" of {model.num_parameters():,}" if recipe.lora else ""
    say(f"{recipe.name}: {learned:,}{of} parameters, {tokens:,} tokens in {len(stages)} stages")
    estimate = Estimate(sum(stage.steps for stage in stages), recipe.rows * recipe.row_tokens, seconds_so_far(out), say)
    for number, stage in enumerate(stages, start=1):
        form(recipe).begin_stage(model, recipe, stage)
        _stage(recipe, stage, number, out, model, tokenizer, estimate)
    return model, tokenizer


class Estimate:
    """Says after the first steps how long the whole will take, and at each look how long is left."""

    def __init__(self, steps: int, step_tokens: int, seconds: float, say: Say) -> None:
        self.say, self.total = say, steps
        self._began = time.monotonic() - seconds
        self._step_tokens = step_tokens
        self.before = 0
        self._since: tuple[int, float] | None = None

    def step(self, number: int) -> None:
        """Note that a step of the present stage is done."""
        done = self.before + number
        if self._since is None:
            # The first step of a process warms up, and tells nothing.
            self._since = (done, time.monotonic())
        elif done - self._since[0] == TIMED_STEPS:
            self.say(
                f"about {self.left(done) / 60:.0f} minutes for {self.total - done} steps ({self.rate(done):,.0f} tokens/s)"
            )

    def seconds(self) -> float:
        """Return the wall time of the training, earlier processes included up to their last look."""
        return time.monotonic() - self._began

    def rate(self, done: int) -> float:
        """Return tokens per second since the process warmed up."""
        assert self._since is not None
        return self._step_tokens * (done - self._since[0]) / max(time.monotonic() - self._since[1], 1e-9)

    def left(self, done: int) -> float:
        """Return the seconds that the rest will take at the rate so far."""
        return (self.total - done) * self._step_tokens / self.rate(done)


def read_history(out: Path) -> list[dict[str, Any]]:
    """Return the looks at held-out loss and accuracy, in order."""
    path = out / HISTORY
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def seconds_so_far(out: Path) -> float:
    """Return the wall time that a run has taken up to its last look."""
    return max((line["seconds"] for line in read_history(out)), default=0.0)


def _stage(
    recipe: Recipe, stage: Stage, number: int, out: Path, model: Any, tokenizer: Any, estimate: Estimate
) -> None:
    """Train the model through one stage, or load what an earlier run made of it."""
    from transformers.trainer_utils import get_last_checkpoint

    folder = out / f"stage-{number}"
    finished = folder / "finished.safetensors"
    if finished.is_file():
        form(recipe).load_kept(model, finished)
        estimate.before += stage.steps
        estimate.say(f"stage {number} is done already")
        return
    folder.mkdir(exist_ok=True)
    seed = f"{recipe.draws or recipe.name}|{recipe.seed}|{number}"
    curriculum, looks = _examples(recipe, stage, folder, model, tokenizer, seed, estimate.say)
    width = model.get_input_embeddings().weight.shape[1] if stage.hears == "soft" else 0

    def rows(count: int, purpose: str) -> PackedRows:
        return PackedRows(
            curriculum,
            tokenizer,
            mixture=stage.mixture,
            rows=count,
            tokens=recipe.row_tokens,
            seed=f"{seed}|{purpose}",
            width=width,
        )

    def look(trained: Any, loss: float, step: int) -> None:
        shares = {kind: accuracy(trained, tokenizer, turns, longest=recipe.longest) for kind, turns in looks.items()}
        step += estimate.before
        line = {"step": step, "stage": number, "loss": loss, **shares, "seconds": round(estimate.seconds())}
        with (out / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        told = ", ".join(f"{kind} {share:.1%}" for kind, share in shares.items())
        estimate.say(f"step {step} of {estimate.total}: held-out loss {loss:.4f}, {told}")

    trainer = _trainer(
        look,
        model=model,
        args=_arguments(recipe, stage, folder),
        train_dataset=rows(stage.steps * recipe.rows, "train"),
        eval_dataset=rows(LOSS_ROWS, "held out loss"),
        data_collator=collate,
        callbacks=[_timer(estimate)],
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)))
    looked = [entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry]
    if stage.steps not in looked:
        trainer.evaluate()
    estimate.before += stage.steps
    with replacing(finished) as aside:
        form(recipe).keep(model, aside)


def _examples(
    recipe: Recipe, stage: Stage, folder: Path, model: Any, tokenizer: Any, seed: str, say: Say
) -> tuple[Drawer, dict[str, list[TaughtTurn]]]:
    """Return where a stage's examples come from, and the held-out questions that are looked at."""
    subject = subject_of(recipe)
    if stage.hears == "soft":
        return _overheard(subject, stage, folder, model, tokenizer, seed, say)
    pool: list[Attempts] = []
    if (wanted := stage.pool) is not None and isinstance(subject, Sums):
        prompts = subject.prompts

        def sample() -> Iterator[Attempts]:
            return sample_pool(model, tokenizer, prompts, wanted, seed=seed, longest=recipe.longest)

        pool = _pool(folder / "pool.jsonl", sample, say)
    return subject.curriculum(pool), subject.held_out(recipe.questions)


def _overheard(
    subject: Subject, stage: Stage, folder: Path, model: Any, tokenizer: Any, seed: str, say: Say
) -> tuple[Drawer, dict[str, list[TaughtTurn]]]:
    """Return the same of a stage that hears vectors: those that the model sends as it is when the stage begins, which is kept.

    Raises:
        ConfigError: another sender has another embedding table.
    """
    recipe, sender = subject.recipe, folder / "sender"
    if not sender.is_dir():
        with replacing(sender) as aside:
            form(recipe).save(model, tokenizer, recipe, aside)
    pool = stage.pool or Pool()
    name, over = (str(sender), None) if recipe.lora is None else (str(recipe.begin), sender)
    sends = partial(Sender, encoder=stage.encoder, temperatures=pool.temperatures, longest=recipe.longest)
    speak = other = sends(name, over)
    say(f"{pool.expressions} questions are answered in CIPHER ({stage.encoder}) for the debate turns")
    if stage.sender is not None:
        other = sends(stage.sender, None)
        if other.table != speak.table:
            raise ConfigError(
                f"stages: sender: {stage.sender} has another embedding table than {recipe.name}, whose rows its vectors would "
                "mix; name a model of the same table"
            )
    heard = subject.overheard(speak, other, pool.expressions, seed, "train")
    looked_at = subject.overheard(speak, other, recipe.questions, "held out", "validation")
    return subject.listening(heard), subject.held_out(recipe.questions, looked_at)


def _trainer(look: Callable[[Any, float, int], None], **settings: Any) -> Any:
    """Return a Trainer that takes rows in their order, and calls `look` with model, held-out loss and step."""
    from transformers import Trainer

    class StageTrainer(Trainer):  # type: ignore[misc]
        """Rows in their order, accuracy beside the held-out loss."""

        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            return super().compute_loss(model, embedded(model, inputs), *args, **kwargs)

        def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
            found: dict[str, float] = super().evaluate(*args, **kwargs)
            look(self.model, found["eval_loss"], self.state.global_step)
            return found

    return StageTrainer(**settings)


def _arguments(recipe: Recipe, stage: Stage, folder: Path) -> Any:
    """Return how a stage is trained, in transformers' terms."""
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(folder),
        max_steps=stage.steps,
        per_device_train_batch_size=recipe.rows,
        per_device_eval_batch_size=recipe.rows,
        learning_rate=stage.learning_rate,
        lr_scheduler_type=stage.schedule,
        warmup_steps=min(stage.warmup, stage.steps),
        weight_decay=0.05,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        bf16=recipe.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="steps",
        eval_steps=recipe.evaluate_every,
        save_strategy="steps",
        save_steps=recipe.evaluate_every,
        save_total_limit=1,
        logging_steps=50,
        logging_nan_inf_filter=False,
        report_to=[],
        label_names=["labels"],
        seed=recipe.seed,
        data_seed=recipe.seed,
        dataloader_num_workers=0,
        disable_tqdm=True,
        remove_unused_columns=False,
    )


def _timer(estimate: Estimate) -> Any:
    from transformers import TrainerCallback

    class Timer(TrainerCallback):  # type: ignore[misc]
        """Tells the estimate of each step."""

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            estimate.step(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                estimate.say(f"step {estimate.before + state.global_step}: loss {float(logs['loss']):.4f}")

    return Timer()


def _pool(path: Path, sample: Callable[[], Iterator[Attempts]], say: Say) -> list[Attempts]:
    """Return the pool of a stage, sampled once and kept."""
    if not path.is_file():
        say("sampling solutions for the debate turns")
        with open_atomic(path) as file:
            for attempts in sample():
                file.write(json.dumps(asdict(attempts)) + "\n")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = [Attempts(tuple(line["operands"]), tuple(line["solutions"])) for line in lines]
    say(
        f"{sum(attempts.has_mistake for attempts in found)} of {len(found)} expressions have a mistaken solution among theirs"
    )
    return found
