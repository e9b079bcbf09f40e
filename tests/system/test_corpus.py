"""Bytes in are bytes out (P2): every mail of the corpus through both ports, by
DATA and by BDAT, into a Maildir and to a next hop. time-limit: 180"""

import unittest

import tap
from support import gateway, mail, sink

STYLES = ("implicit", "starttls")
FRAMINGS = {"data": 1, "bdat": 1 << 20, "bdat-small": 97}
CORPUS = mail.corpus()
ODD = [("dots", b".\r\n..\r\n.a\r\n...\r\n.\r\n\r\n.\r\n"),
       ("empty-line", b"\r\n"),
       ("only-header", b"Subject: x\r\n"),
       ("many-dots", b"A: b\r\n\r\n" + b".\r\n" * 1000),
       ("long-line", b"A: b\r\n\r\n" + b"y" * 60000 + b"\r\n"),
       ("all-octets", b"A: b\r\n\r\n" + bytes(
           n for n in range(1, 256) if n not in (10, 13)) + b"\r\n"),
       ("large", mail.plain(size=700_000)),
       ("dots-far-out", b"A: b\r\n\r\n" + (b"z" * 70 + b"\r\n") * 3000 +
        b".\r\n" * 70 + (b".z" * 35 + b"\r\n") * 3000)]


def submit_all(gate, mails, tag=""):
    """Each mail by each framing over each style; {recipient: bytes}."""
    sent = {}
    for style in STYLES:
        session = gate.connect(style)
        for framing, chunk in FRAMINGS.items():
            if chunk < 1000 and sum(len(d) for _, d in mails) > 1_000_000:
                chunk = 9973
            for number, (_, data) in enumerate(mails):
                recipient = f"{tag}{number}-{style}-{framing}@example.net"
                session.envelope([recipient])
                if framing == "data":
                    session.data(data)
                else:
                    session.bdat(data, chunk=chunk)
                sent[recipient] = data
        session.quit()
    return sent


class Delivered(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway()

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()

    def check(self, mails, tag):
        sent = submit_all(self.gate, mails, tag)
        got = self.gate.maildir.wait_for(sent, 60)
        for recipient, data in sent.items():
            with self.subTest(mails[int(recipient[len(tag):].split("-")[0])][0],
                              recipient=recipient):
                mail.check_arrived(got[recipient], data)

    def test_corpus(self):
        self.assertGreater(len(CORPUS), 100)
        self.check(CORPUS, "c")

    def test_odd_mails(self):
        self.check(ODD, "o")

    def test_refused(self):
        """What must not pass is refused with the documented reply, by DATA and
        by BDAT, and the session goes on."""
        head = b"Subject: x\r\n\r\n"
        bad = {"550 5.6.0 bare LF": head + b"a\nb\r\n",
               "550 5.6.0 bare CR": head + b"a\rb\r\n",
               "550 5.6.0 NUL": head + b"a\0b\r\n",
               "550 5.6.0 text line": head + b"a" * 70000 + b"\r\n",
               "552 5.3.4 header": b"".join(
                   b"X-%d: " % n + b"a" * 900 + b"\r\n" for n in range(400)),
               "554 5.4.6": b"Received: x\r\n" * 60 + b"\r\nx\r\n"}
        with self.gate.connect() as session:
            for framing in ("data", "bdat"):
                for reply, data in bad.items():
                    with self.subTest(reply, framing=framing):
                        session.envelope(["refused@example.net"])
                        said = getattr(session, framing)(data, int(reply[:3]))
                        self.assertTrue(said.startswith(reply), said)
            session.submit("last@example.net", mail.plain())
        self.gate.maildir.wait_for(["last@example.net"])
        self.assertNotIn("refused@example.net", self.gate.maildir.mails)

    def test_one_end_of_data(self):
        """P4: none of these ends a message, so what follows stays text or is
        refused as a whole; never is there a second message."""
        hidden = b"MAIL FROM:<demo@example.org>\r\n" \
                 b"RCPT TO:<smuggled@example.net>\r\nDATA\r\nx\r\n"
        for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r",
                    b"\r.\r\n", b"\r\n.\r\r\n", b"\r\n\0.\r\n"):
            with self.subTest(end=end), self.gate.connect() as session:
                session.envelope(["outer@example.net"])
                session.command("DATA", 354)
                session.send(b"A: b\r\n\r\nx" + end + hidden + b"\r\n.\r\n")
                said = session.read()
                self.assertTrue(said.startswith("550 5.6.0"), said)
                session.command("NOOP", 250)
        self.gate.deliver("after@example.net")
        self.assertNotIn("smuggled@example.net", self.gate.maildir.mails)

    def test_recipients(self):
        """Every recipient of one mail gets it, with that name on top."""
        recipients = [f"many-{n}@example.net" for n in range(100)]
        data = mail.with_attachment()
        with self.gate.connect() as session:
            session.envelope(recipients)
            session.data(data)
        for stored in self.gate.maildir.wait_for(recipients).values():
            mail.check_arrived(stored, data)


class Relayed(unittest.TestCase):
    """Through the gateway to a next hop over TLS with a verified name."""

    def relay(self, **options):
        with sink.Sink(**options) as hop:
            route = {"next_hop": hop.url(),
                     "tls_ca": gateway.pki.folder() / "ca.pem"}
            with gateway.Gateway(route={"default": route}) as gate:
                sent = submit_all(gate, CORPUS + ODD)
                hop.wait_for(len(sent), 60)
        got = {message.recipients[0]: message for message in hop.messages}
        self.assertEqual(len(hop.messages), len(sent))
        for recipient, data in sent.items():
            with self.subTest(recipient=recipient):
                mail.check_arrived(got[recipient].data, data)
        return list(got.values())

    def test_by_data_with_dots(self):
        for message in self.relay(tls="starttls", chunking=False):
            self.assertEqual((message.framing, message.tls),
                             ("DATA", "TLSv1.3"))

    def test_by_chunking(self):
        messages = self.relay(tls="implicit", chunking=True)
        self.assertEqual({m.framing for m in messages}, {"BDAT"})
        self.assertEqual({m.sender for m in messages}, {"demo@example.org"})

    def test_without_pipelining(self):
        self.relay(tls="starttls", chunking=False, pipelining=False)


if __name__ == "__main__":
    tap.main()
