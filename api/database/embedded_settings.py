"""What the embedded PostgreSQL is set to."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from api.database.embedded_place import PORT, Place

SUPERUSER = "postgres"
MEBIBYTE = 1024 * 1024

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "300",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    "huge_pages": "try",
    "jit": "off",
    "random_page_cost": "1.1",
    # It is money: what was committed is on the disk.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    # A migration, or a query over many partitions, locks more than the usual 64 tables.
    "max_locks_per_transaction": "256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements that fail hold personal data, so they are not logged; a failing server is.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}

# For databases of tests, which nobody misses if the machine fails: a server that is killed recovers
# all the same. Cloning and dropping them is most of what writes to the disk.
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def initdb_command(binaries: Path, data: Path) -> list[str]:
    """The command that makes a data folder."""
    # The same order of strings and the same letters on every machine, whatever its locale.
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    access = ["--auth-local=trust", "--auth-host=reject", "--username", SUPERUSER]
    return [str(binaries / "initdb"), "-D", str(data), "--encoding=UTF8", *locale, *access]


def postgres_command(place: Place, binaries: Path, folder: Path, buffers: int) -> list[str]:
    """The command that runs the server, with ``buffers`` bytes of shared buffers."""
    lasting = {} if os.environ.get("TENNER_THROWAWAY") != "1" else THROWAWAY
    settings = (
        SETTINGS
        | lasting
        | {
            "port": str(PORT),
            "unix_socket_directories": f'"{folder}"',
            "cluster_name": place.name,
            "shared_buffers": f"{buffers // MEBIBYTE}MB",
            "effective_cache_size": f"{max(_memory() // 2 // MEBIBYTE, 64)}MB",
            "dynamic_shared_memory_type": _shared_memory_type(),
        }
    )
    pairs = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(binaries / "postgres"), "-D", str(place.data), *pairs]


def buffer_sizes() -> list[int]:
    """Sizes of ``shared_buffers`` to try, in bytes: a quarter of memory, then less if refused."""
    largest = max(min(512 * MEBIBYTE, _memory() // 4), 16 * MEBIBYTE)
    return [largest, *(size * MEBIBYTE for size in (128, 16) if size * MEBIBYTE < largest)]


def _memory() -> int:
    """Bytes of memory that we may use: the machine's, or the container's limit if it has one."""
    total = int(psutil.virtual_memory().total)
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            total = min(total, int(Path("/sys/fs/cgroup", limit).read_text()))
    return total


def _shared_memory_type() -> str:
    """Where parallel queries share memory: containers often have next to nothing in /dev/shm."""
    if sys.platform != "linux":
        return "posix"
    with suppress(OSError):
        if shutil.disk_usage("/dev/shm").free >= 512 * MEBIBYTE:  # noqa: S108 - the system's
            return "posix"
    return "mmap"
