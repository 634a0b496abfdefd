"""The paper's figures and settings, for comparison (Pham et al., "Let Models Speak Ciphers", ICLR 2024, arXiv 2310.06272).

Accuracies in percent. Tables 1 and 2 as printed; rounds and debaters are read off figures, to a point or so.
"""

from dataclasses import dataclass

SOURCE = "Pham et al., ICLR 2024, arXiv:2310.06272"
BOUNDS = (0.01, 2.0)
"""Temperatures that were searched between, on 200 validation questions; 200 others were tested."""


@dataclass(frozen=True)
class Figure:
    """One printed number.

    Attributes:
        value: percent.
        spread: ± over runs, percentage points; None where the paper prints none (CIPHER is deterministic).
        is_read_off: whether it is read off a plot.
    """

    value: float
    spread: float | None = None
    is_read_off: bool = False

    def __str__(self) -> str:
        about = "≈ " if self.is_read_off else ""
        return f"{about}{self.value:.1f}" + (f" ± {self.spread:.1f}" if self.spread is not None else "")


TASKS = {
    "gsm8k": "GSM8K",
    "mmlu:high_school_mathematics": "H.S. Math",
    "mmlu:professional_psychology": "Psychology",
    "mmlu:formal_logic": "Formal Logic",
    "arithmetic": "Arithmetic",
}

_TABLE_1 = {
    "LLaMA2-70B": {
        "single": ("60.0±2.3", "38.3±2.6", "73.6±1.2", "46.0±2.9", "79.5±0.3"),
        "self-consistency(k=5)": ("64.3±1.4", "41.3±1.5", "74.0±0.7", "44.4±2.3", "79.7±0.3"),
        "text": ("64.8±2.4", "39.4±0.9", "74.2±0.7", "49.2±0.9", "81.1±0.8"),
        "cipher": ("66.0", "41.5", "75.0", "52.4", "85.0"),
    },
    "LLaMA-65B": {
        "single": ("50.8±1.6", "33.8±1.8", "68.8±1.5", "43.5±2.7", "27.6±1.1"),
        "self-consistency(k=5)": ("52.7±3.3", "36.7±0.7", "70.5±0.4", "46.8±2.1", "29.8±0.9"),
        "text": ("51.7±1.4", "36.7±0.9", "70.0±2.0", "46.0±1.7", "30.4±0.4"),
        "cipher": ("52.9", "38.5", "70.9", "50.8", "33.0"),
    },
}


def _figure(text: str) -> Figure:
    value, _, spread = text.partition("±")
    return Figure(float(value), float(spread) if spread else None)


TABLE_1: dict[str, dict[str, dict[str, Figure]]] = {
    model: {method: dict(zip(TASKS, map(_figure, row), strict=True)) for method, row in rows.items()}
    for model, rows in _TABLE_1.items()
}
"""Model → method → task → accuracy: two identical debaters, three rounds."""

TABLE_2: dict[tuple[str, str], dict[str, tuple[float, float, float]]] = {
    ("arithmetic", "cipher"): {
        "LLaMA2-70B": (73.5, 70.0, 74.5),
        "LLaMA-65B": (35.0, 61.5, 62.5),
        "agreement": (34.5, 69.0, 78.0),
    },
    ("arithmetic", "text"): {
        "LLaMA2-70B": (73.0, 69.0, 72.0),
        "LLaMA-65B": (32.5, 56.0, 60.5),
        "agreement": (31.5, 61.5, 77.5),
    },
    ("gsm8k", "cipher"): {"LLaMA2-70B": (61.5, 64.3, 64.8), "LLaMA-65B": (48.0, 60.3, 63.3)},
    ("gsm8k", "text"): {"LLaMA2-70B": (61.0, 58.8, 61.8), "LLaMA-65B": (51.3, 57.5, 59.0)},
}
"""(Task, method) → debater → accuracy after rounds 1, 2, 3, LLaMA2-70B debating with LLaMA-65B; agreement in percent."""

ROUNDS = {"cipher": (79, 82, 85, 84, 84, 85), "text": (79, 78, 81, 82, 82, 83)}
"""Arithmetic, LLaMA2-70B, after rounds 1 to 6; read off a plot."""

DEBATERS = {"cipher": {2: 66, 3: 70, 4: 72}, "text": {2: 65, 3: 68, 4: 70}}
"""GSM8K, LLaMA2-70B, by number of debaters; read off a plot."""

PARTIAL = {
    "cipher": Figure(85.0),
    "cipher:partial-max-reversed(threshold=0.8, published=true)": Figure(52.5, 2.5, True),
    "cipher:partial-entropy-reversed(threshold=1.869, published=true)": Figure(52.5, 2.5, True),
}
"""Arithmetic at temperatures (0.15, 1.75): the reversed variants fall to 50–55."""

TEMPERATURES: dict[tuple[str, str], tuple[float, float]] = {
    ("gsm8k", "cipher"): (0.22, 0.60),
    ("mmlu:high_school_mathematics", "cipher"): (0.10, 0.82),
    ("mmlu:professional_psychology", "cipher"): (0.10, 0.20),
    ("mmlu:formal_logic", "cipher"): (0.10, 0.20),
    ("arithmetic", "cipher"): (0.15, 1.75),
    ("gsm8k", "text"): (0.10, 0.20),
    ("mmlu:high_school_mathematics", "text"): (0.30, 0.49),
    ("mmlu:professional_psychology", "text"): (0.01, 0.51),
    ("mmlu:formal_logic", "text"): (0.10, 0.20),
    ("arithmetic", "text"): (0.54, 1.00),
}
"""(Task, message) → the best temperatures found, that of the debater whose answer counts first."""

TEMPERATURES_65B: dict[tuple[str, str], tuple[float, float]] = {
    ("gsm8k", "cipher"): (0.25, 0.85),
    ("mmlu:professional_psychology", "cipher"): (0.10, 0.40),
    ("arithmetic", "cipher"): (0.67, 1.43),
    ("gsm8k", "text"): (0.10, 0.20),
    ("mmlu:professional_psychology", "text"): (0.30, 0.40),
    ("arithmetic", "text"): (0.08, 0.20),
}
"""The same of LLaMA-65B, from the repository's scripts/LLaMA1_scripts.md; it has none for mathematics and logic."""

PROBE_POINTS: dict[tuple[str, str], tuple[float, float]] = {
    ("gsm8k", "cipher"): (0.38, 0.995),
    ("mmlu:high_school_mathematics", "cipher"): (0.102, 0.824),
    ("mmlu:professional_psychology", "cipher"): (0.10, 0.20),
    ("mmlu:formal_logic", "cipher"): (0.13, 0.20),
    ("arithmetic", "cipher"): (0.10, 1.75),
    ("gsm8k", "text"): (0.10, 0.20),
    ("mmlu:high_school_mathematics", "text"): (0.296, 0.485),
    ("mmlu:professional_psychology", "text"): (0.012, 0.506),
    ("mmlu:formal_logic", "text"): (0.10, 0.20),
    ("arithmetic", "text"): (0.10, 1.00),
}
"""The points that the repository's commands run LLaMA2-70B at (probe_points/*.txt); `TEMPERATURES` is what the paper prints."""

_BASELINES = {
    "LLaMA2-70B": {"gsm8k": (0.15, 0.8), "mmlu": (0.33, 0.3), "arithmetic": (0.35, 0.6)},
    "LLaMA-65B": {"gsm8k": (0.2, 0.8), "mmlu": (0.2, 0.6), "arithmetic": (0.4, 0.8)},
}
"""Model → task → temperatures of a single answer and of Major@5, from the repository's commands. Those of psychology stand for
mathematics and logic, as its README says of LLaMA2-70B."""

TEXT_TOP_P = 0.85
"""The nucleus that every text method samples from: the default of the repository's run_debate.py, which no command changes."""

TEMPERATURES_SOURCE = (
    "debaters' as the paper prints them (LLaMA-65B's: scripts/LLaMA1_scripts.md of the repository), single answer and Major@5 "
    "as in the repository's commands; its probe points differ a little and are in docs/reproductions.md"
)


def temperatures_of(model: str) -> str:
    """Return whose temperatures a model is run at: LLaMA-65B its own, every other model LLaMA2-70B's."""
    plain = model.lower().replace("_", "-")
    return "LLaMA-65B" if "llama" in plain and "65b" in plain else "LLaMA2-70B"


def temperatures(task: str, message: str, model: str = "LLaMA2-70B") -> tuple[float, float]:
    """Return the temperatures of two debaters, that of the one whose answer counts first."""
    own = TEMPERATURES_65B if model == "LLaMA-65B" else {}
    return own.get((task, message)) or TEMPERATURES[task, message]


def baselines(task: str, model: str = "LLaMA2-70B") -> tuple[float, float]:
    """Return the temperatures of a single answer and of the samples of Major@5."""
    return _BASELINES[model][task.partition(":")[0]]
