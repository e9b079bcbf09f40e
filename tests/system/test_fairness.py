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
from support import client, gateway

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


if __name__ == "__main__":
    tap.main()
