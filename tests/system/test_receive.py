"""Bodies on their way in: every size around the buffers' limits, by DATA and
BDAT, in records made by whoever can, byte for byte; peers that are slow, stop,
lie or leave in the middle of a chunk. time-limit: 400"""

import base64
import os
import platform
import re
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

import tap
from support import client, gateway, mail

KIB, MIB = 1 << 10, 1 << 20
SIZES = (0, 1, 300, *(edge + by for edge in (16 * KIB, 64 * KIB, 256 * KIB)
                      for by in (-1, 0, 1)), MIB)
LINE = b"0123456789abcdef" * 4 + b"\r\n"
TCP_ULP = 31
REKEYS = tuple(map(int, re.findall(r"\d+", platform.release())[:2])) >= (6, 14)
SPLICED_MIN = 16 * MIB  # of the bodies by BDAT


def has_ktls():
    with socket.create_server(("127.0.0.1", 0)) as server, \
            socket.create_connection(server.getsockname()) as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        except OSError:
            return False
    return True


def body(size):
    """A mail of exactly so many octets, no two MiB of it alike."""
    head = mail.plain()
    if size < len(head) + len(LINE):
        return (b"\r\n" + b"x" * size)[-size:] if size else b""
    block = b"".join(b"%05d" % n + LINE[5:] for n in range(MIB // len(LINE)))
    data = head + b"".join(b"%05d " % n + block
                           for n in range(size // len(block) + 1))
    return data[:size - 5] + b"xxx\r\n" if data[size - 6:size - 5] != b"\r" \
        else data[:size - 6] + b"xxxx\r\n"


def by_bdat(session, data, chunk, last_is_empty=False):
    """In chunks of so many octets; the last may come with the rest or alone."""
    for at in range(0, len(data), chunk):
        piece = data[at:at + chunk]
        end = not last_is_empty and at + chunk >= len(data)
        session.send(b"BDAT %d%s\r\n" % (len(piece), b" LAST" if end else b"")
                     + piece)
        if not end:
            session.expect(250, f"chunk at {at}")
    if last_is_empty or not data:
        session.send(b"BDAT 0 LAST\r\n")
    session.expect(250, "BDAT LAST")


WAYS = {
    "data": lambda s, d: s.data(d),
    "one chunk": lambda s, d: by_bdat(s, d, max(len(d), 1)),
    "last is empty": lambda s, d: by_bdat(s, d, max(len(d), 1), True),
    "chunks": lambda s, d: by_bdat(s, d, max(len(d) // 3 + 1, 100)),
}


class Paths:
    """Tests of one way through the gateway; `listener` asks for it."""
    records, listener, settings = None, {}, {}

    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway(workers=1, any_ktls_kernel=True,
                                   listener=cls.listener, **cls.settings)
        cls.addClassCleanup(cls.gate.close)

    def check(self, sent, seconds=60):
        arrived = self.gate.maildir.wait_for(sent, seconds)
        for to, data in arrived.items():
            mail.check_arrived(data, mail.canonical(sent[to])
                               if to.startswith("data-") else sent[to])

    def nothing_for(self, to):
        """Not even behind what was sent later."""
        behind = f"behind-{os.urandom(4).hex()}@example.net"
        self.gate.deliver(behind)
        self.assertNotIn(to, self.gate.maildir.scan())


class Whole(Paths):
    settings = {"limits": {"message_size": "100M", "errors": 1000}}
    large = (("data", 16), ("one chunk", 16), ("chunks", 64))  # MiB

    def submit(self, sizes, ways):
        """`sizes` by all of these ways over one session."""
        sent = {}
        with self.gate.connect(timeout=120) as session:
            for size in sizes:
                for way in ways:
                    to = f"{way.replace(' ', '-')}-{size}@example.net"
                    sent[to] = body(size)
                    session.envelope([to])
                    WAYS[way](session, sent[to])
            session.quit()
        self.check(sent, 120)

    def test_every_size_by_every_way(self):
        self.submit(SIZES, WAYS)
        self.gate.wait_for_log('"ended":"BYE"')
        self.assertEqual({line["records"] for line in self.gate.log("session")
                          if line["messages"]}, {self.records})

    def test_large(self):
        for way, mib in self.large:
            self.submit([mib * MIB], [way])

    def test_chunks_of_every_length(self):
        """A chunk ends anywhere: between CR and LF, within a record."""
        data, sent = body(70_000), {}
        with self.gate.connect() as session:
            for chunk in (7, 66, 67, 4096, 16384, 16385, 69_999):
                piece = data if chunk > 1000 else data[:3000] + b"\r\n"
                to = f"chunk-{chunk}@example.net"
                sent[to] = piece
                session.envelope([to])
                by_bdat(session, piece, chunk)
        self.check(sent)

    def test_chunks_that_end_between_cr_and_lf(self):
        """Large ones, so that each may go its own way; then a CR alone."""
        data = body(600_000)
        cuts = [data.index(b"\r\n", at) + 1 for at in (200_000, 400_000)]
        pieces = [data[:cuts[0]], data[cuts[0]:cuts[1]], data[cuts[1]:]]
        with self.gate.connect() as session:
            for to, last, code in (("cut@example.net", pieces[2], 250),
                                   ("cr@example.net", b"x", 550)):
                session.envelope([to])
                for piece in pieces[:2]:
                    session.send(b"BDAT %d\r\n" % len(piece) + piece)
                    session.expect(250)
                session.send(b"BDAT %d LAST\r\n" % len(last) + last)
                session.expect(code)
        self.check({"cut@example.net": data})
        self.nothing_for("cr@example.net")

    def test_commands_behind_a_chunk(self):
        """What comes in one flight with it is no part of it."""
        data = body(500_000)
        with self.gate.connect() as session:
            session.envelope(["first@example.net"])
            session.send(b"BDAT %d LAST\r\n" % len(data) + data +
                         b"MAIL FROM:<demo@example.org>\r\n"
                         b"RCPT TO:<second@example.net>\r\n"
                         b"BDAT %d LAST\r\n" % len(data) + data + b"QUIT\r\n")
            for code in (250, 250, 250, 250, 221):
                session.expect(code)
        self.check({"first@example.net": data, "second@example.net": data})

    def test_refused_content(self):
        """Wherever it stands, by DATA and BDAT, the reply is the same."""
        good = body(600_000)
        with self.gate.connect() as session:
            for what in (b"\r", b"\n", b"\0"):
                for at in (300, 16_384, 262_145, 599_000):
                    data = good[:at] + b"a" + what + b"b" + good[at:]
                    replies = set()
                    for way in ("data", "bdat"):
                        session.envelope(["refused@example.net"])
                        replies.add(getattr(session, way)(data, 550))
                    self.assertEqual(len(replies), 1, replies)
                    self.assertIn("5.6.0", replies.pop())
            line = b"x" * 66_000
            session.envelope(["refused@example.net"])
            reply = session.bdat(good + line + b"\r\n", 550)
            self.assertIn("line longer than", reply)
            session.submit("good@example.net", good, "bdat")
            session.quit()
        self.check({"good@example.net": good})
        self.nothing_for("refused@example.net")

    def test_a_peer_that_leaves(self):
        """With and without close_notify, at every stage of a chunk."""
        data = body(MIB)
        for n, part in enumerate((1, 16_384, 200_000, 600_000, 999_999)):
            session = self.gate.connect()
            session.envelope(["leaves@example.net"])
            session.send(b"BDAT 1000000 LAST\r\n" + data[:part])
            if n % 2:
                self.say_goodbye(session)
            session.close()
        self.nothing_for("leaves@example.net")

    @staticmethod
    def say_goodbye(session):
        """close_notify in the middle of the chunk, then the end."""
        session.socket.settimeout(0.1)
        try:
            session.socket.unwrap()
        except (ssl.SSLError, OSError):
            pass  # it was not answered


class Scarce(Paths):
    settings = {"limits": {"body_buffers": 1, "message_size": "2M"},
                "timeouts": {"data": "2s", "drain": "1s"}}

    def test_a_slow_peer_makes_progress(self):
        """What trickles in counts, though it fills no buffer."""
        data = body(300_000)
        before = self.gate.counters()["sessions_timed_out"]
        with self.gate.connect() as session:
            session.envelope(["slow@example.net"])
            session.send(b"BDAT %d LAST\r\n" % len(data))
            for n in range(5):
                session.send(data[n * 10_000:(n + 1) * 10_000])
                time.sleep(1.2)
            session.send(data[50_000:])
            session.expect(250)
            session.quit()
        self.check({"slow@example.net": data})
        self.assertEqual(self.gate.counters()["sessions_timed_out"], before)

    def test_a_peer_that_stops_is_told(self):
        """In the middle of a chunk: 421 in time, and no message."""
        with self.gate.connect() as session:
            session.envelope(["stops@example.net"])
            session.send(b"BDAT 1000000 LAST\r\n" + body(400_000))
            session.expect(421)
        self.nothing_for("stops@example.net")

    def test_many_at_once_with_one_large_buffer(self):
        """They are received all the same, and the lack is counted."""
        data = body(200_000)  # what one waits for the others is little
        sent = {f"crowd-{n}@example.net": data for n in range(4)}
        sessions = [self.gate.connect() for _ in sent]
        for session, to in zip(sessions, sent):
            session.envelope([to])
            session.send(b"BDAT %d LAST\r\n" % len(data))
        for session in sessions:
            session.send(data[:100_000])
        for session in sessions:
            session.send(data[100_000:])
            session.expect(250)
            session.quit()
        self.check(sent)
        self.assertGreater(self.gate.counters()["recv_crowded"], 0)
        self.assertEqual(self.gate.counters()["recv_starved"], 0)

    def test_too_big(self):
        with self.gate.connect() as session:
            for way in ("data", "bdat"):
                session.envelope(["big@example.net"])
                getattr(session, way)(body(3 * MIB), 552)
        self.nothing_for("big@example.net")

    def test_zz_drain_in_a_chunk(self):
        """A peer that stops keeps nothing from ending. Last: it ends all."""
        with self.gate.connect() as session:
            session.envelope(["drained@example.net"])
            session.send(b"BDAT 1000000 LAST\r\n" + body(400_000))
            self.assertEqual(self.gate.stop(), 0)


class KeyUpdate:
    """A KeyUpdate in the middle of a chunk, by openssl s_client: alone among
    clients at hand it sends one when told (by a line that begins with K)."""

    def test_key_update_in_a_chunk(self):
        """Followed where the kernel can change keys; elsewhere the session
        ends, and half a message is none."""
        data, token = body(400_000).replace(b"\r\n", b"\n"), base64.b64encode(
            f"\0{gateway.USER}\0{gateway.PASSWORD}".encode())
        told = self.s_client([
            b"ehlo k.test\n", b"auth plain " + token + b"\n",
            b"mail from:<demo@example.org>\n",
            b"rcpt to:<rekeyed@example.net>\n",
            b"bdat 400000 last\n" + data[:100_000], b"K\n", data[100_000:],
            b"quit\n"])
        self.assertIn("KEYUPDATE", told)
        if REKEYS or self.records == "userspace":
            self.assertIn("221 2.0.0", told)
            self.gate.maildir.wait_for(["rekeyed@example.net"])
        else:
            self.nothing_for("rekeyed@example.net")

    def s_client(self, pieces):
        with tempfile.TemporaryFile() as told, subprocess.Popen(
                ["openssl", "s_client", "-crlf", "-tls1_3", "-connect",
                 f"127.0.0.1:{self.gate.implicit}"], bufsize=0, stdout=told,
                stdin=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                for piece in pieces:
                    time.sleep(1.5)
                    process.stdin.write(piece)
                process.wait(20)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                pass
            process.kill()
            told.seek(0)
            return told.read().decode(errors="replace")


KERNEL = unittest.skipUnless(has_ktls(), "this kernel has no kTLS")
# The virtual machines are there for what this machine's kernel lacks.
USER = unittest.skipIf("SLUICE_VM" in os.environ, "no need of another kernel")


@USER
class UserWhole(KeyUpdate, Whole, unittest.TestCase):
    records, listener = "userspace", {"ktls": "off"}


@USER
class UserScarce(Scarce, unittest.TestCase):
    listener = UserWhole.listener


@KERNEL
class KernelWhole(KeyUpdate, Whole, unittest.TestCase):
    records, listener = "kernel", {"ktls": "require"}
    large = (("data", 16), ("chunks", 64))  # emulated machines take a while


@KERNEL
class KernelScarce(Scarce, unittest.TestCase):
    listener = KernelWhole.listener


@KERNEL
class SpliceWhole(KeyUpdate, Whole, unittest.TestCase):
    records = "kernel"
    listener = {"ktls": "require", "body_path": "splice"}
    large = (("one chunk", 16),)

    def test_zz_was_spliced(self):
        """Last: all but headers and what lay in a buffer already."""
        self.assertGreater(self.gate.counters()["body_bytes_spliced"],
                           SPLICED_MIN)


@KERNEL
class SpliceScarce(Scarce, unittest.TestCase):
    listener = SpliceWhole.listener

    test_many_at_once_with_one_large_buffer = None  # it needs none


if __name__ == "__main__":
    tap.main()
