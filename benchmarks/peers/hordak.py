"""django-hordak as a peer: in a virtual environment and a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from benchmarks.measuring import peer_database
from benchmarks.workers import Workers

REQUIREMENTS = Path(__file__).with_name("hordak.txt")
SCRIPT = Path(__file__).with_name("hordak_peer.py")
PEER = "django-hordak 2.0"


class NotInstallable(Exception):
    """The peer's packages can't be had here; the message says why."""


@contextmanager
def hordak(processes: int, *, accounts: int) -> Iterator[Workers | str]:
    """Hordak's processes over a migrated database with ``accounts`` accounts.

    Yields:
        the processes, or why hordak can't be installed here.
    """
    try:
        python = _installed()
    except NotInstallable as refused:
        yield str(refused)
        return
    with peer_database("hordak") as environment:
        # Safe path: modules beside the script would hide the packages they are named after.
        command = [str(python), "-P", str(SCRIPT)]
        folder = str(SCRIPT.parent)
        with Workers(command, 1, folder=folder, environment=environment) as first:
            first.ask("setup", accounts=accounts)
        with Workers(command, processes, folder=folder, environment=environment) as workers:
            yield workers


def _installed() -> Path:
    """The interpreter of hordak's environment, which is made on first use.

    Raises:
        NotInstallable: no package index can be reached, or it lacks what is pinned.
    """
    folder = settings.DATA_DIR / "peers" / "hordak"
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    pinned = REQUIREMENTS.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == pinned:
        return Path(python)
    install = ["-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    hashed = ["--require-hashes", "--no-deps", "--requirement", str(REQUIREMENTS)]
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([str(python), *install, *hashed])
    stamp.write_text(pinned, encoding="utf-8")
    return Path(python)


def _run(command: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        command, check=False, capture_output=True, text=True, env=dict(os.environ)
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing said"]
        raise NotInstallable(f"{PEER} can't be installed: {said[-1]}")
