"""No acknowledged message is lost (P1): processes are killed at random moments
under load, again and again; in the end every message whose final 250 was read
lies in the Maildir, whole. Others may be there or not, but never torn.

SLUICE_CRASH_ROUNDS (100) kills, SLUICE_CRASH_SEED chooses which and when.
time-limit: 600
"""

import collections
import hashlib
import multiprocessing
import os
import random
import re
import signal
import time
import unittest

import tap
from support import gateway, ktls, mail

ROUNDS = int(os.environ.get("SLUICE_CRASH_ROUNDS") or 100)
SEED = int(os.environ.get("SLUICE_CRASH_SEED") or time.time_ns() % 1_000_000)
CLIENTS = 3
MESSAGES_PER_SESSION = 25
SIZES = (0, 500, 3000, 3000, 20_000, 150_000)  # above 64 KiB: a file of its own


def make(chance, name):
    """A mail that says what its body hashes to."""
    size = chance.choice(SIZES)
    body = b"".join(b"%064x\r\n" % chance.getrandbits(256)
                    for _ in range(size // 66)) + b"end\r\n"
    head = mail.plain(subject=name, body="").removesuffix(b"\r\n")
    digest = hashlib.sha256(body).hexdigest().encode()
    return head + b"X-Digest: " + digest + b"\r\n\r\n" + body


def is_whole(stored):
    found = re.search(rb"\r\nX-Digest: ([0-9a-f]{64})\r\n\r\n", stored)
    return found is not None and hashlib.sha256(
        stored[found.end():]).hexdigest().encode() == found[1]


def client_process(gate, number, over, path):
    """Submits until told to stop; notes each message when its 250 was read."""
    chance = random.Random(SEED * 1000 + number)
    count = failures = 0
    with open(path, "w") as acknowledged:
        while not over.is_set():
            try:
                with gate.connect(chance.choice(["implicit", "starttls"]),
                                  timeout=10) as session:
                    for _ in range(MESSAGES_PER_SESSION):
                        count += 1
                        name = f"c{number}-{count}@example.net"
                        session.submit(name, make(chance, name),
                                       chance.choice(["data", "bdat"]))
                        acknowledged.write(name + "\n")
                        if over.is_set():
                            break
            except (OSError, AssertionError):
                failures += 1
                time.sleep(0.02)
        acknowledged.write(f"# {count} tried, {failures} sessions broken\n")


class Crash(unittest.TestCase):
    def test_no_acknowledged_message_is_lost(self):
        self.chance = random.Random(SEED)
        self.kills = collections.Counter()
        print(f"# seed {SEED}, {ROUNDS} rounds", flush=True)
        with gateway.Gateway(workers=2, timeouts={"drain": "3s"},
                             log={"level": "notice", "format": "json"}
                             ) as self.gate:
            before = ktls.taken_over()
            self.run_rounds()
            self.drain()
            self.judge()
            self.judge_records(before)

    def run_rounds(self):
        """The clients are ended whatever happens here."""
        over = multiprocessing.Event()
        self.notes = [self.gate.folder / f"client-{n}" for n in range(CLIENTS)]
        clients = [multiprocessing.Process(
            target=client_process, args=(self.gate, n, over, path))
            for n, path in enumerate(self.notes)]
        for process in clients:
            process.start()
        try:
            for _ in range(ROUNDS):
                time.sleep(self.chance.uniform(0.05, 1.2))
                self.kill_one()
        finally:
            over.set()
            for process in clients:
                process.join(30)
                process.kill()

    def kill_one(self):
        kind = self.chance.choices(["supervisor", "gateway", "relay"],
                                   [1, 3, 2])[0]
        if kind == "supervisor":
            self.gate.kill()
            self.gate.start()
            self.kills[kind] += 1
            return
        pids = [pid for _, pid in sorted(self.gate.pids(kind).items()) if pid]
        if pids:
            try:
                os.kill(self.chance.choice(pids), signal.SIGKILL)
                self.kills[kind] += 1
            except ProcessLookupError:
                self.kills[kind + " (already dead)"] += 1

    def drain(self):
        """A clean restart, then everything in the spool is delivered. The
        queue is known once the relay has read all there is."""
        self.assertEqual(self.gate.stop(), 0)
        said = len(self.gate.log_text())
        self.gate.start()
        self.gate.wait_for_log('"event":"recovered"', 30, since=said)
        deadline = time.monotonic() + 60
        while self.gate.counters()["queue_now"]:
            self.assertLess(time.monotonic(), deadline, "queue not drained")
            time.sleep(0.1)
        self.assertEqual(self.gate.stop(), 0)

    def judge(self):
        delivered = self.gate.maildir.scan()
        lines = [line for path in self.notes
                 for line in path.read_text().split("\n") if line]
        acknowledged = {line for line in lines if not line.startswith("#")}
        copies = sum(len(stored) for stored in delivered.values())
        print(f"# killed: {dict(self.kills)}")
        print(f"# {len(acknowledged)} acknowledged, {len(delivered)} "
              f"delivered, {copies - len(delivered)} delivered twice")
        for line in lines:
            if line.startswith("#"):
                print(line)
        torn = [name for stored in delivered.values() for name, data in stored
                if not is_whole(data)]
        self.assertEqual(torn, [], "torn messages")
        lost = sorted(acknowledged - set(delivered))
        self.assertEqual(lost[:5], [], f"{len(lost)} acknowledged messages "
                                       f"are lost")
        self.assertGreater(len(acknowledged), ROUNDS * 5,
                           "too little load to tell anything")


    def judge_records(self, before):
        """Where the kernel has kTLS, it was the kernel's that were cut off."""
        if ktls.MISSING:
            return
        for then, now in zip(before, ktls.taken_over()):
            self.assertGreater(now - then, ROUNDS)


if __name__ == "__main__":
    tap.main()
