"""The cards of MP3: a classifier of pictures, and a judge of the order of steps."""

from agents.beliefs.cards import Card

PAPER = "Zhai et al., 2022, arXiv:2207.07611"
CARD = Card(
    name="mp3",
    paper=PAPER,
    modality="image",
    message="belief over written digits, or over the question's options",
    checkpoint="none shipped: debate train mp3 (scikit-learn's digits)",
    licence="Apache-2.0 (code); CC BY 4.0 (UCI's digits)",
    backend="agents.models.mp3.backend:MP3Backend",
    training="agents.models.mp3.training:claims",
    # No network of MP3's: it has the written digits in common with it.
    recipes=(("lazy", "Li et al., 2022, arXiv:2210.06313", "agents.models.lazy.training:claims"),),
)
ORDER = Card(
    name="mp3_order",
    paper=PAPER,
    modality="text",
    message="belief over orders of a solution's steps, which are the question's options",
    checkpoint="sums of products (shipped); debate train mp3_order --data FOLDER (GSM8K) for word problems",
    licence="Apache-2.0 (code and checkpoint)",
    backend="agents.models.mp3.order_backend:OrderJudge",
    # Its solutions are the tasks' own, which are of evals.
    training="evals.training.step_order:claims",
)
