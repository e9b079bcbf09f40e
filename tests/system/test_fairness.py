"""One client's greed is not another's loss: handshakes are paced and bounded,
and what one client may take of a worker is limited (P5). time-limit: 120"""

import contextlib
import os
import select
import signal
import socket
import ssl
import time
import unittest

import tap
from support import client, gateway, mail

HANDSHAKES = 4  # at once, where the bound is tested
STORM = 300


def client_hello():
    """The first bytes of a TLS client, as good as any other's."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    written = ssl.MemoryBIO()
    try:
        tls.wrap_bio(ssl.MemoryBIO(), written).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return written.read()


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {seconds} s")
        time.sleep(0.02)


@contextlib.contextmanager
def paused(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Handshakes(unittest.TestCase):
    def connect(self, gate, style="implicit"):
        made = socket.create_connection((gateway.HOST, gate.port(style)), 20)
        self.addCleanup(made.close)
        return made

    def test_a_storm_does_not_delay_a_session(self):
        """A worker that finds a storm and a command of an established session
        at once answers the command first, and the storm by and by."""
        with gateway.Gateway(workers=1) as gate:
            session = gate.connect()
            self.addCleanup(session.close)
            storm = [self.connect(gate) for _ in range(STORM)]
            wait_until(lambda: gate.counters()["connections_now"] > STORM)
            hello = client_hello()
            with paused(gate.pids("gateway")["gateway-0"]):
                for peer in storm:
                    peer.sendall(hello)
                session.send(b"NOOP\r\n")
            self.assertTrue(session.read().startswith("250"))
            answered = select.select(storm, [], [], 0)[0]
            self.assertLess(len(answered), STORM)
            for peer in storm:
                self.assertTrue(peer.recv(1))
            self.assertGreater(gate.counters()["handshakes_put_off"],
                               STORM // 10)

    def test_no_more_than_so_many_at_once(self):
        with gateway.Gateway(workers=1,
                             limits={"handshakes": HANDSHAKES}) as gate:
            idle = [self.connect(gate) for _ in range(HANDSHAKES)]
            wait_until(lambda: gate.counters()["connections_now"]
                       == HANDSHAKES)
            refused = self.connect(gate)
            self.assertEqual(refused.recv(1), b"")
            self.assertEqual(gate.counters()["handshakes_refused"], 1)
            with client.Client(gate.starttls) as clear:
                clear.expect(220, "banner")
                clear.hello()
                clear.command("STARTTLS", "454 4.3.2")
                for peer in idle:
                    peer.close()
                wait_until(lambda: gate.counters()["connections_now"] == 1)
                clear.command("STARTTLS", 220)
            gate.deliver()


class Shares(unittest.TestCase):
    def gateway(self, **shares):
        """All that its one worker serves shares."""
        gate = gateway.Gateway(
            start=False, workers=1, shares=shares,
            limits={"message_size": "1M", "buffer_size": "16K"})
        self.addCleanup(gate.close)
        self.add_user(gate, "other@example.org")
        gate.start()
        return gate

    def connect(self, gate, **options):
        made = gate.connect(**options)
        self.addCleanup(made.close)
        return made

    def add_user(self, gate, name):
        with open(gate.folder / "users", "a") as users:
            users.write(gateway.passwd(name, gateway.PASSWORD))
        with open(gate.folder / "senders", "a") as senders:
            senders.write(f"{name}: @example.org\n")

    def log_in(self, gate, user, **options):
        made = self.connect(gate, login=False, **options)
        made.login(user, gateway.PASSWORD)
        return made

    def refused(self, gate, counter, n=1):
        self.assertEqual(gate.counters()[f"share_{counter}_refused"], n)

    def test_connections_of_a_prefix(self):
        """127.0.0.x is one client and 127.0.1.x another."""
        gate = self.gateway(prefix_ipv4=24, prefix_connections=2)
        held = [self.connect(gate, source=f"127.0.0.{n}") for n in (1, 2)]
        with client.Client(gate.starttls, source="127.0.0.3") as clear:
            clear.expect("421 4.7.0")
        with self.assertRaises(OSError):
            self.connect(gate, source="127.0.0.3")
        self.refused(gate, "connections", 2)
        self.connect(gate, source="127.0.1.1")
        held[0].quit()
        wait_until(lambda: gate.counters()["connections_now"] == 2)
        self.connect(gate, source="127.0.0.3")

    def test_connections_of_a_user(self):
        gate = self.gateway(user_connections=1)
        held = self.log_in(gate, gateway.USER)
        with self.assertRaisesRegex(client.Refused, "421 4.7.0"):
            self.log_in(gate, gateway.USER)
        self.refused(gate, "connections")
        self.log_in(gate, "other@example.org")
        held.quit()
        wait_until(lambda: gate.counters()["connections_now"] == 1)
        self.log_in(gate, gateway.USER)

    def test_messages_of_a_user(self):
        gate = self.gateway(user_messages=1)
        busy = self.log_in(gate, gateway.USER)
        busy.envelope(["you@example.net"])
        second = self.log_in(gate, gateway.USER)
        second.command("MAIL FROM:<demo@example.org>", "452 4.7.0")
        self.refused(gate, "messages")
        self.log_in(gate, "other@example.org").envelope(["me@example.net"])
        busy.command("RSET", 250)
        second.submit("you@example.net", mail.plain())
        second.submit("me@example.net", mail.plain())

    def test_bytes_of_a_prefix(self):
        """What was declared is refused at once, what was not when it comes;
        a message whose bytes are on disk is through with, and frees them."""
        gate = self.gateway(prefix_bytes="1M")
        body = b"a: b\r\n\r\n" + b"0123456789\r\n" * 60_000  # 720 kB
        slow = self.connect(gate)
        slow.envelope(["slow@example.net"])
        slow.command("DATA", 354)
        slow.send(body)
        wait_until(lambda: gate.spool_bytes() > 600_000)
        with self.connect(gate) as other:
            other.command("MAIL FROM:<demo@example.org> SIZE=700000",
                          "452 4.7.0")
            other.envelope(["undeclared@example.net"])
            other.data(body, "452 4.7.0")
            self.refused(gate, "bytes", 2)
            other.submit("small@example.net", mail.plain())
            slow.send(b".\r\n")
            slow.expect(250)
            other.submit("undeclared@example.net", body)
        gate.maildir.wait_for(["slow@example.net", "small@example.net",
                               "undeclared@example.net"])


if __name__ == "__main__":
    tap.main()
