"""Libraries leave files, sockets and streams to the garbage collector: it finds them here, and not in whatever test is next."""

import gc
import warnings

import pytest


@pytest.fixture(autouse=True, scope="module")
def _collected():
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
