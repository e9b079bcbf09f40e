"""The relay's end of records made by the kernel: every byte reaches the next
hop once, whatever the cipher, also when the hop changes keys, hangs up or
refuses. Listeners make theirs in userspace here, so that what the kernel counts
is the relay's. time-limit: 300"""

import contextlib
import os
import ssl
import unittest

import tap
from support import gateway, ktls, mail, sink, typedhop

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
CIPHERS12 = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
             "ECDHE-ECDSA-CHACHA20-POLY1305")
CIPHERS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
             "TLS_CHACHA20_POLY1305_SHA256")
SIZES = (0, 1, 16384, 300_000)
LARGEST = 64 << 20


def route_to(hop, domain=None):
    return {"next_hop": hop.url(), "ktls": "require", "connections": 1,
            "tls_ca": gateway.pki.folder() / "ca.pem",
            "domains": [domain] if domain else None}


def relaying(routes):
    return gateway.Gateway(route=routes, any_ktls_kernel=True,
                           listener={"ktls": "off"},
                           limits={"message_size": LARGEST + 65536})


@unittest.skipIf(ktls.MISSING, ktls.HAS_NOT)
class Relay(unittest.TestCase):
    def submit(self, gate, sizes, domain="example.net"):
        """{recipient: mail}"""
        sent = {}
        with gate.connect(timeout=60) as session:
            for size in sizes:
                to = f"{os.urandom(6).hex()}@{domain}"
                sent[to] = mail.plain(size=size)
                session.submit(to, sent[to], "bdat")
            session.quit()
        return sent

    def check(self, hop, sent):
        """All of it came, each once, whole."""
        messages = hop.wait_for(len(sent), 60)
        got = {message.recipients[0]: message for message in messages}
        self.assertEqual(len(messages), len(sent))
        for to, data in sent.items():
            mail.check_arrived(got[to].data, data)
        return messages

    def test_every_cipher(self):
        """In one gateway, a next hop for each: TLS 1.2 by STARTTLS and DATA,
        1.3 from the first byte and by BDAT."""
        with contextlib.ExitStack() as stack:
            hops = {f"{cipher.lower()}.example": stack.enter_context(
                sink.Sink(tls="starttls", chunking=False, version=V12,
                          ciphers=cipher)) for cipher in CIPHERS12}
            hops["v13.example"] = stack.enter_context(
                sink.Sink(tls="implicit", version=V13))
            hops["v13-data.example"] = stack.enter_context(
                sink.Sink(tls="starttls", version=V13, chunking=False))
            routes = {f"r{n}": route_to(hop, domain)
                      for n, (domain, hop) in enumerate(hops.items())}
            routes["default"] = {"next_hop": "discard"}
            gate = stack.enter_context(relaying(routes))
            for domain, hop in hops.items():
                with self.subTest(domain), ktls.made_by_kernel(1):
                    sent = self.submit(gate, SIZES, domain)
                    for message in self.check(hop, sent):
                        self.assertIn(domain.split(".")[0], (
                            message.cipher.lower(), "v13", "v13-data"))
                    self.assertEqual(hop.connections, 1)

    def test_largest(self):
        with sink.Sink(tls="implicit") as hop, \
                relaying({"default": route_to(hop)}) as gate, \
                ktls.made_by_kernel(1):
            self.check(hop, self.submit(gate, (LARGEST,)))
            counters = gate.counters()
            self.assertGreater(counters["next_hop_bytes_spliced"], LARGEST // 2)

    def typed(self, cipher, updates, connections):
        """Three mails, one after the other, to a next hop of OpenSSL's."""
        port, = gateway.free_ports(1)
        with typedhop.TypedHop("-tls1_3", "-ciphersuites", cipher, port=port,
                               updates=updates,
                               lost=not ktls.REKEYS) as hop, \
                relaying({"default": route_to(hop)}) as gate:
            with ktls.made_by_kernel(connections):
                sent = {}
                for size in (100, 40_000, 3000):
                    done = gate.counters()["deliveries_ok"]
                    sent.update(self.submit(gate, (size,)))
                    gate.wait_for_counter("deliveries_ok", done + 1)
            self.assertEqual(sorted(hop.recipients), sorted(sent))
            for to, stored in zip(hop.recipients, hop.bodies):
                mail.check_arrived(stored, sent[to])
            self.assertEqual((hop.cipher, hop.connections),
                             (cipher, connections))

    def test_openssl(self):
        for cipher in CIPHERS13:
            with self.subTest(cipher):
                self.typed(cipher, {}, 1)

    def test_key_update(self):
        """Goes on where the kernel can change keys; else what was under way is
        sent once more, over another connection, and taken once."""
        for letter in (b"k", b"K"):
            with self.subTest(letter):
                self.typed(CIPHERS13[1], {2: letter}, 1 if ktls.REKEYS else 2)

    def test_hangs_up(self):
        """close_notify where a reply is due."""
        with sink.Sink(tls="implicit", script={"MAIL": [None, "drop"]}) as hop, \
                relaying({"default": route_to(hop)}) as gate, \
                ktls.made_by_kernel(2):
            first = self.submit(gate, (1000,))
            hop.wait_for(1)
            self.check(hop, {**first, **self.submit(gate, (70_000,))})
            self.assertEqual(hop.connections, 2)

    def test_goes_on_after_refusals(self):
        """RSET, and the next mail over the same connection."""
        script = {"RCPT": ["550 5.1.1 nobody"],
                  "MESSAGE": [None, "452 4.3.1 later"]}
        with sink.Sink(tls="starttls", script=script) as hop, \
                relaying({"default": route_to(hop)}) as gate, \
                ktls.made_by_kernel(1):
            self.submit(gate, (1000,))
            gate.wait_for_counter("deliveries_failed", 1)
            sent = {}
            for size in (500, 100_000):
                sent.update(self.submit(gate, (size,)))
            hop.wait_for(2)
            got = {to: m.data for m in hop.messages for to in m.recipients}
            for to, data in sent.items():
                mail.check_arrived(got[to], data)
            self.assertEqual(hop.connections, 1)


if __name__ == "__main__":
    tap.main()
