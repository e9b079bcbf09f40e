"""A network namespace of a test program's own, with addresses on lo and a BPF
file system: the program runs itself again inside, as root."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

INSIDE = "SLUICE_TEST_NAMESPACE"
ADDRESSES = ["10.9.0.1/32", "10.9.1.1/32", "10.9.2.1/32", "fd00:9::1/128",
             "fd00:9:1::1/128"]


def missing():
    """Why there can be no such namespace here, or None."""
    if os.geteuid():
        return "network namespaces need root"
    for tool in ("unshare", "setpriv", "ip", "bpftool"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin"):
            return f"no {tool}"
    return None


def enter():
    """Runs this program again inside; returns where it is already."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if missing() or INSIDE in os.environ:
        return
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable,
                          *sys.argv])


def set_up():
    """Gives lo its addresses; returns the folder of the BPF file system."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in ADDRESSES:
        subprocess.run(["ip", "addr", "add", address, "dev", "lo",
                        *(["nodad"] if ":" in address else [])], check=True)
    pins = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bpf-"))
    subprocess.run(["mount", "-t", "bpf", "bpf", pins], capture_output=True)
    return pins


def resent_syns():
    """SYNs, and answers to them, that the kernel sent more than once here."""
    names, values = (line.split() for line in
                     pathlib.Path("/proc/self/net/netstat").read_text()
                     .splitlines() if line.startswith("TcpExt:"))
    return int(values[names.index("TCPSynRetrans")])


def tear_down(pins):
    subprocess.run(["umount", pins], capture_output=True)
    pins.rmdir()
