"""What sluicectl says of lanes and shield, and what connections come to."""

import errno
import re
import select
import socket


def begin(port, source):
    """A connection that is on its way; its SYN has arrived on return."""
    made = socket.socket()
    made.setblocking(False)
    made.bind((source, 0))
    assert made.connect_ex(("127.0.0.1", port)) == errno.EINPROGRESS
    return made


def is_through(connection, seconds=0):
    return bool(select.select([], [connection], [], seconds)[1])


class Lanes:
    """For a TestCase."""

    def lane(self, gate, *words):
        done = gate.control("lane", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def workers(self, gate):
        """{"bulk/0": (sessions, steered, passed over, accepted)}"""
        rows = re.findall(r"^(\S+) +(\d+) +\d+ +(\d+) +(\d+) +(\d+) +(\d+)$",
                          self.lane(gate, "list"), re.M)
        return {f"{row[0]}/{row[1]}": tuple(map(int, row[2:])) for row in rows}

    def came(self, gate, style="implicit", n=8, source="10.9.0.1"):
        """The workers that n new sessions came to, and how many to each."""
        before = self.workers(gate)
        for _ in range(n):
            with gate.connect(style, login=False, source=source) as session:
                session.quit()
        after = self.workers(gate)
        return {name: after[name][1] - before[name][1] for name in after
                if after[name][1] != before[name][1]}

    def lane_of(self, *arguments, **options):
        lanes = {name.partition("/")[0]
                 for name in self.came(*arguments, **options)}
        self.assertEqual(len(lanes), 1, lanes)
        return lanes.pop()


class Shield:
    """For a TestCase."""

    def shield(self, gate, *words):
        done = gate.control("shield", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def counts(self, gate):
        found = re.search(r"(\d+) passed, (\d+) allowed, (\d+) denied, "
                          r"(\d+) too fast", self.shield(gate, "list"))
        return dict(zip(("passed", "allowed", "denied", "metered"),
                        map(int, found.groups())))

    def assert_shut(self, gate, source):
        """A SYN from there is dropped, and again when it is sent again; returns
        the connection."""
        before = self.counts(gate)["denied"]
        connection = begin(gate.implicit, source)
        self.addCleanup(connection.close)
        self.assertGreater(self.counts(gate)["denied"], before)
        self.assertFalse(is_through(connection))
        return connection
