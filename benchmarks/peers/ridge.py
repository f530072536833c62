"""scikit-learn's ridge logistic regression beside ours, in one process of an environment apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.environment import NotInstallable, peer_command, peer_python
from benchmarks.workers import Workers

REQUIREMENTS = Path(__file__).with_name("ridge.txt")
SCRIPT = Path(__file__).with_name("ridge_peer.py")
REPOSITORY = Path(__file__).resolve().parents[2]
PEER = "scikit-learn 1.9"


@contextmanager
def ridge() -> Iterator[Workers | str]:
    """One process that knows scikit-learn and our core (which needs numpy and scipy only).

    Yields:
        the process, or why scikit-learn can't be installed here.
    """
    try:
        command = peer_command(peer_python(PEER, REQUIREMENTS), SCRIPT)
    except NotInstallable as refused:
        yield str(refused)
        return
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with Workers(command, 1, folder=str(SCRIPT.parent), environment=environment) as workers:
        yield workers
