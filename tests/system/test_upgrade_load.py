"""Upgrades in a row under load with books: sluice-load numbers and hashes what
it sends over 465 and over 587, sluice-sink what the relays bring it. Nobody is
refused, no session breaks, nothing is lost, doubled or changed.
time-limit: 300"""

import json
import signal
import subprocess
import unittest

import tap
from support import gateway, load, pki, successor

UPGRADES = 20
CONNECTIONS = 4
PER_CONNECTION = 5  # so that connections are made all the time
RATE = 150  # messages a second and sender: the relay shall keep up
BACKLOG = 1500  # messages
FINDINGS = ("lost", "doubled", "changed", "unexpected")


class Sender:
    """A sluice-load that goes on until it is told to end."""

    def __init__(self, gate, sink, tls):
        self.sent = gate.folder / f"sent-{tls}"
        self.sink = sink
        port = {"implicit": gate.implicit, "starttls": gate.starttls}[tls]
        self.process = subprocess.Popen(
            load.command(f"{load.HOST}:{port}", "--tls", tls,
                         "--connections", CONNECTIONS,
                         "--per-connection", PER_CONNECTION, "--rate", RATE,
                         "--duration", 600, "--account", self.sent,
                         "--verify", sink.account, "--settle", 60,
                         *load.login(gate)),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def arrived(self):
        """Lines of all senders that the sink has written."""
        return self.sink.account.read_bytes().count(b"\n")

    def end(self):
        """Its report, once all that was acknowledged has arrived."""
        self.process.terminate()
        said, complaints = self.process.communicate(timeout=load.SECONDS)
        assert said, complaints
        return load.Report(json.loads(said))

    def compare(self):
        """The books once more, when nothing can follow."""
        done = subprocess.run(
            [gateway.program("sluice-load"), "--compare", self.sent,
             self.sink.account], text=True, capture_output=True, check=False)
        return done.returncode, done.stdout

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class Upgrades(unittest.TestCase):
    def setUp(self):
        self.sink = load.Sink()
        self.addCleanup(self.sink.close)
        self.gate = successor.Gateway(route={"default": {
            "next_hop": f"smtp://localhost:{self.sink.smtp}",
            "tls_ca": pki.folder() / "ca.pem"}})
        self.addCleanup(self.gate.close)
        self.senders = [self.sender(tls) for tls in ("implicit", "starttls")]

    def sender(self, tls):
        made = Sender(self.gate, self.sink, tls)
        self.addCleanup(made.close)
        return made

    def await_mail(self):
        """The next ones have come through the relay that is now."""
        before = self.senders[0].arrived()
        self.gate.wait_for(lambda: self.senders[0].arrived() >
                           before + 2 * CONNECTIONS * PER_CONNECTION)

    def gather_backlog(self):
        """The next hop says nothing for a while: the relays after this one
        find more than they can deliver before the next upgrade."""
        self.await_mail()
        self.sink.process.send_signal(signal.SIGSTOP)
        self.gate.wait_for(lambda: self.gate.counters()["queue_now"] > BACKLOG)
        self.sink.process.send_signal(signal.SIGCONT)

    def check(self, report):
        self.assertEqual(report.failures(), {}, report["failures"])
        self.assertEqual(report["failed"], 0)
        self.assertGreater(report["connections"], UPGRADES)
        books = report["verify"]
        self.assertEqual({name: books[name] for name in FINDINGS},
                         dict.fromkeys(FINDINGS, 0))
        self.assertEqual(books["sent"], report["messages"])
        self.assertEqual(books["arrived"], report["messages"])

    def upgrade_under_load(self):
        """Nothing is refused, broken, lost or doubled."""
        for _ in range(UPGRADES):
            self.await_mail()
            self.gate.upgrade()
        self.await_mail()
        reports = [sender.end() for sender in self.senders]
        for report in reports:
            self.check(report)
        self.assertEqual(self.gate.await_elders(), [0] * UPGRADES)
        self.assertEqual(self.gate.stop(), 0)
        for sender in self.senders:  # what is doubled may come late
            status, said = sender.compare()
            self.assertEqual(status, 0, said)
        messages = sum(report["messages"] for report in reports)
        self.assertEqual(self.sink.stop()["messages"], messages)
        connections = sum(report["connections"] for report in reports)
        ends = {line["state"] for line in self.gate.log("relay-ends")}
        self.assertEqual(ends, {"drained"})
        print(f"# {UPGRADES} upgrades, {connections} connections, "
              f"{messages} messages")

    def test_that_the_relay_keeps_up_with(self):
        self.upgrade_under_load()

    def test_with_a_backlog(self):
        self.gather_backlog()
        self.upgrade_under_load()


if __name__ == "__main__":
    tap.main()
