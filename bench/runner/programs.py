"""What a server's BPF programs cost, by the kernel's own clock around each run
(BPF run-time statistics), which is on for as long as it is asked and for the
whole machine. Reading it twice costs some 50 ns a run, which is in the figures.
"""

import contextlib
import ctypes
import os
import pathlib
import platform
import re

SYSTEM_CALL = {"x86_64": 321, "aarch64": 280}
PROG_GET_FD_BY_ID, ENABLE_STATS, RUN_TIME = 13, 32, 0
# By the kernel's enum bpf_prog_type, which is what /proc has of a program.
NAMES = {1: "shield", 21: "steering", 30: "steering"}


def bpf(command, word):
    """A descriptor; OSError says why not."""
    attributes = ctypes.create_string_buffer(word.to_bytes(4, "little"), 128)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(SYSTEM_CALL.get(platform.machine(), -1), command,
                      attributes, len(attributes))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def enable():
    """The clock runs until the descriptor is closed."""
    return bpf(ENABLE_STATS, RUN_TIME)


def missing():
    """Why nothing can be timed here, or None."""
    try:
        os.close(enable())
    except OSError as error:
        return f"no BPF run-time statistics: {error.strerror}"
    return None


def describe(path):
    """What /proc has of a descriptor: of a program, or of its link."""
    try:
        text = path.read_text()
    except FileNotFoundError:  # closed meanwhile
        return {}
    return {key: int(value) for key, value in re.findall(
        r"^(prog_type|prog_id|run_\w+):\s+(\d+)$", text, re.M)}


def read(pid):
    """{name: (ns, runs)} of the programs that a process holds, if only by the
    link that keeps one attached."""
    ids = {describe(path).get("prog_id") for path in
           pathlib.Path(f"/proc/{pid}/fdinfo").iterdir()} - {None}
    found = {}
    for one in ids:
        with open(bpf(PROG_GET_FD_BY_ID, one), "rb", 0) as held:
            told = describe(pathlib.Path(f"/proc/self/fdinfo/{held.fileno()}"))
        name = NAMES.get(told["prog_type"])
        if name:
            found[name] = told["run_time_ns"], told["run_cnt"]
    return found


@contextlib.contextmanager
def timed(server, result):
    """Adds to `result` what the programs took during the block, and for how
    many connections."""
    with open(enable(), "rb", 0):
        before, first = read(server.pid()), server.accepted()
        yield
        after, last = read(server.pid()), server.accepted()
    result["programs"] = {
        "connections": last - first,
        "run": {name: {"ns": ns - before[name][0],
                       "times": times - before[name][1]}
                for name, (ns, times) in after.items()}}


def figures(told, cost_us):
    """Of each connection: nanoseconds, and percent of its whole cost."""
    n = told["connections"]
    if not n or not told["run"]:
        return {}
    found, sum_ns = {}, 0
    for name, run in told["run"].items():
        found[f"{name}_ns"] = run["ns"] / n
        found[f"{name}_times"] = run["times"] / n
        sum_ns += run["ns"] / n
    if cost_us:
        found["share"] = sum_ns / 1000 / cost_us * 100
    return found
