"""An agent that compares texts by whatever model sentence-transformers has: modules, pooling, prompts as it says."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from agents.beliefs.belief_backend import Similarity
from agents.errors import ModelError, RequestError, first_line
from agents.model_folder import quiet, refuse_incomplete
from agents.models.sentences import published
from agents.models.sentences.embedding import SentenceEmbedding
from agents.models.sentences.folder import read_settings, write_settings
from agents.models.stored import typed
from agents.pretrained import locate

STORED = "belief.json"


class SentenceTransformerEmbedding(SentenceEmbedding):
    """Vectors of texts.

    Args:
        model: a `sentence_transformers.SentenceTransformer`.
        prompt: name of one of the model's own prompts, which stands before every text; none by default.
    """

    backend = name = "sentence_transformers"

    def __init__(self, model: Any, *, prompt: str | None = None) -> None:
        if prompt is not None and prompt not in model.prompts:
            known = ", ".join(sorted(model.prompts)) or "none"
            raise RequestError(f"this model has no prompt {prompt!r}; it has: {known}")
        self.model, self.prompt = model, prompt

    @property
    def width(self) -> int:
        """The model's."""
        return int(self.model.get_embedding_dimension())

    def vector(self, text: str) -> Tensor:
        """Return the vector [D] of a text as the model has it."""
        said = self.model.encode(text, prompt_name=self.prompt, convert_to_tensor=True, show_progress_bar=False)
        return said.float()  # type: ignore[no-any-return]


class SentenceTransformers(Similarity):
    """A belief over the options of a question.

    Args:
        model: a `sentence_transformers.SentenceTransformer`.
        question_prompt, option_prompt: names of the model's own prompts, e.g. `query`, where it has any.
        temperature: softmax(cos / temperature); fitted on a validation split it is calibrated.
    """

    def __init__(
        self,
        model: Any,
        *,
        question_prompt: str | None = None,
        option_prompt: str | None = None,
        temperature: float = 0.05,
    ) -> None:
        self.questions = SentenceTransformerEmbedding(model, prompt=question_prompt)
        self.texts = SentenceTransformerEmbedding(model, prompt=option_prompt)
        self.temperature = temperature
        super().__init__(self.questions, self.texts, temperature=temperature)

    @classmethod
    def from_pretrained(cls, checkpoint: str | None = None, **options: Any) -> Self:
        """Return the backend of a folder or hub id, on the CPU. Weights are safetensors, and no code of the model's is run."""
        if checkpoint is None:
            raise ModelError(
                "sentence_transformers needs a checkpoint: a folder, or a hub id such as "
                "sentence-transformers/all-MiniLM-L6-v2"
            )
        from sentence_transformers import SentenceTransformer

        folder = locate(checkpoint)
        try:
            stored = typed(cls, read_settings(folder / STORED))
            _refuse_code(folder)
            model = SentenceTransformer(
                str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
            )
            _refuse_random(model, checkpoint)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"no model of sentence-transformers in {folder}: {first_line(error)}") from error
        return cls(model.eval(), **{**stored, **options})

    def save_pretrained(self, folder: Path) -> None:
        """Write the model in sentence-transformers' layout, and belief.json."""
        folder.mkdir(parents=True, exist_ok=True)
        self.questions.model.save_pretrained(str(folder), create_model_card=False)
        stored = {
            "question_prompt": self.questions.prompt,
            "option_prompt": self.texts.prompt,
            "temperature": self.temperature,
        }
        write_settings(folder / STORED, stored)


def _refuse_code(folder: Path) -> None:
    """Raise ModelError for a module of another package, which some versions of sentence-transformers run unasked from a folder.

    Raises:
        OSError, ValueError: the file of modules cannot be read.
    """
    for module in published.modules(folder):
        if not module["type"].startswith("sentence_transformers."):
            raise ModelError(f"{folder} has a module {module['type']}: code that comes with a model is not run")


def _refuse_random(model: Any, name: str) -> None:
    """Raise ModelError for a body that lacks weights in its files, which transformers draws at random and only logs.

    Raises:
        OSError, ValueError, RuntimeError: the files cannot be read again.
    """
    from transformers import PreTrainedModel

    # On the device without memory names are looked at alone.
    options = {"device_map": "meta"} if find_spec("accelerate") else {}
    seen = {""}
    for body in model.modules():
        if not isinstance(body, PreTrainedModel) or (folder := str(body.config._name_or_path)) in seen:
            continue
        # Parts of a body come from its folder.
        seen.add(folder)
        with quiet():
            _, report = type(body).from_pretrained(
                folder, use_safetensors=True, local_files_only=True, output_loading_info=True, **options
            )
        # Poolings of sentence-transformers look at the last states, never at what BERT makes of the first.
        missing = [key for key in report["missing_keys"] if not key.startswith("pooler.")]
        refuse_incomplete(name, {**report, "missing_keys": missing, "unexpected_keys": []})
