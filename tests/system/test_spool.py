"""The spool and the relay over time: full disks, restarts, next hops that are
down, room given back, messages of a gibibyte. time-limit: 360"""

import os
import pathlib
import re
import time
import unittest

import tap
from support import client, disk, gateway, mail, sink

NO_DISK = disk.missing()
BIG = int(os.environ.get("SLUICE_BIG_MIB") or 1024) << 20


def down():
    """A port where nobody listens, and a route to it."""
    port = gateway.free_ports(1)[0]
    return port, {"default": {"next_hop": f"smtp://localhost:{port}",
                              "tls_ca": gateway.pki.folder() / "ca.pem"}}


def submit(gate, n, tag="", size=0):
    """n messages over one session; their recipients."""
    names = [f"{tag}{number}@example.net" for number in range(n)]
    with gate.connect() as session:
        for name in names:
            session.submit(name, mail.plain(size=size))
        session.quit()
    return names


def until(true, seconds=15, what="it did not happen"):
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} within {seconds} s")
        time.sleep(0.05)


@unittest.skipIf(NO_DISK, str(NO_DISK))
class FullDisk(unittest.TestCase):
    def submit_until_refused(self, gate, size):
        """Names of the acknowledged ones, and the refusal."""
        names = []
        with gate.connect() as session:
            for number in range(2000):
                name = f"before-{number}@example.net"
                session.envelope([name])
                session.command("DATA", 354)
                session.send(client.stuffed(mail.plain(size=size)))
                said = session.read()
                if not said.startswith("250"):
                    return names, said
                names.append(name)
        self.fail("a full disk took 2000 messages")

    def fills_and_recovers(self, size):
        port, route = down()
        with disk.SmallDisk(size="4m", workers=1, route=route) as gate:
            gate.fill(leave=200_000)
            names, said = self.submit_until_refused(gate, size)
            self.assertRegex(said, "^(452 4.3.1|451 4.3.0) ")
            self.assertTrue(names)
            gate.make_room()
            until(lambda: self.accepts(gate), what="no mail was taken again")
            with sink.Sink(port=port) as hop:
                until(lambda: set(names) <= {
                    m.recipients[0] for m in hop.messages}, 45,
                    what="acknowledged mail was not delivered")
            self.assertEqual(gate.stop(), 0)

    def accepts(self, gate):
        try:
            submit(gate, 1, "after-")
            return True
        except client.Refused as refusal:
            self.assertRegex(str(refusal), "45[12] 4.3")
            return False

    def test_small_messages(self):
        self.fills_and_recovers(2000)

    def test_large_messages(self):
        self.fills_and_recovers(90_000)

    def test_reserve(self):
        """Refused before the disk is full, at MAIL already; said in the log
        when it begins and when it is over."""
        with disk.SmallDisk(size="32m", spool={"reserve": "16M"}) as gate:
            gate.deliver("room@example.net")
            gate.fill(leave=8 << 20)

            def refused():
                with gate.connect() as session:
                    session.send(b"MAIL FROM:<demo@example.org>\r\n")
                    return session.read().startswith("452 4.3.1")
            until(refused, what="mail was still taken below the reserve")
            gate.wait_for_log("spool-full")
            gate.make_room()
            until(lambda: not refused(), what="no mail was taken again")
            gate.wait_for_log("spool-has-room")
            gate.deliver("again@example.net")


class Queue(unittest.TestCase):
    def test_restart_delivers_what_was_queued(self):
        port, route = down()
        with gateway.Gateway(route=route) as gate:
            names = submit(gate, 20, "small-") + submit(
                gate, 3, "large-", 300_000)
            self.assertEqual(gate.counters()["queue_now"], 23)
            gate.restart()
            gate.kill()
            gate.await_children()
            with sink.Sink(port=port) as hop:
                gate.start()
                hop.wait_for(23)
                self.assertEqual(sorted(m.recipients[0] for m in hop.messages),
                                 sorted(names))
                until(lambda: gate.counters()["queue_now"] == 0)

    def test_next_hop_comes_up(self):
        port, route = down()
        with gateway.Gateway(route=route) as gate:
            names = submit(gate, 5)
            until(lambda: gate.counters()["deliveries_deferred"] >= 5)
            with sink.Sink(port=port) as hop:
                hop.wait_for(5, 40)
            self.assertEqual(sorted(m.recipients[0] for m in hop.messages),
                             names)

    def test_temporary_failures_are_tried_again(self):
        """Whatever a next hop does once, the mail arrives, whole and once.
        Each way to fail has a next hop, a route and a domain of its own."""
        hops, routes = {}, {}
        for verb in ("CONNECT", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA",
                     "MESSAGE"):
            for n, reply in enumerate(("451 4.3.0 later", "421 4.3.2 go away",
                                       "drop")):
                name = f"{verb.lower()}-{n}.test"
                hops[name] = sink.Sink(script={verb: [reply]}, chunking=False)
                self.addCleanup(hops[name].close)
                routes[name] = {"next_hop": hops[name].url(), "domains": [name],
                                "tls_ca": gateway.pki.folder() / "ca.pem"}
        routes["default"] = {"next_hop": "discard"}
        data = mail.with_attachment()
        with gateway.Gateway(route=routes) as gate:
            with gate.connect() as session:
                for name in hops:
                    session.submit(f"you@{name}", data)
            for name, hop in hops.items():
                with self.subTest(name):
                    hop.wait_for(1, 40)
            until(lambda: gate.counters()["queue_now"] == 0)
        for name, hop in hops.items():
            with self.subTest(name):
                self.assertEqual(len(hop.messages), 1)
                mail.check_arrived(hop.messages[0].data, data)

    def test_one_recipient_later(self):
        """Of two recipients one is put off: each gets the mail once."""
        with sink.Sink(script={"RCPT": [None, "450 4.2.1 later"]}) as hop:
            route = {"default": {"next_hop": hop.url(), "tls_ca":
                                 gateway.pki.folder() / "ca.pem"}}
            with gateway.Gateway(route=route) as gate:
                with gate.connect() as session:
                    session.envelope(["a@example.net", "b@example.net"])
                    session.data(mail.plain())
                hop.wait_for(2, 30)
                until(lambda: gate.counters()["queue_now"] == 0)
        self.assertEqual(sorted(r for m in hop.messages for r in m.recipients),
                         ["a@example.net", "b@example.net"])

    def test_refused_for_good_is_held(self):
        """Not lost, not tried for ever: held, counted and said."""
        with sink.Sink(script={"MESSAGE": ["554 5.6.0 no"]}) as hop:
            route = {"default": {"next_hop": hop.url(), "tls_ca":
                                 gateway.pki.folder() / "ca.pem"}}
            with gateway.Gateway(route=route) as gate:
                submit(gate, 1)
                until(lambda: gate.counters()["queue_held_now"] == 1)
                gate.wait_for_log('"code":554')
                time.sleep(2.5)
                self.assertEqual(hop.messages, [])
                gate.restart()
                until(lambda: gate.counters()["queue_held_now"] == 1)

    def test_no_tls_no_mail(self):
        """P3: a next hop that offers no TLS, or has the wrong certificate,
        gets nothing."""
        for options in ({"tls": "none"}, {"certificate": "other"}):
            with self.subTest(**options), sink.Sink(**options) as hop:
                port = hop.port
                route = {"default": {"next_hop": f"smtp://localhost:{port}",
                                     "tls_ca": gateway.pki.folder() /
                                     "ca.pem"}}
                with gateway.Gateway(route=route) as gate:
                    submit(gate, 1)
                    until(lambda: gate.counters()["deliveries_deferred"] >= 1)
                    self.assertEqual(hop.messages, [])
                    self.assertEqual(gate.counters()["queue_now"], 1)

    def test_routes_by_domain(self):
        with sink.Sink() as hop:
            routes = {"there": {"next_hop": hop.url(), "tls_ca":
                                gateway.pki.folder() / "ca.pem",
                                "domains": ["there.test"]}}
            with gateway.Gateway(start=False) as gate:
                gate.configure(route={**routes,
                                      **gate.defaults()["route"]})
                gate.start()
                with gate.connect() as session:
                    session.envelope(["a@there.test", "b@here.test"])
                    session.data(mail.plain())
                hop.wait_for(1)
                gate.maildir.wait_for(["b@here.test"])
                self.assertEqual(hop.messages[0].recipients, ["a@there.test"])
                self.assertNotIn("a@there.test", gate.maildir.mails)

    def test_segments_are_reclaimed(self):
        """What is delivered gives its room back while the daemon runs."""
        with gateway.Gateway(workers=1, spool={"segment_size": "1M"},
                             route={"default": {"next_hop": "discard"}}
                             ) as gate:
            for turn in range(10):
                submit(gate, 20, f"{turn}-", 30_000)
            submit(gate, 2, "large-", 500_000)
            until(lambda: gate.counters()["queue_now"] == 0)
            until(lambda: gate.counters()["segments_reclaimed"] >= 4)
            until(lambda: gate.spool_bytes() < 3 << 20,
                  what="the spool did not shrink")


class Big(unittest.TestCase):
    def peak_kib(self, pid):
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1])

    @unittest.skipIf(gateway.SANITIZED, "a sanitizer has memory of its own")
    def test_large_message_in_constant_memory(self):
        """A gibibyte by BDAT: no process grows by more than a few buffers."""
        with gateway.Gateway(
                workers=1, limits={"message_size": "2G"},
                route={"default": {"next_hop": "discard"}}) as gate:
            with gate.connect() as session:
                session.submit("small@example.net", mail.plain())
            before = {pid: self.peak_kib(pid) for pid in gate.pids().values()}
            chunk = (b"0123456789abcde" * 5 + b"\r\n") * 13617
            head = mail.plain()
            began = time.monotonic()
            with gate.connect() as session:
                session.envelope(["big@example.net"])
                session.send(b"BDAT %d\r\n" % len(head) + head)
                session.expect(250)
                sent = len(head)
                while BIG - sent > len(chunk):
                    session.send(b"BDAT %d\r\n" % len(chunk) + chunk)
                    session.expect(250)
                    sent += len(chunk)
                session.send(b"BDAT 2 LAST\r\n\r\n")
                session.expect(250)
                session.quit()
            print(f"# {sent >> 20} MiB in {time.monotonic() - began:.1f} s")
            until(lambda: gate.counters()["queue_now"] == 0, 30)
            grown = {pid: self.peak_kib(pid) - was
                     for pid, was in before.items()}
            print(f"# peak memory grew by {max(grown.values())} KiB")
            self.assertLess(max(grown.values()), 2048)
            until(lambda: not any((gate.folder / "spool/files").iterdir()),
                  what="the body was not removed")

    def test_one_byte_over_the_limit(self):
        with gateway.Gateway(limits={"message_size": "64K",
                                     "header_size": "16K"},
                             route={"default": {"next_hop": "discard"}}
                             ) as gate, gate.connect() as session:
            head = b"Subject: x\r\n\r\n"
            for framing in ("data", "bdat"):
                for over in (0, 2):
                    fill = 65536 - len(head) + over
                    body = (b"x" * 62 + b"\r\n") * (fill // 64)
                    body += b"y" * (fill - len(body) - 2) + b"\r\n"
                    session.envelope(["a@example.net"])
                    getattr(session, framing)(head + body,
                                              552 if over else 250)
            session.command("MAIL FROM:<demo@example.org> SIZE=65537", 552)
            session.command("MAIL FROM:<demo@example.org> SIZE=65536", 250)


if __name__ == "__main__":
    tap.main()
