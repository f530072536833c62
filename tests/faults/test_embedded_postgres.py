"""The embedded PostgreSQL under real kills, races and bad folders.

Each test has real servers in a data folder of its own; the project's server is not touched. Users
of a server are real processes, because what is tested is what the kernel does when they die.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from api.database import embedded
from api.database.urls import django_database
from tests.faults.embedded_house import STOP_SECONDS, USER, House, opened, run, until

IS_ROOT = os.geteuid() == 0


def a_server_process(house: House) -> dict[str, object]:
    """Arguments to run a process as the user that the server runs as."""
    return {"user": house.home.stat().st_uid} if IS_ROOT else {}


@pytest.fixture
def bare_house() -> Iterator[House]:
    """A house without a database: its first user makes it."""
    with opened() as house:
        yield house


@pytest.fixture(scope="module")
def made_once() -> Iterator[House]:
    """A house with a new database, at rest."""
    with opened() as house:
        house.user().leave()
        house.stopped_within()
        yield house


@pytest.fixture
def house(made_once: House) -> Iterator[House]:
    """A house with a new database, copied, which is faster than to make it."""
    with opened() as house:
        subprocess.run(["cp", "-a", str(made_once.home), str(house.folder)], check=True)
        yield house


def test_it_is_shared_and_stops_after_the_last_user(house: House) -> None:
    first, second = house.user(), house.user()
    assert first.application == second.application
    run(first.owner, "CREATE TABLE kept (n integer)", "INSERT INTO kept VALUES (7)")
    pid = house.postmaster
    first.leave()
    time.sleep(0.9)
    assert run(second.owner, "SELECT n FROM kept") == [(7,)]
    assert house.postmaster == pid
    second.leave()
    assert house.stopped_within() < 2
    assert until(lambda: not house.keepers(), 1)
    assert run(house.user().owner, "SELECT n FROM kept") == [(7,)]


def test_a_user_killed_with_sigkill_leaves_nothing_running(house: House) -> None:
    house.user().kill()
    assert house.stopped_within() < 2


def test_a_forked_child_is_a_user(house: House) -> None:
    user = house.user()
    user.tell("fork")
    user.leave()
    time.sleep(0.9)
    assert run(user.application, "SELECT 1") == [(1,)]
    assert until(lambda: not house.is_served(), STOP_SECONDS)


def test_the_two_roles(house: House) -> None:
    user = house.user()
    run(user.owner, "CREATE TABLE book (n integer)", "GRANT SELECT ON book TO tenner_app")
    assert run(user.application, "SELECT * FROM book") == []
    for forbidden in (
        "CREATE TABLE mine (n integer)",
        "CREATE SCHEMA mine",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        "INSERT INTO book VALUES (1)",
        "SET ROLE tenner_owner",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(user.application, forbidden)
    flags = run(
        user.owner,
        "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
        " FROM pg_roles WHERE rolname LIKE 'tenner%' ORDER BY rolname",
    )
    assert flags == [
        ("tenner_app", False, False, False, False, False),
        ("tenner_owner", False, True, False, False, False),
    ]
    # A test's database is a clone, dropped though the application is still connected to it.
    run(user.owner, "CREATE DATABASE clone TEMPLATE tenner")
    with psycopg.connect(user.application, dbname="clone"):
        run(user.owner, "DROP DATABASE clone WITH (FORCE)")
    assert run(user.owner, "SHOW fsync") == run(user.owner, "SHOW synchronous_commit") == [("on",)]
    assert run(user.owner, "SHOW listen_addresses") == [("",)]
    assert house.home.stat().st_mode & 0o077 == 0


def test_twenty_processes_start_at_once(bare_house: House) -> None:
    users = [bare_house.send() for _ in range(20)]
    assert len({user.join().application for user in users}) == 1
    assert len(bare_house.keepers()) == 1
    assert run(users[-1].application, "SELECT 1") == [(1,)]
    for user in users:
        user.process.kill()
    assert until(lambda: not bare_house.is_served(), STOP_SECONDS)


def test_a_killed_postmaster_is_started_again_for_a_living_process(house: House) -> None:
    user = house.user()
    run(user.owner, "CREATE TABLE kept (n integer)", "INSERT INTO kept VALUES (7)")
    for _ in range(2):
        os.kill(house.postmaster, signal.SIGKILL)
        user.tell("ensure")
        assert run(user.owner, "SELECT n FROM kept") == [(7,)]
    assert len(house.keepers()) == 1


def test_a_backend_that_outlives_its_postmaster_is_ended(house: House) -> None:
    user = house.user()
    connection = psycopg.connect(user.application)
    connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000000000)")
    time.sleep(0.2)
    os.kill(house.postmaster, signal.SIGKILL)
    user.tell("ensure")
    assert run(user.application, "SELECT 1") == [(1,)]
    connection.close()


def test_everything_killed_at_once(house: House) -> None:
    users = [house.user(), house.user()]
    run(users[0].owner, "CREATE TABLE kept AS SELECT * FROM generate_series(1, 10000)")
    victims = [keeper.pid for keeper in house.keepers()] + [user.process.pid for user in users]
    backends = psutil.Process(house.postmaster).children()
    victims += [house.postmaster, *(backend.pid for backend in backends)]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    assert run(house.user().owner, "SELECT count(*) FROM kept") == [(10000,)]


def test_a_killed_keeper_is_replaced(house: House) -> None:
    first = house.user()
    pid = house.postmaster
    house.keepers()[0].kill()
    second = house.user()
    assert house.postmaster == pid
    assert len(house.keepers()) == 1
    first.kill()
    second.kill()
    assert house.stopped_within() < 2


@pytest.mark.parametrize("moment", ["initdb-*", "initdb-*/base/1", "data"])
def test_killed_while_it_is_made(bare_house: House, moment: str) -> None:
    victim = bare_house.send()
    home = bare_house.folder / "postgres"
    assert until(lambda: any(home.glob(moment)), 10)
    victim.kill()
    user = bare_house.user()
    assert run(user.application, "SELECT 1") == [(1,)]
    assert not any(bare_house.home.glob("initdb-*"))


def test_a_stale_pid_that_is_another_programs(house: House) -> None:
    user = house.user()
    user.kill()
    file = house.home / "data" / "postmaster.pid"
    lines = file.read_text().splitlines() if file.exists() else []
    assert house.stopped_within() < 2
    other = subprocess.Popen(["sleep", "60"], **a_server_process(house))  # type: ignore[call-overload]
    try:
        file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        assert run(house.user().application, "SELECT 1") == [(1,)]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_new_user_never_meets_a_server_that_stops(house: House) -> None:
    user = house.user()
    for pause in (0.0, 0.45, 0.5, 0.55):
        user.kill()
        time.sleep(pause)
        user = house.user()
        with psycopg.connect(user.application) as connection:
            time.sleep(0.1)
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_deep_folder_with_spaces(bare_house: House) -> None:
    bare_house.folder = bare_house.folder.joinpath(*["a folder, with % and @"] * 8)
    user = bare_house.user()
    assert len(django_database(user.application)["HOST"]) < len(str(bare_house.folder))
    assert run(user.application, "SELECT 1") == [(1,)]
    user.kill()
    assert bare_house.stopped_within() < 2
    # As a cleaner of temporary folders does; the url is in other processes' settings.
    shutil.rmtree((bare_house.home / "socket").resolve())
    assert bare_house.user().application == user.application


@pytest.mark.skipif(not IS_ROOT, reason="only root's server runs as another user")
def test_a_folder_that_only_root_may_enter(bare_house: House) -> None:
    bare_house.folder.chmod(0o700)
    user = bare_house.user()
    assert run(user.owner, "CREATE TABLE kept ()") == []
    assert bare_house.folder.stat().st_mode & 0o777 == 0o700
    assert bare_house.folder not in bare_house.home.parents
    user.kill()
    assert bare_house.stopped_within() < 2
    copied = House(bare_house.folder.with_name(f"{bare_house.folder.name}-copy"))
    shutil.copytree(bare_house.folder, copied.folder, symlinks=True)
    try:
        refused = copied.send()
        assert "another folder" in refused.process.communicate()[1]
    finally:
        shutil.rmtree(copied.folder)


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_an_ordinary_user(bare_house: House) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(bare_house.folder, nobody.pw_uid, nobody.pw_gid)
    bare_house.options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    try:
        user = bare_house.user()
    except PermissionError:
        pytest.skip("an ordinary user may not run this Python")
    assert run(user.application, "SELECT 1") == [(1,)]
    assert psutil.Process(bare_house.postmaster).uids().real == nobody.pw_uid
    # Root joins the server of the folder's owner.
    bare_house.options = {}
    assert bare_house.user().application == user.application


def test_a_failing_start_says_why(house: House) -> None:
    house.user().kill()
    assert house.stopped_within() < 2
    settings = house.home / "data" / "postgresql.conf"
    good = settings.read_text()
    settings.write_text("nonsense = 1\n")
    said = house.send().process.communicate()[1]
    assert said.startswith("refused: The embedded PostgreSQL in ")
    assert 'unrecognized configuration parameter "nonsense"' in said
    settings.write_text(good)
    assert run(house.user().application, "SELECT 1") == [(1,)]


def test_a_folder_that_cannot_be_made(bare_house: House) -> None:
    (bare_house.folder / "postgres").write_text("in the way")
    said = bare_house.send().process.communicate()[1]
    assert said.startswith("refused: The data folder ")
    (bare_house.folder / "postgres").unlink()


def test_little_memory(house: House) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))"
    user = house.send(f"{limit}\n{USER}").join()
    (size,) = run(user.application, "SHOW shared_buffers")[0]
    assert size == "128MB"


def test_reset_makes_an_empty_database(house: House) -> None:
    reset = (
        "import os; from api.database.embedded import reset_database; reset_database(os.environ)"
    )
    user = house.user()
    run(user.owner, "CREATE TABLE gone ()")
    with psycopg.connect(user.application):
        done = house.send(reset)
        assert done.process.communicate()[1] == ""
    assert run(user.owner, "SELECT count(*) FROM pg_tables WHERE tablename = 'gone'") == [(0,)]
    run(user.owner, "CREATE TABLE anew ()")


def test_reset_is_refused_for_a_server_of_ones_own() -> None:
    with pytest.raises(embedded.EmbeddedPostgresFailed, match="DATABASE_URL is set"):
        embedded.reset_database({"DATABASE_URL": "postgresql://h/d"})
