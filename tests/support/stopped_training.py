"""A training that is ended on its way, as by Ctrl-C."""

import pytest

from evals.training import train as training


def train_until_the_second_look(recipe, out, monkeypatch):
    """Train until the second look begins; each look asks for two accuracies."""
    accuracy, asked = training.accuracy, []

    def stop_later(*args, **options):
        asked.append(1)
        if len(asked) > 2:
            raise KeyboardInterrupt
        return accuracy(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(training, "accuracy", stop_later)
        with pytest.raises(KeyboardInterrupt):
            training.train(recipe, out)
