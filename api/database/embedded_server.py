"""Starting the embedded PostgreSQL, whatever state an earlier process left it in.

Everything here runs under ``start.lock``, in a process that already holds ``use.lock``.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from api.database import embedded_keeper as keeper
from api.database.embedded_place import (
    ENVIRONMENT,
    PORT,
    EmbeddedPostgresFailed,
    Place,
    find_binaries,
    make_socket_folder,
    run_as_server_user,
)
from api.database.embedded_settings import (
    buffer_sizes,
    initdb_command,
    postgres_command,
)

LOCK_SECONDS = 120.0
# Crash recovery replays up to max_wal_size; a slow disk needs minutes for that.
RECOVERY_SECONDS = 300.0
# Backends that outlive their postmaster leave within moments, unless they are inside a long query.
ORPHAN_SECONDS = 1.0
SILENT_SECONDS = 30.0
POLL_SECONDS = 0.01
ANSWER_SECONDS = 5.0
TLS_REQUEST = struct.pack("!II", 8, 80877103)  # its length, and a code for "do you speak TLS?"
LARGEST_LOG = 20 * 1024 * 1024
LOG_TAIL_LINES = 15
LOG_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class EmbeddedServer:
    """A server that answers, as its ``postmaster.pid`` describes it."""

    pid: int
    socket_folder: Path
    is_ready: bool


def find_server(place: Place) -> EmbeddedServer | None:
    """Find the server if it answers. A pid alone proves nothing: it may be another program's."""
    try:
        lines = (place.data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    # A folder that was copied brings the original's file along.
    if len(lines) < 5 or lines[1] != str(place.data):
        return None
    folder = Path(lines[4])
    if not _answers(folder / f".s.PGSQL.{PORT}"):
        return None
    return EmbeddedServer(int(lines[0]), folder, [line.strip() for line in lines[7:8]] == ["ready"])


def _answers(path: Path) -> bool:
    """Whether a server takes connections there, if only to say that it is not ready yet.

    That the socket can be connected to is not enough: for some milliseconds a killed server still
    lets us in. So it is asked whether it speaks TLS, which costs no session and no line in its log.
    """
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(ANSWER_SECONDS)
        try:
            probe.connect(str(path))
            probe.sendall(TLS_REQUEST)
            return probe.recv(1) != b""
        except TimeoutError:
            return True  # too busy to answer, but there
        except (ConnectionError, FileNotFoundError):
            return False


def open_lock(place: Place, name: str) -> int:
    """Open a lock file. Programs that this process starts don't inherit it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(place.home / name, flags, 0o600)
    if place.account is not None:
        os.fchown(descriptor, place.account.uid, place.account.gid)
    return descriptor


def open_locked(place: Place, name: str, operation: int) -> int:
    """Open a lock file and take its lock.

    Raises:
        EmbeddedPostgresFailed: when others do not give it up in two minutes.
    """
    descriptor = open_lock(place, name)
    deadline = time.monotonic() + LOCK_SECONDS
    while not keeper.try_lock(descriptor, operation):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise EmbeddedPostgresFailed(
                f"Another process has been starting or stopping the embedded PostgreSQL in"
                f" {place.home} for {LOCK_SECONDS:.0f} seconds."
            )
        time.sleep(POLL_SECONDS)
    return descriptor


@contextmanager
def start_lock(place: Place) -> Iterator[None]:
    """Let one process at a time start the server or change what it holds."""
    descriptor = open_locked(place, "start.lock", fcntl.LOCK_EX)
    try:
        yield
    finally:
        # Unlocked, not only closed: a child forked meanwhile has a copy of the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def is_kept(place: Place) -> bool:
    """Whether the server has a keeper, who stops it after its last user."""
    descriptor = open_lock(place, keeper.KEEPER_LOCK)
    try:
        return keeper.is_held(descriptor)
    finally:
        os.close(descriptor)


@dataclass
class Starter:
    """Brings one server up, from any state. Used once, under the start lock."""

    place: Place
    _sizes: list[int] = field(init=False)
    _log_start: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._sizes = buffer_sizes()

    def run(self) -> EmbeddedServer:
        """Return the server when it takes connections.

        Raises:
            EmbeddedPostgresFailed: with the end of the server's log when it does not start.
        """
        begun = silent_since = time.monotonic()
        while True:
            server = find_server(self.place)
            now = time.monotonic()
            if server is not None:
                if server.is_ready:
                    self._adopt(server)
                    return server
                silent_since = now
            elif self._launch():
                silent_since = now
            if now - begun > RECOVERY_SECONDS:
                raise self._failure("is still not ready; it may be recovering, try again later")
            if now - silent_since > ORPHAN_SECONDS:
                _end_orphans(self.place)
            if now - silent_since > SILENT_SECONDS:
                raise self._failure("is in use by processes that don't answer or run elsewhere")
            time.sleep(POLL_SECONDS)

    def _adopt(self, server: EmbeddedServer) -> None:
        """Give the server a new keeper if the one it had was killed."""
        with open_lock_file(self.place, keeper.KEEPER_LOCK) as keeper_lock:
            is_free = keeper.try_lock(keeper_lock, fcntl.LOCK_EX)
            if is_free and _is_postmaster(server.pid, self.place):
                self._call_keeper(keeper_lock, pid=server.pid)

    def _launch(self) -> bool:
        """Start the server if no process of an earlier one is left; False while there is one.

        Having both locks proves it: the keeper is gone, and so are the postmaster, its backends
        and an ``initdb`` whose caller was killed, all of which inherit the server lock.
        """
        with open_lock_file(self.place, keeper.KEEPER_LOCK) as keeper_lock:
            if not keeper.try_lock(keeper_lock, fcntl.LOCK_EX):
                return False
            with open_lock_file(self.place, keeper.SERVER_LOCK) as server_lock:
                if not keeper.try_lock(server_lock, fcntl.LOCK_EX):
                    return False
                self._start(keeper_lock, server_lock)
                return True

    def _start(self, keeper_lock: int, server_lock: int) -> None:
        if self._log_start is not None:
            self._try_smaller()
        binaries = find_binaries(self.place)
        if not self.place.data.exists():
            _make_data(self.place, binaries, server_lock)
        _rotate_log(self.place)
        log = self.place.log
        self._log_start = log.stat().st_size if log.exists() else 0
        # The locks prove that no process of it lives, but PostgreSQL judges by pids alone, which
        # may be another program's by now, and would refuse.
        (self.place.data / "postmaster.pid").unlink(missing_ok=True)
        folder = make_socket_folder(self.place)
        for stale in folder.glob(".s.PGSQL.*"):
            stale.unlink(missing_ok=True)
        command = postgres_command(self.place, binaries, folder, self._sizes[0])
        self._call_keeper(keeper_lock, server_lock=server_lock, command=command)

    def _try_smaller(self) -> None:
        """After a failed start: go on with smaller buffers if memory was what it lacked."""
        said = _log_tail(self.place, self._log_start)
        is_memory = "shared memory" in said or "Cannot allocate memory" in said
        if not is_memory or len(self._sizes) == 1:
            raise self._failure("does not start")
        del self._sizes[0]

    def _call_keeper(
        self,
        keeper_lock: int,
        *,
        pid: int = 0,
        server_lock: int | None = None,
        command: list[str] | None = None,
    ) -> None:
        account = self.place.account
        order = {
            "home": str(self.place.home),
            "uid": account.uid if account is not None else os.geteuid(),
            "gid": account.gid if account is not None else os.getegid(),
            "pid": pid,
            "server_lock": server_lock,
            "command": command,
            "environment": ENVIRONMENT,
        }
        inherited = [keeper_lock] if server_lock is None else [keeper_lock, server_lock]
        with _open_log(self.place) as log:
            # Isolated and without site packages it starts in some 20 ms.
            subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-I", "-S", str(Path(keeper.__file__)), json.dumps(order)],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                start_new_session=True,
            )

    def _failure(self, what: str) -> EmbeddedPostgresFailed:
        said = _log_tail(self.place, self._log_start)
        return EmbeddedPostgresFailed(
            f"The embedded PostgreSQL in {self.place.home} {what}."
            + (f" The end of its log:\n{said}" if said else "")
        )


@contextmanager
def open_lock_file(place: Place, name: str) -> Iterator[int]:
    """Open a lock file for a while. Closing does not unlock what a started process inherited."""
    descriptor = open_lock(place, name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _open_log(place: Place) -> Iterator[int]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(place.log, flags, 0o600)
    try:
        place.own(place.log)
        yield descriptor
    finally:
        os.close(descriptor)


def _rotate_log(place: Place) -> None:
    with suppress(FileNotFoundError):
        if place.log.stat().st_size > LARGEST_LOG:
            place.log.replace(place.log.with_suffix(".log.1"))


def _log_tail(place: Place, start: int | None) -> str:
    """The last lines of the log since the start of this server."""
    if start is None or not place.log.exists():
        return ""
    with place.log.open("rb") as log:
        log.seek(start)
        lines = log.read(LOG_TAIL_BYTES).decode(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:])


def _make_data(place: Place, binaries: Path, server_lock: int) -> None:
    """Make the data folder under another name first: under its own it is always complete."""
    for left_over in place.home.glob("initdb-*"):
        shutil.rmtree(left_over)
    draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=place.home))
    place.own(draft)
    result = run_as_server_user(place, initdb_command(binaries, draft), (server_lock,))
    if result.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        said = "\n".join(result.stdout.splitlines()[-LOG_TAIL_LINES:])
        raise EmbeddedPostgresFailed(
            f"A database could not be made in {place.home}; initdb said:\n{said}"
        )
    draft.rename(place.data)
    descriptor = os.open(place.home, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _is_postmaster(pid: int, place: Place) -> bool:
    """Whether the pid is this server's here: another container's pids are not ours to signal."""
    with suppress(psutil.Error):
        return str(place.data) in psutil.Process(pid).cmdline()
    return False


def _end_orphans(place: Place) -> None:
    """Kill backends whose postmaster died and who have not noticed, busy with a long query.

    What they were doing is lost already: the server's restart recovers from the log.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_ours = process.cmdline()[:1] and process.cmdline()[0].startswith(
                f"postgres: {place.name}: "
            )
            parent = process.parent() if is_ours else None
            if is_ours and (parent is None or parent.name() != "postgres"):
                process.kill()
