"""OR-Tools' min-cost flow as a peer: in a virtual environment of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.environment import NotInstallable, peer_command, peer_python
from benchmarks.workers import Workers

REQUIREMENTS = Path(__file__).with_name("ortools.txt")
SCRIPT = Path(__file__).with_name("ortools_peer.py")
PEER = "OR-Tools 9.15 SimpleMinCostFlow"


@contextmanager
def ortools() -> Iterator[Workers | str]:
    """One process of OR-Tools, on the cores that this process may use.

    Yields:
        the process, or why OR-Tools can't be installed here.
    """
    try:
        command = peer_command(peer_python(PEER, REQUIREMENTS), SCRIPT)
    except NotInstallable as refused:
        yield str(refused)
        return
    with Workers(command, 1, folder=str(SCRIPT.parent), environment=os.environ) as workers:
        yield workers
