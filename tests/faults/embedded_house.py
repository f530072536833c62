"""Real servers in folders of their own, and real processes that use them, to be killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from api.database.embedded_keeper import SERVER_LOCK, is_held

PROJECT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 4.0

USER = """
import os, sys
from api.database import embedded
from api.database.urls import database_urls
try:
    urls = database_urls(os.environ)
except embedded.EmbeddedPostgresFailed as failure:
    sys.exit(f"refused: {failure}")
print(urls.application, urls.owner, flush=True)
for line in sys.stdin:
    if line.strip() == "fork" and os.fork() == 0:
        os.closerange(0, 3)
        import time
        time.sleep(1.5)
        os._exit(0)
    embedded.ensure_running()
    print("done", flush=True)
"""


@dataclass
class User:
    """A process that uses the server until told to leave."""

    process: subprocess.Popen[str]
    application: str = ""
    owner: str = ""

    def join(self) -> User:
        """Wait until it has its urls."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.application, self.owner = line.split()
        return self

    def tell(self, word: str) -> None:
        """Have it do something, and wait until it is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(word, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer == "done\n", self.process.communicate()[1]

    def leave(self) -> None:
        self.process.communicate()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass
class House:
    """A data folder and those who use it."""

    folder: Path
    options: dict[str, object] = field(default_factory=dict)
    users: list[User] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return (self.folder / "postgres").resolve()

    @property
    def postmaster(self) -> int:
        return int((self.home / "data" / "postmaster.pid").read_text().splitlines()[0])

    def send(self, command: str = USER) -> User:
        """Begin a user without waiting for it."""
        # What is tested is what customers run, not the suite's own hasty server.
        environ = {
            key: value
            for key, value in os.environ.items()
            if "DATABASE" not in key and key != "TENNER_THROWAWAY"
        }
        process = subprocess.Popen(
            [sys.executable, "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=environ | {"TENNER_DATA": str(self.folder)},
            **self.options,  # type: ignore[call-overload]
        )
        user = User(process)
        self.users.append(user)
        return user

    def user(self) -> User:
        return self.send().join()

    def keepers(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if any("embedded_keeper.py" in word for word in process.info["cmdline"] or ())
            and f'"home": "{self.home}"' in process.info["cmdline"][-1]
        ]

    def is_served(self) -> bool:
        try:
            descriptor = os.open(self.home / SERVER_LOCK, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return is_held(descriptor)
        finally:
            os.close(descriptor)

    def stopped_within(self) -> float:
        """Seconds until no process of the server was left."""
        begun = time.monotonic()
        assert until(lambda: not self.is_served(), STOP_SECONDS)
        return time.monotonic() - begun


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def run(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements, committed each; the rows of the last one."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements[:-1]:
            connection.execute(statement.encode())
        cursor = connection.execute(statements[-1].encode())
        return cursor.fetchall() if cursor.description else []


def in_memory() -> str | None:
    """A folder in memory, if there is a large one: no test here pulls the plug."""
    folder = Path("/dev/shm")  # noqa: S108
    try:
        return str(folder) if shutil.disk_usage(folder).free > 2 << 30 else None
    except OSError:
        return None


@contextmanager
def opened() -> Iterator[House]:
    """A house in a new folder; whoever still uses its server is killed at the end."""
    # Not pytest's folder, which only its own user may enter: as root the server is another.
    folder = Path(tempfile.mkdtemp(prefix="tenner-test-", dir=in_memory()))
    folder.chmod(0o711)
    house = House(folder)
    yield house
    for user in house.users:
        user.kill()
    # As when the machine shuts down; sooner than to wait until the keeper misses the users.
    for keeper in house.keepers():
        keeper.terminate()
    until(lambda: not house.is_served(), STOP_SECONDS)
    # Both may be links to where the server could reach, or where a socket fits.
    shutil.rmtree((house.home / "socket").resolve(), ignore_errors=True)
    shutil.rmtree(house.home, ignore_errors=True)
    shutil.rmtree(folder)
