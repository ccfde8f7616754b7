"""A Ray cluster of two nodes on this machine, on loopback and behind a token, for all tests of a session."""

import atexit
import functools
import os
import secrets
import shutil
import tempfile
from typing import Any

os.environ |= {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what keeps Ray's servers on loopback
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
}


@functools.cache
def two_nodes() -> Any:
    """Starts the cluster; it ends with the process. Its head takes jobs at `webui_url`."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_TMPDIR"] = scratch = tempfile.mkdtemp(prefix="codesieve-", dir="/tmp")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)  # after the cluster's own exit, which comes first
    head = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": 0}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **head})
    cluster.add_node(num_cpus=1)
    return cluster
