import json
import os
import socket
import subprocess
import sys

import pytest

from wavelight.training import run_lock
from wavelight.training.run_lock import FolderInUseError, locked


def hold(folder, **holder):
    here = {
        "host": socket.gethostname(),
        "pid": os.getppid(),
        "began": run_lock._began(os.getppid()),
    }
    (folder / run_lock.NAME).write_text(json.dumps(here | holder))


def test_the_lock_is_there_inside_and_gone_behind(tmp_path):
    with locked(tmp_path):
        assert json.loads((tmp_path / run_lock.NAME).read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_a_running_process_of_this_host_is_refused_at_once(tmp_path):
    hold(tmp_path)
    with (
        pytest.raises(FolderInUseError, match=f"process {os.getppid()} on .* trains"),
        locked(tmp_path),
    ):
        pass


@pytest.mark.parametrize("holder", [{"pid": 2**22 + 1}, {"began": "another time"}])
def test_a_process_that_is_gone_is_passed_over(tmp_path, holder):
    hold(tmp_path, **holder)
    with locked(tmp_path):
        assert json.loads((tmp_path / run_lock.NAME).read_text())["pid"] == os.getpid()


def test_a_killed_process_leaves_a_lock_that_does_not_bind(tmp_path):
    code = f"import os\nfrom wavelight.training.run_lock import locked\nwith locked({str(tmp_path)!r}): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert (tmp_path / run_lock.NAME).exists()
    with locked(tmp_path):
        pass


def test_a_silent_process_of_another_host_counts_as_gone(tmp_path):
    hold(tmp_path, host="elsewhere")
    with locked(tmp_path, patience=0.05):
        pass


def test_a_process_of_another_host_that_renews_its_lock_is_refused(tmp_path, monkeypatch):
    hold(tmp_path, host="elsewhere")
    monkeypatch.setattr(run_lock.time, "sleep", lambda seconds: os.utime(tmp_path / run_lock.NAME))
    with pytest.raises(FolderInUseError, match="on elsewhere"), locked(tmp_path, patience=0.05):
        pass


def test_a_damaged_lock_is_watched_like_that_of_another_host(tmp_path):
    (tmp_path / run_lock.NAME).write_text("{")
    with locked(tmp_path, patience=0.05):
        pass
