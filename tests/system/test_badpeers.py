"""Peers that are broken, slow or hostile: each is dealt with by itself, memory
stays bounded (P5), others are served and no process restarts. time-limit: 180"""

import contextlib
import os
import pathlib
import random
import re
import socket
import ssl
import time
import unittest

import tap
from support import client, gateway, mail

SESSIONS = 40  # per worker
WORKERS = 2


def memory_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def until_closed(sock, seconds=15):
    """Reads until the other side ends; returns what came."""
    sock.settimeout(seconds)
    heard = b""
    try:
        while piece := sock.recv(65536):
            heard += piece
    except ConnectionError:
        pass
    return heard


class BadPeers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway(
            workers=WORKERS,
            limits={"sessions": SESSIONS, "messages": SESSIONS,
                    "idle_commands": 100_000},
            timeouts={"handshake": "2s", "command": "4s", "data": "4s"})
        cls.pids = cls.gate.pids()

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()

    def tearDown(self):
        """Whatever was done to it: others are served, by the same processes.
        Where all sessions were in use this may take a moment."""
        for style in ("implicit", "starttls"):
            self.wait_for_service(style)
        self.assertEqual(self.gate.pids(), self.pids)

    def wait_for_service(self, style, seconds=8):
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.gate.deliver(f"{os.urandom(4).hex()}@example.net", style)
                return
            except OSError:
                self.assertLess(time.monotonic(), deadline, "nobody is served")
                time.sleep(0.1)

    def raw(self, style):
        sock = socket.create_connection(
            (gateway.HOST, self.gate.port(style)), 10)
        self.addCleanup(sock.close)
        return sock

    def test_garbage(self):
        chance = random.Random(1)
        for style in ("implicit", "starttls"):
            for size in (1, 5, 11, 1000, 100_000):
                with self.subTest(style, size=size):
                    sock = self.raw(style)
                    try:
                        sock.sendall(chance.randbytes(size))
                        sock.shutdown(socket.SHUT_WR)
                    except ConnectionError:
                        pass
                    until_closed(sock)

    def test_tls_to_the_clear_port(self):
        sock = self.raw("starttls")
        with self.assertRaises(OSError):
            client.context(self.gate.ca).wrap_socket(
                sock, server_hostname="localhost")

    def test_clear_to_the_tls_port(self):
        sock = self.raw("implicit")
        sock.sendall(b"EHLO client.test\r\n")
        heard = until_closed(sock)
        self.assertNotIn(b"220", heard)
        self.gate.wait_for_log("not TLS")

    def test_half_handshakes(self):
        """The first n bytes of a ClientHello, then silence: closed after the
        timeout, not sooner than it and not much later."""
        hello = self.client_hello()
        socks = [self.raw("implicit") for _ in range(8)]
        for number, sock in enumerate(socks):
            sock.sendall(hello[:number * (len(hello) - 1) // 7])
        began = time.monotonic()
        for sock in socks:
            until_closed(sock)
        self.assertGreater(time.monotonic() - began, 1.0)
        self.assertLess(time.monotonic() - began, 8.0)

    def client_hello(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client.context(self.gate.ca).wrap_bio(
            incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        return outgoing.read()

    def test_idle_session_ends_with_421(self):
        with self.gate.connect() as session:
            self.assertTrue(session.read().startswith("421 4.4.2"))
            self.assertEqual(session.read(), "")

    def test_silence_in_a_message(self):
        with self.gate.connect() as session:
            session.envelope(["silent@example.net"])
            session.command("DATA", 354)
            session.send(b"Subject: x\r\n\r\nhalf a")
            self.assertTrue(session.read().startswith("421 4.4.2"))
        self.assert_not_delivered("silent@example.net")

    def assert_not_delivered(self, recipient):
        time.sleep(0.2)
        self.assertNotIn(recipient, self.gate.maildir.scan())

    def test_one_byte_at_a_time(self):
        data = mail.plain()
        with self.gate.connect("starttls", login=False) as session:
            whole = session.send

            def send(text):
                for at in range(len(text)):
                    whole(text[at:at + 1])
            session.send = send
            session.login(gateway.USER, gateway.PASSWORD)
            session.submit("slow-data@example.net", data)
            session.submit("slow-bdat@example.net", data, "bdat")
            session.command("QUIT", 221)
        for stored in self.gate.maildir.wait_for(
                ["slow-data@example.net", "slow-bdat@example.net"]).values():
            mail.check_arrived(stored, data)

    def test_wire_bytes_one_at_a_time(self):
        """TLS records cut into single bytes, by a proxy in between."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client.context(self.gate.ca).wrap_bio(
            incoming, outgoing, server_hostname="localhost")
        sock = self.raw("implicit")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def turn(act):
            while True:
                try:
                    return act()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        sock.send(bytes([byte]))
                    piece = sock.recv(65536)
                    self.assertTrue(piece, "closed")
                    incoming.write(piece)
        turn(tls.do_handshake)
        self.assertTrue(turn(lambda: tls.read(1000)).startswith(b"220"))
        tls.write(b"EHLO client.test\r\n")
        self.assertTrue(turn(lambda: tls.read(1000)).startswith(b"250"))

    def test_a_line_without_end(self):
        for style in ("implicit", "starttls"):
            with self.subTest(style), \
                    self.gate.connect(style, login=False) as session:
                try:
                    for _ in range(64):
                        session.send(b"x" * 16384)
                    session.send(b"\r\n")
                    heard = session.read()
                except ConnectionError:
                    continue
                self.assertTrue(heard.startswith(("500 5.5.6", "421")), heard)

    def test_abrupt_end_in_a_message(self):
        for framing in ("data", "bdat"):
            for ending in ("abort", "close"):
                with self.subTest(framing, ending=ending):
                    recipient = f"cut-{framing}-{ending}@example.net"
                    session = self.gate.connect()
                    session.envelope([recipient])
                    if framing == "data":
                        session.command("DATA", 354)
                    else:
                        session.send(b"BDAT 500000 LAST\r\n")
                    session.send(mail.plain(size=200_000))
                    getattr(session, ending)()
                    self.assert_not_delivered(recipient)

    def test_abrupt_end_after_a_chunk(self):
        """A complete chunk that is not the last one is no message."""
        session = self.gate.connect()
        session.envelope(["chunk@example.net"])
        data = mail.plain()
        session.send(b"BDAT %d\r\n" % len(data) + data)
        session.expect(250)
        session.close()
        self.assert_not_delivered("chunk@example.net")

    @unittest.skipIf(gateway.SANITIZED, "a sanitizer has memory of its own")
    def test_never_reads_replies(self):
        """Commands without end whose replies are left lying: the gateway stops
        reading, grows by nothing, and ends the session in time."""
        before = {pid: memory_kib(pid) for pid in self.pids.values()}
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((gateway.HOST, self.gate.starttls))
        sock.settimeout(1)
        sent = 0
        with self.assertRaises(TimeoutError):
            while sent < 4_000_000:
                sock.sendall(b"EHLO client.test\r\n" * 100)
                sent += 100
        grown = {pid: memory_kib(pid) - was for pid, was in before.items()}
        self.assertLess(max(grown.values()), 4096, grown)
        until_gone = time.monotonic() + 10
        while self.gate.counters()["connections_now"]:
            self.assertLess(time.monotonic(), until_gone, "it never ended")
            time.sleep(0.1)

    def test_ten_thousand_commands_at_once(self):
        """The same from a client that does read, later: all are answered."""
        with self.gate.connect("starttls", login=False) as session:
            session.send(b"NOOP\r\n" * 10_000 + b"QUIT\r\n")
            said = "".join(iter(session.read, ""))
        self.assertEqual(said.count("250 2.0.0 ok\r\n"), 10_000)
        self.assertIn("221 ", said)

    def test_more_connections_than_sessions(self):
        """Those beyond the limit are told 421 or wait; when some leave, all
        can be served again."""
        held = [self.raw("starttls") for _ in range(SESSIONS * WORKERS + 64)]
        time.sleep(1)
        served = 0
        for sock in held:
            sock.setblocking(False)
            try:
                served += sock.recv(100)[:3] == b"220"
            except (BlockingIOError, ConnectionError):
                pass
        self.assertGreaterEqual(served, SESSIONS)
        self.assertLessEqual(served, SESSIONS * WORKERS)
        for sock in held:
            sock.close()

    def test_floods_of_handshakes(self):
        """Connections that come and go at once, resets included."""
        hello = self.client_hello()
        for number in range(300):
            sock = socket.create_connection(
                (gateway.HOST, self.gate.implicit), 10)
            if number % 3:
                with contextlib.suppress(ConnectionError):  # refused: full
                    sock.sendall(hello)
            if number % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                b"\1\0\0\0\0\0\0\0")
            sock.close()

    def test_too_many_errors(self):
        with self.gate.connect() as session:
            for _ in range(100):
                session.send(b"BOGUS\r\n")
            said = "".join(iter(session.read, ""))
        self.assertIn("421 4.7.0", said)
        self.assertLess(said.count("500 5.5.1"), 30)


class Crowd(unittest.TestCase):
    @unittest.skipIf(gateway.SANITIZED, "a sanitizer has memory of its own")
    def test_bounded_memory_of_large_mails(self):
        """32 mails of 4 MiB at once: the workers' memory does not follow."""
        with gateway.Gateway(workers=1, route={
                "default": {"next_hop": "discard"}}) as gate:
            pid = gate.pids("gateway")["gateway-0"]
            data = client.stuffed(mail.plain(size=4 << 20))
            sessions = [gate.connect() for _ in range(32)]
            for session in sessions:
                session.envelope(["big@example.net"])
                session.command("DATA", 354)
            before = memory_kib(pid)
            for at in range(0, len(data), 1 << 18):
                for session in sessions:
                    session.send(data[at:at + (1 << 18)])
            grown = memory_kib(pid) - before
            for session in sessions:
                session.expect(250)
                session.quit()
            self.assertLess(grown, 16 * 1024)


if __name__ == "__main__":
    tap.main()
