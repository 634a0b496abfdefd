"""Several Ray nodes on this machine, each a raylet of its own, for measuring."""

import contextlib
from collections.abc import Iterator

from agents.errors import MissingDependency
from debate.runtime.ray.session import keep_private

# The custom resource of which a node has one for each engine that it may hold.
DESK = "desk"


@contextlib.contextmanager
def simulated_nodes(count: int, engines: int) -> Iterator[str]:
    """Start nodes, and end them with the context.

    Args:
        count: nodes, besides a head that holds nothing.
        engines: that each may hold.

    Yields:
        The cluster's address.
    """
    keep_private()
    try:
        from ray.cluster_utils import Cluster
    except ModuleNotFoundError as error:
        raise MissingDependency("runtime 'ray'", "ray", "ray") from error
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=1, resources={DESK: engines})
        yield str(cluster.address)
    finally:
        cluster.shutdown()
