"""The folder that `debate init` writes: a config, a topology, questions, prompts and the schema, ready to run."""

from pathlib import Path

from agents.atomic_file import write_atomic
from agents.errors import ConfigError
from debate.config.reference import schema_text
from debate.config.shipped import configs_folder, prompts_folder

CONFIG, QUESTIONS, SCHEMA = "config.yaml", "questions.jsonl", "schema.json"
FILES = (CONFIG, "topology.yaml", QUESTIONS)
# Prompt file → what a newcomer should know of it; a comment of jinja's is no part of the prompt.
PROMPTS = {
    "system.jinja": "The system prompt. These tiny models take none.",
    "initial.jinja": "The first prompt of each agent. `question` is the question.",
    "debate.jinja": "The prompt of each later round. `others` are the messages that the agent hears, `own` is its last one.",
}


def write_starter(folder: Path) -> list[Path]:
    """Write the starter into a folder and return the files.

    Raises:
        ConfigError: something is there already; nothing is written.
        RunError: the disk does not take it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already and is not empty; nothing was written. Name another folder.")
    source, prompts = configs_folder() / "starter", prompts_folder("tiny")
    texts = {name: (source / name).read_text(encoding="utf-8") for name in FILES}
    for file in sorted(prompts.iterdir()):
        about = f"{{#- {PROMPTS[file.name]} -#}}\n" if file.name in PROMPTS else ""
        texts[f"prompts/{file.name}"] = about + file.read_text(encoding="utf-8")
    texts[SCHEMA] = schema_text()
    for name, text in texts.items():
        write_atomic(folder / name, text)
    return [folder / name for name in texts]
