"""The lock that keeps a second run out of a run's folder."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NAME = "run.lock"

_BEAT_SECONDS = 10.0
"""The file's time is renewed so often."""

_DEAD_AFTER_SECONDS = 60.0
"""A file whose time was not renewed for so long is of a process that is gone; network file systems show times late."""


class FolderInUseError(ValueError):
    """Another process trains in the folder."""


@contextmanager
def locked(folder: Path, patience: float = _DEAD_AFTER_SECONDS) -> Iterator[None]:
    """Keep other runs out of a run's folder inside this context.

    The lock is a file with the host and the process. It is passed over where the process is known to be gone; of
    another host that cannot be known at once, so that its file is watched until it is renewed, or old enough.

    Args:
        folder: The run's; it is made, and goes again if nothing was written into it.
        patience: Seconds to watch a file that may be of a living process.

    Raises:
        FolderInUseError: If another process holds it.
    """
    path = Path(folder) / NAME
    made = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    own = _own()
    while not _taken(path, own):
        _wait_for(path, patience)
        path.unlink(missing_ok=True)
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, done), daemon=True)
    beating.start()
    try:
        yield
    finally:
        done.set()
        unlock(folder)
        if made:
            with suppress(OSError):
                path.parent.rmdir()


def is_held_elsewhere(folder: Path) -> bool:
    """Return whether another process trains in a folder, so far as its lock tells.

    Args:
        folder: The run's.
    """
    holder = _read(Path(folder) / NAME)
    return holder is not None and holder != _own() and not _is_gone(holder)


def unlock(folder: Path) -> None:
    """Let other runs into a run's folder, if this process keeps them out."""
    path = Path(folder) / NAME
    if _read(path) == _own():
        path.unlink(missing_ok=True)


def _own() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "began": _began(os.getpid())}


def _taken(path: Path, own: dict[str, Any]) -> bool:
    """Make the file, and tell whether that succeeded: of several processes it does in one."""
    try:
        with path.open("x") as file:
            json.dump(own, file)
    except FileExistsError:
        return False
    return True


def _wait_for(path: Path, patience: float) -> None:
    holder = _read(path)
    if holder is None or _is_gone(holder):
        return
    if _is_here(holder):
        raise _in_use(path, holder)
    since, until = _renewed(path), time.monotonic() + patience
    while time.monotonic() < until:
        time.sleep(min(1.0, patience / 10))
        now = _renewed(path)
        if now is None:
            return
        if now != since:
            raise _in_use(path, holder)


def _in_use(path: Path, holder: dict[str, Any]) -> FolderInUseError:
    return FolderInUseError(
        f"trainer.default_root_dir must not be the folder of a running process, got {path.parent}, where process "
        f"{holder.get('pid')} on {holder.get('host')} trains: wait for it, stop it, or name another folder"
    )


def _read(path: Path) -> dict[str, Any] | None:
    """Return who holds a lock; None if nobody does, an empty dictionary where the file is damaged."""
    try:
        holder = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _is_here(holder: dict[str, Any]) -> bool:
    return holder.get("host") == socket.gethostname()


def _is_gone(holder: dict[str, Any]) -> bool:
    """Return whether the process of a lock is known to be gone, because this host has none of that number and age."""
    if not _is_here(holder):
        return False
    pid = holder.get("pid")
    return not isinstance(pid, int) or pid == os.getpid() or holder.get("began") != _began(pid)


def _began(pid: int) -> str | None:
    """Return when a process of this host began, in the kernel's ticks; None if there is none, or no ``/proc``."""
    try:
        # Behind the name, which may have blanks and brackets, the 20th field.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None if not _exists(pid) else "unknown"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _renewed(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(_BEAT_SECONDS):
        try:
            os.utime(path)
        except OSError:
            # A file system that does not answer for a while; the next beat tries again.
            continue
