"""Scoring debates: tasks, scorers, and the table that compares methods over the same questions."""

from typing import TYPE_CHECKING

from kernels.lazy import lazy_names

if TYPE_CHECKING:
    from evals.analysis.summary import Analysis as Analysis
    from evals.evaluation import Selection as Selection
    from evals.evaluation import evaluate as evaluate
    from evals.evaluation import evaluate_sync as evaluate_sync
    from evals.outputs import analyse_run as analyse_run
    from evals.outputs import write_outputs as write_outputs
    from evals.sample import Loaded as Loaded
    from evals.sample import Sample as Sample
    from evals.sample import Score as Score
    from evals.selection import select as select
    from evals.task import Task as Task
    from evals.task import create_task as create_task
__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Analysis": "evals.analysis.summary",
        "Loaded": "evals.sample",
        "Sample": "evals.sample",
        "Score": "evals.sample",
        "Selection": "evals.evaluation",
        "Task": "evals.task",
        "analyse_run": "evals.outputs",
        "create_task": "evals.task",
        "evaluate": "evals.evaluation",
        "evaluate_sync": "evals.evaluation",
        "select": "evals.selection",
        "write_outputs": "evals.outputs",
    },
)
