#!/usr/bin/python3
"""What bench/cost runs inside a virtual machine whose clock counts guest
instructions: CPU time of the daemon's processes is instructions, a second for
each 1e9 of them.

    bench/cost_guest.py RESULT.json ROUNDS SIZE...
    bench/cost_guest.py --profile RESULT.json SIZE

One gateway for each way to make records and to move bodies, all of the same
binary and up at once, each with a session and a next hop of its own. Rounds go
over all of them in turn, because the kernel charges its own work (softirqs) to
whoever runs. A message is submitted when the one before it has been delivered:
nothing is batched, no connection is opened meanwhile. The client and the next
hop are in this process, which is counted apart. Nothing here passes or fails.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/system"))

from support import client, gateway, mail, pki  # noqa: E402

TRACING = pathlib.Path("/sys/kernel/tracing")
CGROUPS = pathlib.Path("/sys/fs/cgroup")
SETTLE_S = 0.3   # of the guest's time, which an idle machine skips
PATIENCE_S = 600
WARM = 65536
SAMPLE_EVERY = 20_000  # instructions

# ktls and body_path of listener and route alike.
WAYS = {"userspace": {"ktls": "off"},
        "kernel, copied": {"ktls": "require", "body_path": "copy"},
        "kernel, spliced": {"ktls": "require", "body_path": "splice"}}
# Which process does what.
ROLES = {"gateway-0": "received", "relay-0": "sent"}


def messages_of(size):
    """How many messages of a size are one sample."""
    return max(2, min(64, (4 << 20) // size))


# ---- the next hop -----------------------------------------------------------

class Hop:
    """Takes mail by BDAT, implicit TLS, one connection after the other, and
    drops it."""
    greeting = (b"250-hop.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING"
                b"\r\n250-ENHANCEDSTATUSCODES\r\n250-SIZE\r\n250 PIPELINING"
                b"\r\n")

    def __init__(self):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki.folder() / "ecdsa.pem",
                                     pki.folder() / "ecdsa-key.pem")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.taken = threading.Semaphore(0)
        self.connections = 0
        self.space = memoryview(bytearray(1 << 18))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            accepted, _ = self.server.accept()
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            try:
                self.talk(self.context.wrap_socket(accepted, server_side=True))
            except OSError:
                pass

    def talk(self, peer):
        peer.sendall(b"220 hop.test\r\n")
        pending = b""
        while True:
            while b"\r\n" not in pending:
                more = peer.recv(65536)
                if not more:
                    return
                pending += more
            line, pending = pending.split(b"\r\n", 1)
            verb = line[:4].upper()
            if verb == b"BDAT":
                left = int(line.split()[1]) - len(pending)
                pending = pending[len(pending) + left:] if left < 0 else b""
                self.drop(peer, left)
            peer.sendall(self.greeting if verb == b"EHLO" else b"250 ok\r\n")
            if verb == b"BDAT" and line.upper().endswith(b"LAST"):
                self.taken.release()

    def drop(self, peer, left):
        while left > 0:
            n = peer.recv_into(self.space, min(left, len(self.space)))
            if not n:
                raise OSError("the body ends early")
            left -= n


# ---- a gateway, its client and its next hop ---------------------------------

def listener_keys(way):
    """Those of a way that listeners have, or None: they cannot."""
    probe = gateway.Gateway(start=False, listener=way)
    done = subprocess.run(probe.command("--check"), capture_output=True,
                          check=False)
    probe.close()
    if not done.returncode:
        return way
    return {"ktls": way["ktls"]} if way.get("body_path") == "copy" else None


class Way:
    """One gateway, run one way."""

    def __init__(self, name):
        keys = WAYS[name]
        listener = listener_keys(keys)
        self.name = name
        self.receives = listener is not None
        self.hop = Hop()
        self.gate = gateway.Gateway(
            workers=1, any_ktls_kernel=True, listener=listener or {},
            log={"level": "notice", "format": "json"},
            timeouts={"command": "1h"},
            route={"default": {
                "next_hop": f"smtps://localhost:{self.hop.port}",
                "tls_ca": self.gate_ca(), **keys}})
        self.pids = self.gate.pids()
        self.session = self.gate.connect(timeout=PATIENCE_S)
        for role in ROLES:
            self.group(role).mkdir(exist_ok=True)
            (self.group(role) / "cgroup.procs").write_text(
                str(self.pids[role]))
        self.submit(mail.plain(size=WARM))

    @staticmethod
    def gate_ca():
        return pki.folder() / "ca.pem"

    def group(self, role):
        return CGROUPS / f"{self.name.replace(', ', '-')}-{role}"

    def submit(self, body, framing="BDAT"):
        """`body` as the framing carries it."""
        talk = self.session
        talk.send(b"MAIL FROM:<demo@example.org>\r\n"
                  b"RCPT TO:<you@example.net>\r\n")
        talk.expect(250)
        talk.expect(250)
        if framing == "BDAT":
            talk.send(b"BDAT %d LAST\r\n" % len(body))
        else:
            talk.command("DATA", 354)
        talk.send(body)
        talk.expect(250)
        if not self.hop.taken.acquire(timeout=PATIENCE_S):
            raise AssertionError(f"not delivered:\n{self.gate.tail()}")

    def spent(self):
        """Thousands of instructions so far, by what they were for."""
        return {what: int(re.search(r"usage_usec (\d+)", (
            self.group(role) / "cpu.stat").read_text())[1])
            for role, what in ROLES.items()}

    def threads(self):
        return {int(task): ROLES[role] for role in ROLES
                for task in os.listdir(f"/proc/{self.pids[role]}/task")}

    def sample(self, kind, count):
        """`count` is called around the messages, which no other work and no
        new connection may disturb."""
        framing, size = kind
        body = mail.plain(size=size)
        if framing == "DATA":
            body = client.stuffed(body)
        n = messages_of(size)
        for _ in range(5):
            self.submit(mail.plain(size=WARM))
            time.sleep(SETTLE_S)
            connections = self.hop.connections
            begun = count(self)
            for _ in range(n):
                self.submit(body, framing)
            time.sleep(SETTLE_S)
            ended = count(self)
            if connections == self.hop.connections:
                return n, begun, ended
        raise AssertionError("the next hop's connection does not last")


# ---- counting ---------------------------------------------------------------

def instructions(way):
    """The daemon's, and this process's."""
    return {**way.spent(), "peers": time.process_time_ns() // 1000}


def mount(kind, where, proof):
    """Unless it is there: `proof` is a file of it."""
    if not (where / proof).exists():
        subprocess.run(["mount", "-t", kind, kind, where], check=True)


class Calls:
    """System calls by thread and name, counted by the kernel."""
    trigger = TRACING / "events/raw_syscalls/sys_enter/trigger"
    keys = "hist:keys=common_pid,id.syscall:size=8192"
    line = re.compile(r"common_pid:\s*(\d+), id: (?:sys_)?(\w+)[^}]*\}"
                      r" hitcount:\s*(\d+)")

    def __enter__(self):
        self.trigger.write_text(self.keys)
        return self

    def __exit__(self, *_):
        self.trigger.write_text("!" + self.keys)

    def __call__(self, way):
        threads, found = way.threads(), {}
        text = (self.trigger.parent / "hist").read_text()
        if not re.search(r"Dropped: 0\b", text):
            raise AssertionError("the kernel's table of calls overflowed")
        for pid, name, n in self.line.findall(text):
            if what := threads.get(int(pid)):
                calls = found.setdefault(what, {})
                calls[name] = calls.get(name, 0) + int(n)
        return found


def difference(ended, begun):
    return {name: n - begun.get(name, 0) for name, n in ended.items()
            if n > begun.get(name, 0)}


def count_instructions(ways, kinds, rounds, rows):
    for _ in range(rounds):
        for kind in kinds:
            for way in ways:
                n, begun, ended = way.sample(kind, instructions)
                for what in ROLES.values():
                    row = rows[what, way.name, *kind]
                    row["kinsn"].append((ended[what] - begun[what]) / n)
                    row["peers_kinsn"].append(
                        (ended["peers"] - begun["peers"]) / n)


def count_calls(ways, kinds, rows):
    with Calls() as calls:
        for kind in kinds:
            for way in ways:
                n, begun, ended = way.sample(kind, calls)
                for what in ROLES.values():
                    counted = difference(ended.get(what, {}),
                                         begun.get(what, {}))
                    rows[what, way.name, *kind]["calls"] = {
                        name: k / n for name, k in counted.items()}


def cipher(ways):
    """The client's name for it; the relay offers the same in that order."""
    return " ".join(ways[0].session.socket.cipher()[:2])


def facts(ways):
    return {"release": os.uname().release, "openssl": ssl.OPENSSL_VERSION,
            "cipher": cipher(ways)}


def told(row, ways):
    """What a gateway cannot do, or does the same whatever the framing was, is
    left out."""
    if row["what"] == "sent":
        return row["framing"] == "BDAT"
    return next(way.receives for way in ways if way.name == row["way"])


def table(ways, sizes, rounds):
    kinds = [("BDAT", size) for size in sizes] + [("DATA", max(sizes))]
    rows = {(what, way.name, *kind): {
        "what": what, "way": way.name, "framing": kind[0], "size": kind[1],
        "kinsn": [], "peers_kinsn": [], "calls": {}}
        for what in ROLES.values() for way in ways for kind in kinds}
    count_instructions(ways, kinds, rounds, rows)
    count_calls(ways, kinds, rows)
    return {**facts(ways), "rounds": rounds,
            "rows": [row for row in rows.values() if told(row, ways)]}


# ---- where they go ----------------------------------------------------------

class Samples:
    """Which function runs, at every SAMPLE_EVERY-th instruction of the two
    processes (perf's cpu-clock, whose nanoseconds are instructions here)."""

    def __init__(self, way):
        self.way, self.data = way, way.gate.folder / "perf.data"

    def take(self, size):
        pids = {self.way.pids[role]: what for role, what in ROLES.items()}
        perf = subprocess.Popen(
            ["perf", "record", "-q", "-e", "cpu-clock", "-c",
             str(SAMPLE_EVERY), "-o", self.data, "-p",
             ",".join(map(str, pids))], stderr=subprocess.DEVNULL)
        time.sleep(2)
        for _ in range(max(1, (16 << 20) // size)):
            self.way.submit(mail.plain(size=size))
        perf.send_signal(2)
        perf.wait()
        text = subprocess.run(
            ["perf", "report", "-i", self.data, "--stdio", "-q", "-n", "-t",
             "|", "--sort", "pid,dso,sym", "--percent-limit", "0"],
            capture_output=True, text=True, check=True).stdout
        return [row for line in text.splitlines()
                if (row := self.row(line, pids))]

    @staticmethod
    def row(line, pids):
        """[what, samples, shared object, function]"""
        fields = [field.strip() for field in line.split("|")]
        if len(fields) < 5:
            return None
        pid = int(fields[2].split(":")[0])
        return [pids.get(pid, "?"), int(fields[1]), fields[3],
                fields[4].split("] ")[-1]]


def profile(ways, size):
    if not shutil.which("perf"):
        return {"missing": "perf"}
    return {**facts(ways), "size": size, "every": SAMPLE_EVERY, "samples": {
        way.name: Samples(way).take(size) for way in ways}}


def main():
    arguments = sys.argv[1:]
    profiles = arguments[:1] == ["--profile"]
    result, *numbers = arguments[1:] if profiles else arguments
    if "SLUICE_VM" not in os.environ:
        sys.exit("cost_guest.py: runs in a virtual machine; see bench/cost")
    mount("tracefs", TRACING, "events")
    mount("cgroup2", CGROUPS, "cgroup.procs")
    ways = [Way(name) for name in WAYS]
    if profiles:
        found = profile(ways, int(numbers[0]))
    else:
        found = table(ways, [int(n) for n in numbers[1:]], int(numbers[0]))
    pathlib.Path(result).write_text(json.dumps(found, indent=1) + "\n")
    for way in ways:
        way.gate.kill()  # sooner than farewells


if __name__ == "__main__":
    main()
