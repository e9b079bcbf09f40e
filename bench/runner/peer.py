"""A server under test: what each of bench/peers/ is made of.

    with open_peer(postfix.Discard, capacity=64) as server:
        server.port, server.group

A scratch folder on a real disk, a free port of 127.0.0.1, the kit's
certificate, a process group; all of it is gone after the block.
"""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))

from support import client, gateway, pki  # noqa: E402
from . import group, root  # noqa: E402

USER, PASSWORD = gateway.USER, gateway.PASSWORD
DURABLE, PASS_THROUGH = "durable", "pass-through"
READY_SECONDS = 30
DESCRIPTORS = 1 << 18
SHOWN_BYTES = 2000  # of its output when it does not start


def scratch_parent():
    """Not /tmp, which may be memory: syncs shall cost what they cost."""
    return os.environ.get("SLUICE_BENCH_SCRATCH") or "/var/tmp"


def raise_descriptors():
    """As many files as we may open; servers inherit it. Returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(hard, DESCRIPTORS), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Failed(Exception):
    """A server that did not start, or not stop."""


class Peer:
    name = ""           # in results and on the command line
    title = ""          # in the report
    kind = DURABLE      # when the final 250 comes
    auth = False        # whether its clients log in
    sink = False        # whether it passes mail on to a sluice-sink
    most = 100_000      # connections that it can be given
    twin = False        # of another, which differs after the 250 only
    special = False     # only for scenarios that name it
    notes = ""          # what one must know to judge its figures

    def __init__(self, home, capacity, sink_port):
        self.home = home
        self.capacity = capacity
        self.sink_port = sink_port
        self.port = gateway.free_ports(1)[0]
        self.group = None
        self.process = None
        self.acknowledged = 0  # messages, by what sluice-load got to hear
        self.received = None   # messages, of the sink behind it at the end

    # -- what each has its own of

    @classmethod
    def missing(cls):
        """Why it cannot run here, or None."""
        return None

    @classmethod
    def version(cls):
        raise NotImplementedError

    def configure(self):
        """Writes its files; returns its command line."""
        raise NotImplementedError

    def pid(self):
        return self.process.pid

    # -- who comes to it, by sluice-load's options

    def port_of(self, _options):
        return self.port

    def place_of(self, _options):
        """What goes before the command line of a load that has a place."""
        return []

    def accepted(self):
        """Connections so far, where it says so."""
        return 0

    # -- its life

    def open(self):
        shutil.copy(pki.folder() / "ecdsa.pem", self.home / "chain.pem")
        shutil.copy(pki.folder() / "ecdsa-key.pem", self.home / "key.pem")
        command = [str(word) for word in self.configure()]
        with open(self.home / "output", "wb") as output:
            self.process = subprocess.Popen(
                self.group.prefix() + command, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, cwd=self.home)
        if isinstance(self.group, group.Tree):
            self.group.own(self.process.pid)
        if not client.wait_for_port(self.port, READY_SECONDS) or \
                self.process.poll() is not None:
            said = (self.home / "output").read_text(errors="replace")
            raise Failed(f"{self.name} did not start: {said[-SHOWN_BYTES:]}")

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Unpacked(Peer):
    """One that scripts/fetch has, in a root of its own."""
    fetched = ""
    package = ""

    @classmethod
    def missing(cls):
        try:
            return root.missing() or (root.fetch(cls.fetched) and None)
        except RuntimeError as error:
            return str(error)

    @classmethod
    def version(cls):
        return root.version(root.fetch(cls.fetched), cls.package)

    def open(self):
        self.root = root.Root(root.fetch(self.fetched), self.home)
        super().open()

    def write(self, name, text):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def close(self):
        super().close()
        self.root.close()


class Sink:
    """A sluice-sink in clear, as the next hop."""

    def __init__(self, home, capacity):
        self.summary = home / "sink.json"
        self.process = subprocess.Popen(
            [gateway.program("sluice-sink"), "--smtp", "127.0.0.1:0", "--auth",
             "--quiet", "--connections", str(max(4096, capacity + 100)),
             "--json", self.summary],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        if not words or words[0] != "ready":
            raise Failed("sluice-sink did not start")
        self.port = int(dict(w.split("=") for w in words[1:])["smtp"]
                        .rsplit(":", 1)[1])

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def received(self):
        """How many messages, once it is closed."""
        return json.loads(self.summary.read_text())["messages"]


def close_sink(sink, server):
    sink.close()
    server.received = sink.received()


@contextlib.contextmanager
def open_peer(kind, capacity):
    raise_descriptors()
    with contextlib.ExitStack() as stack:
        home = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-",
                                             dir=scratch_parent()))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        home.chmod(0o755)
        sink = Sink(home, capacity) if kind.sink else None
        server = kind(home, capacity, sink and sink.port)
        if sink:
            stack.callback(close_sink, sink, server)
        server.group = group.open_group(kind.name)
        stack.callback(server.close)
        stack.callback(server.group.close)
        server.open()
        yield server
