"""A peer's packages: in a virtual environment of the peer's own, pinned and hashed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings


class NotInstallable(Exception):
    """The peer's packages can't be had here; the message says why."""


def peer_python(peer: str, requirements: Path) -> Path:
    """The interpreter of a peer's environment, which is made on first use.

    Args:
        peer: the peer's name for people, such as ``OR-Tools 9.15``.
        requirements: every package that it needs, with hashes; the file's name, without suffix,
            names the environment.

    Raises:
        NotInstallable: no package index can be reached, or it lacks what is pinned.
    """
    folder = settings.DATA_DIR / "peers" / requirements.stem
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    pinned = requirements.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == pinned:
        return Path(python)
    install = ["-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    hashed = ["--require-hashes", "--no-deps", "--requirement", str(requirements)]
    _run(peer, [sys.executable, "-m", "venv", "--clear", str(folder)])
    _run(peer, [str(python), *install, *hashed])
    stamp.write_text(pinned, encoding="utf-8")
    return Path(python)


def peer_command(python: Path, script: Path) -> list[str]:
    """What starts a peer's script.

    Safe path: modules beside the script would hide the packages they are named after.
    """
    return [str(python), "-P", str(script)]


def _run(peer: str, command: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        command, check=False, capture_output=True, text=True, env=dict(os.environ)
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing said"]
        raise NotInstallable(f"{peer} can't be installed: {said[-1]}")
