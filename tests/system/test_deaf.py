"""Peers that talk and do not listen have every receive buffer of a worker:
whoever finds none waits, without a spin, and is served when they are gone. In a
network namespace of this program's own, whose sockets hold little.
time-limit: 120"""

import concurrent.futures
import contextlib
import pathlib
import socket
import time
import unittest

import tap
from support import gateway, namespace

BUFFERS = 256  # small ones, per worker
SOCKET_BYTES = "4096 4096 4096"


def setUpModule():
    if namespace.missing():
        raise unittest.SkipTest(namespace.missing())
    Place.pins = namespace.set_up()
    for limit in ("tcp_wmem", "tcp_rmem"):
        pathlib.Path("/proc/sys/net/ipv4", limit).write_text(SOCKET_BYTES)


def tearDownModule():
    if Place.pins:
        namespace.tear_down(Place.pins)


class Place:
    pins = None


class Deaf(unittest.TestCase):
    def deaf_peer(self, gate):
        """Says as much as the server will take while nobody listens."""
        peer = socket.create_connection((gateway.HOST, gate.starttls), 20)
        self.addCleanup(peer.close)
        peer.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            while True:
                peer.send(b"EHLO deaf.test\r\n" * 256)
        return peer

    def counter(self, gate):
        return gate.counters()["recv_starved"]

    def test_who_finds_no_buffer_waits(self):
        with gateway.Gateway(workers=1, limits={
                "sessions": 2 * BUFFERS, "idle_commands": 100_000}) as gate:
            with concurrent.futures.ThreadPoolExecutor(32) as pool:
                deaf = list(pool.map(self.deaf_peer, BUFFERS * [gate]))
            waiting = socket.create_connection(
                (gateway.HOST, gate.starttls), 20)
            self.addCleanup(waiting.close)
            self.assertTrue(waiting.recv(1000).startswith(b"220 "))
            waiting.sendall(b"NOOP\r\n")
            while not self.counter(gate):
                time.sleep(0.05)
            time.sleep(0.5)
            self.assertLess(self.counter(gate), 10)
            waiting.settimeout(0.1)
            with self.assertRaises(TimeoutError):
                waiting.recv(1000)
            waiting.settimeout(20)
            for peer in deaf:
                peer.close()
            self.assertTrue(waiting.recv(1000).startswith(b"250 "))


if __name__ == "__main__":
    namespace.enter()
    tap.main()
