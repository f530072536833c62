"""The keeper: one small process beside each embedded server, which stops it after its last user.

It is started as a script in an isolated interpreter, so it imports the standard library only. It
is nobody's child (the first process forks and leaves), starts PostgreSQL, and then watches locks:

- ``use.lock``: every process that uses the server holds it shared for as long as it lives. The
  kernel gives it up when the process ends, however it ends, so there is no list of users that
  could go stale. Whoever gets it exclusively knows that there is no user left.
- ``server.lock``: inherited by the postmaster and by each of its backends. Held means that at
  least one process of this server is alive; free means that none is.
- ``keeper.lock``: held by the keeper itself.

A new user who comes while the keeper stops the server waits for ``use.lock``, so a server is
never stopped under a user.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

USE_LOCK = "use.lock"
SERVER_LOCK = "server.lock"
KEEPER_LOCK = "keeper.lock"

POLL_SECONDS = 0.1
# Commands that follow one another (migrate, seed, serve) find the server still there.
GRACE_SECONDS = 0.5
# What to send, and how many seconds to wait for it: a fast shutdown writes a checkpoint first.
STOPPING = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))


def try_lock(descriptor: int, operation: int) -> bool:
    """Try once to take a flock; False when another process holds it."""
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(descriptor: int) -> bool:
    """Whether another process holds this lock exclusively. Leaves it unlocked."""
    if try_lock(descriptor, fcntl.LOCK_SH):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return False
    return True


class Keeper:
    """Watches one server from its start, or from where a keeper that was killed left it."""

    def __init__(self, home: Path, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        self._use_path = home / USE_LOCK
        self._pid = pid
        self._child = child
        self._users = os.open(self._use_path, os.O_RDWR | os.O_CLOEXEC)
        self._server = os.open(home / SERVER_LOCK, os.O_RDWR | os.O_CLOEXEC)
        self._told_to_stop = False

    def keep(self) -> None:
        """Return when the server has stopped: by itself, after its last user, or when told to."""
        signal.signal(signal.SIGTERM, self._tell)
        while self._server_lives():
            if self._told_to_stop or self._is_moved_away() or self._is_unused():
                self._stop()
            else:
                time.sleep(POLL_SECONDS)
        if self._child is not None:
            # Reaped here: in a container there may be no init that reaps it later.
            self._child.wait()

    def _tell(self, _signal: int, _frame: FrameType | None) -> None:
        self._told_to_stop = True

    def _server_lives(self) -> bool:
        if self._child is not None:
            self._child.poll()  # a dead postmaster must not stay as a zombie beside its orphans
        return is_held(self._server)

    def _is_moved_away(self) -> bool:
        """Whether the data folder is gone: new users would lock another file than ours."""
        try:
            now = self._use_path.stat()
        except OSError:
            return True
        ours = os.fstat(self._users)
        return (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino)

    def _is_unused(self) -> bool:
        """Whether nobody uses the server, now and after the grace; if so, new users must wait."""
        if not try_lock(self._users, fcntl.LOCK_EX):
            return False
        fcntl.flock(self._users, fcntl.LOCK_UN)
        time.sleep(GRACE_SECONDS)
        return try_lock(self._users, fcntl.LOCK_EX)

    def _send(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(number)  # not sent when it has ended: its pid may be another's
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def _stop(self) -> None:
        for number, seconds in STOPPING:
            self._send(number)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if not self._server_lives():
                    return
                time.sleep(0.01)


def _drop_privileges(uid: int, gid: int) -> None:
    """Go on as the server's user: PostgreSQL refuses to run as root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def _start_server(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    server_lock = int(order["server_lock"])
    child = subprocess.Popen(  # noqa: S603 - our own command
        order["command"],
        stdin=subprocess.DEVNULL,
        cwd=order["home"],
        env=order["environment"],
        pass_fds=(server_lock,),
        start_new_session=True,
    )
    os.close(server_lock)
    return child


def main(order: dict[str, Any]) -> None:
    """Leave the process that called, start the server (or take over ``pid``), and keep it.

    Standard output and error are the server's log; the lock descriptors are inherited.
    """
    if os.fork() > 0:
        os._exit(0)
    os.umask(0o077)
    _drop_privileges(int(order["uid"]), int(order["gid"]))
    os.chdir(order["home"])
    child = _start_server(order) if order["command"] else None
    pid = int(order["pid"]) if child is None else child.pid
    Keeper(Path(order["home"]), pid, child).keep()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
