"""The processes of one server, kept together: a cgroup v2 of its own, which
counts what all of them used, also of those that ended, and kills them at once.

Where no cgroup v2 can be written, a process that adopts whatever its children
leave behind stands in: then usage is read from /proc, of the living and of the
dead that were waited for, in ticks of 10 ms. Children of a process that
ignores SIGCHLD go uncounted there. `how` says which it is.
"""

import ctypes
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ENTER = 'echo $$ >"$0/cgroup.procs" && exec "$@"'


def own_cgroup():
    """Our own folder of the cgroup v2 hierarchy, or None."""
    mounts = pathlib.Path("/proc/mounts").read_text()
    found = re.search(r"^\S+ (\S+) cgroup2 ", mounts, re.M)
    own = re.search(r"^0::(.*)$", pathlib.Path("/proc/self/cgroup").read_text(),
                    re.M)
    if not found or not own:
        return None
    return pathlib.Path(found[1] + own[1].rstrip("/"))


def open_group(name):
    parent = own_cgroup()
    if parent:
        folder = parent / f"sluice-bench-{os.getpid()}-{name}"
        try:
            folder.mkdir()
            return Cgroup(folder)
        except OSError:
            pass
    return Tree()


class Cgroup:
    how = "cgroup v2 cpu.stat"

    def __init__(self, folder):
        self.folder = folder

    def prefix(self):
        """What goes before a command line to start it in here."""
        return ["sh", "-c", ENTER, str(self.folder)]

    def load_arguments(self):
        """How sluice-load is told whose cost to count."""
        return ["--cgroup", str(self.folder)]

    def pids(self):
        return [int(pid) for pid in
                (self.folder / "cgroup.procs").read_text().split()]

    def close(self, seconds=10):
        (self.folder / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.folder.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)


class Tree:
    how = "/proc of the process tree, reaped children included, 10 ms ticks"

    def __init__(self):
        self.keepers = []

    def prefix(self):
        return [sys.executable, str(pathlib.Path(__file__).resolve())]

    def own(self, pid):
        self.keepers.append(pid)

    def load_arguments(self):
        return [word for pid in self.keepers for word in ("--pid", str(pid))]

    def pids(self):
        return [pid for keeper in self.keepers for pid in descendants(keeper)]

    def close(self):
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def descendants(pid):
    found = []
    for thread in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, thread.read_text().split()):
            found += [child, *descendants(child)]
    return found


def keep(command):
    """Runs the command, adopts orphans, ends when all have ended."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    first = subprocess.Popen(command, preexec_fn=lambda: libc.prctl(
        PR_SET_PDEATHSIG, signal.SIGKILL))
    signal.signal(signal.SIGTERM, lambda *_: first.terminate())
    status = 0
    while True:
        try:
            pid, ended = os.wait()
        except ChildProcessError:
            return os.waitstatus_to_exitcode(status) & 0xff
        if pid == first.pid:
            status = ended


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
