"""PaSST's scene embedding: one vector a recording, and a belief by the recordings that are nearest to it.

The embedding of a scene is the mean of the class and the distillation token after the last block (Koutini et al., 2022,
arXiv:2211.13956: representations for tasks that the model was not trained on); over several pieces, their mean.
"""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from agents.beliefs.belief import Belief
from agents.beliefs.belief_backend import BeliefBackend, EmbeddingBackend
from agents.beliefs.sound_files import resampled
from agents.errors import BeliefError, ModelError, RequestError
from agents.models.checkpoint import explained
from agents.models.passt.backend import PaSSTBackend, pieces
from agents.models.passt.features import spectrogram
from agents.models.sounds.examples import read_examples
from agents.models.stored import read_stored, typed
from agents.observation import Audio, Observation
from agents.ordinary_file import check_ordinary
from agents.question import Question

VECTORS, SCENES = "scenes.safetensors", "scenes.json"


class PaSSTEmbedding(EmbeddingBackend):
    """Vectors of recordings, of any rate.

    Args:
        backend: whose model embeds; its classes take no part.
    """

    modality = "audio"
    name = "passt_scenes"

    def __init__(self, backend: PaSSTBackend) -> None:
        self.backend = backend

    @torch.inference_mode()
    def embed(self, observations: Sequence[Observation]) -> Tensor:
        """Return the vectors [n, D] of recordings."""
        model, rows = self.backend.model, []
        for each in observations:
            if not isinstance(each, Audio):
                raise RequestError(f"{self.name} hears audio; got {each.modality}")
            self.backend.check(each)
            frames = spectrogram(pieces(resampled(each, model.config.rate_hz).samples, model.config), model.config)
            # One piece at a time, so that a sum's order does not depend on how many there are.
            rows.append(torch.stack([model.embed(piece[None])[0] for piece in frames]).mean(0))
        return torch.stack(rows) if rows else torch.zeros(0, model.config.width)


class PaSSTScenes(BeliefBackend):
    """A belief by the nearest of recordings whose classes are known: k-nearest neighbours on scene embeddings.

    Args:
        embedding: of recordings.
        vectors: [N, D], of the known ones.
        classes: of each.
        neighbours: how many of them speak, by exp(cosine / temperature) each.
        temperature: how much more the nearest counts; fitted on a validation split it is calibrated.
    """

    modality = "audio"

    def __init__(
        self,
        embedding: PaSSTEmbedding,
        vectors: Tensor,
        classes: Sequence[str],
        *,
        neighbours: int = 5,
        temperature: float = 0.05,
    ) -> None:
        if not isinstance(neighbours, int) or not 1 <= neighbours <= len(classes):
            raise BeliefError(
                f"neighbours are a whole number between 1 and the {len(classes)} recordings known; got {neighbours}"
            )
        if not (temperature > 0 and math.isfinite(temperature)):
            raise BeliefError(f"temperature must be finite and above 0; got {temperature}")
        if vectors.shape != (len(classes), embedding.backend.model.config.width) or not bool(vectors.isfinite().all()):
            raise BeliefError(
                f"the vectors of the {len(classes)} recordings known have {embedding.backend.model.config.width} finite numbers "
                f"each; got {list(vectors.shape)}"
            )
        self.embedding, self.vectors, self.classes = embedding, vectors, tuple(classes)
        self.neighbours, self.temperature = neighbours, temperature
        self._labels = tuple(dict.fromkeys(self.classes))
        # Of length 1, around the mean of what is known: scenes of one model lie in a narrow cone otherwise.
        self._centre = vectors.mean(0)
        self._known = torch.nn.functional.normalize((vectors - self._centre).double(), dim=-1)

    @classmethod
    def from_pretrained(
        cls, checkpoint: str | None = None, *, examples: str | None = None, each: int = 0, **options: Any
    ) -> Self:
        """Return the agent of a folder that it saved, or of a PaSST and recordings with their classes.

        Args:
            checkpoint: of PaSST, a folder or an official file; or a folder of this agent.
            examples: a table of recordings with `audio` and `answer`, or a folder or zip of files <class>_….wav.
            each: how many recordings of a class are taken, the first; 0 for all.
            options: `neighbours`, `temperature`, and those of PaSST's official files.

        Raises:
            ModelError: no such checkpoint, or no recordings.
        """
        own: dict[str, Any] = {key: options.pop(key) for key in ("neighbours", "temperature") if key in options}
        backend = PaSSTBackend.from_pretrained(checkpoint, **options)
        assert checkpoint is not None
        folder, embedding = Path(os.path.expanduser(checkpoint)), PaSSTEmbedding(backend)
        if examples is not None:
            known = read_examples(Path(os.path.expanduser(examples)), each=each)
            return cls(embedding, embedding.embed([sound for _, sound in known]), [name for name, _ in known], **own)
        if not (folder / SCENES).is_file():
            raise ModelError(
                "passt_scenes compares with recordings whose classes are known: give options: {examples: …}"
            )
        from safetensors.torch import load_file

        with explained(f"no known recordings in {folder}"):
            stored = typed(cls, read_stored(folder / SCENES))
            vectors = load_file(check_ordinary(folder / VECTORS))["vectors"]
        return cls(embedding, vectors, **(stored | own))

    def save_pretrained(self, folder: Path) -> None:
        """Write PaSST's folder, the known recordings' vectors and their classes; no sound."""
        from safetensors.torch import save_file

        self.embedding.backend.save_pretrained(folder)
        save_file({"vectors": self.vectors.contiguous()}, folder / VECTORS)
        stored = {"classes": self.classes, "neighbours": self.neighbours, "temperature": self.temperature}
        (folder / SCENES).write_text(json.dumps(stored) + "\n")

    @property
    def name(self) -> str:
        """The backend's name."""
        return "passt_scenes"

    def labels(self, case: Question) -> tuple[str, ...]:
        """Return the classes of the known recordings."""
        return self._labels

    def check(self, observation: Observation) -> None:
        """Refuse what PaSST does not hear."""
        self.embedding.backend.check(observation)

    def _believe(self, cases: Sequence[Question], observations: Sequence[Any]) -> list[Belief]:
        return [self._one(vector) for vector in self.embedding.embed(observations)]

    def _one(self, vector: Tensor) -> Belief:
        unit = torch.nn.functional.normalize((vector - self._centre).double(), dim=-1)
        near = (self._known @ unit).topk(self.neighbours)
        shares = torch.softmax(near.values / self.temperature, 0).tolist()
        weights = dict.fromkeys(self._labels, 0.0)
        for place, share in zip(near.indices.tolist(), shares, strict=True):
            weights[self.classes[place]] += share
        return Belief.of(self._labels, list(weights.values()))
