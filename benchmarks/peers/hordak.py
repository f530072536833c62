"""django-hordak as a peer: in a virtual environment and a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import peer_database
from benchmarks.peers.environment import NotInstallable, peer_command, peer_python
from benchmarks.workers import Workers

REQUIREMENTS = Path(__file__).with_name("hordak.txt")
SCRIPT = Path(__file__).with_name("hordak_peer.py")
PEER = "django-hordak 2.0"


@contextmanager
def hordak(processes: int, *, accounts: int) -> Iterator[Workers | str]:
    """Hordak's processes over a migrated database with ``accounts`` accounts.

    Yields:
        the processes, or why hordak can't be installed here.
    """
    try:
        command = peer_command(peer_python(PEER, REQUIREMENTS), SCRIPT)
    except NotInstallable as refused:
        yield str(refused)
        return
    with peer_database("hordak") as environment:
        folder = str(SCRIPT.parent)
        with Workers(command, 1, folder=folder, environment=environment) as first:
            first.ask("setup", accounts=accounts)
        with Workers(command, processes, folder=folder, environment=environment) as workers:
            yield workers
