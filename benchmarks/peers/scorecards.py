"""scikit-learn, optbinning and scorecardpy as peers: in a virtual environment of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.environment import NotInstallable, peer_command, peer_python
from benchmarks.workers import Workers

REQUIREMENTS = Path(__file__).with_name("scorecards.txt")
SCRIPT = Path(__file__).with_name("scorecards_peer.py")
# The names by which the peer's script knows them, and those for people.
PEERS = {
    "logistic": "scikit-learn 1.9 logistic",
    "optbinning": "optbinning 1.0",
    "scorecardpy": "scorecardpy 0.1.9.7",
}


@contextmanager
def scorecards() -> Iterator[Workers | str]:
    """One process that fits the peers' scorecards, on the cores that this process may use.

    Yields:
        the process, or why the peers can't be installed here.
    """
    try:
        python = peer_python("scikit-learn, optbinning, scorecardpy", REQUIREMENTS)
    except NotInstallable as refused:
        yield str(refused)
        return
    command = peer_command(python, SCRIPT)
    with Workers(command, 1, folder=str(SCRIPT.parent), environment=os.environ) as workers:
        yield workers
