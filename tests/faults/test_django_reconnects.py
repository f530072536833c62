"""A web process outlives its database: the next request finds it started again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What a worker of the web server does: a request, the database dies, the next request.
WORKER = """
import os, signal, time, django
from pathlib import Path
os.environ["DJANGO_SETTINGS_MODULE"] = "api.settings"
django.setup()
from django.core.signals import request_finished, request_started
from django.db import connection
import psutil

def request():
    request_started.send(None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    request_finished.send(None)
    return pid

first = request()
postmaster = psutil.Process(first).parent()
postmaster.kill()
postmaster.wait()
print("again" if request() != first else "same")
"""


def test_the_next_request_after_a_killed_server_is_answered(tmp_path: Path) -> None:
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("DATABASE_") and key != "TENNER_THROWAWAY"
    }
    environment["TENNER_DATA"] = str(tmp_path / "data")
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "again", done.stderr
