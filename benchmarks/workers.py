"""Processes that work at the same time: each takes commands and answers, one JSON a line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self


class Workers:
    """``count`` processes of one command, alive from entering to leaving a ``with`` block."""

    def __init__(
        self, command: Sequence[str], count: int, *, folder: str, environment: Mapping[str, str]
    ) -> None:
        self._processes = [
            subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=folder,
                env=environment,
                text=True,
            )
            for _ in range(count)
        ]

    def ask(self, do: str, **arguments: Any) -> list[Any]:
        """Give all processes the same command; their answers, once all have answered.

        ``worker`` in the command is the process's number, so that no two need do the same.

        Raises:
            RuntimeError: a process ended instead; what it said is on standard error.
        """
        for place, process in enumerate(self._processes):
            if process.stdin is None:
                raise RuntimeError("a worker has no input")
            process.stdin.write(json.dumps({"do": do, "worker": place, **arguments}) + "\n")
            process.stdin.flush()
        return [_answer(process) for process in self._processes]

    def rate(self, do: str, **arguments: Any) -> float:
        """What all together did a second, of a command that answers ``[count, seconds]``."""
        return sum(float(count) / float(spent) for count, spent in self.ask(do, **arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answer(process: subprocess.Popen[str]) -> Any:
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise RuntimeError(f"a worker ended with exit status {process.wait()}")
    return json.loads(line)
