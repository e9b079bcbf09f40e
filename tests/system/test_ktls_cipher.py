"""A cipher that the kernel lacks: its sessions stay in userspace, are counted as
such, and lose nothing. It removes a module, so it runs in a virtual machine
alone, and last: the machine's kernel lacks the cipher afterwards.
time-limit: 120"""

import os
import ssl
import subprocess
import unittest

import tap
from support import client, gateway

V12 = ssl.TLSVersion.TLSv1_2
CHACHA = "ECDHE-ECDSA-CHACHA20-POLY1305"
AES = "ECDHE-ECDSA-AES128-GCM-SHA256"


@unittest.skipUnless(os.environ.get("SLUICE_VM"),
                     "needs a virtual machine, whose kernel it may change")
class NoCipher(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Nothing brings it back: the guest has no folder of modules.
        subprocess.run(["rmmod", "chacha20poly1305"], check=True)

    def session(self, gate, ciphers):
        """Its log line; the mail has arrived."""
        seen = len(gate.log("session"))
        tls = client.context(gate.ca, V12, ciphers)
        with gate.connect(tls=tls) as session:
            session.submit(f"{seen}@example.net", b"Subject: x\r\n\r\nx\r\n")
            session.quit()
        gate.maildir.wait_for([f"{seen}@example.net"])
        return gate.wait_for(lambda: [line for line in
                                      gate.log("session")[seen:]
                                      if line["user"]])[-1]

    def test_counted(self):
        with gateway.Gateway(any_ktls_kernel=True) as gate:
            line = self.session(gate, CHACHA)
            self.assertEqual((line["records"], line["offload"]),
                             ("userspace", "no-cipher"))
            line = self.session(gate, AES)
            self.assertEqual(line["records"], "kernel")
            line = self.session(gate, CHACHA)
            self.assertEqual(line["offload"], "no-cipher")
            self.assertEqual(gate.counters()["offload_no_cipher"], 2)

    def test_required(self):
        """Found out when the keys are given, and told even so."""
        with gateway.Gateway(any_ktls_kernel=True,
                             listener={"ktls": "require"}) as gate:
            tls = client.context(gate.ca, V12, CHACHA)
            with self.assertRaisesRegex((client.Refused, OSError),
                                        "requires kernel TLS"):
                gate.connect(tls=tls)
            self.assertEqual(self.session(gate, AES)["records"], "kernel")
            counters = gate.counters()
            self.assertEqual(counters["offload_unmet"], 1)
            self.assertEqual(counters["offload_no_cipher"], 1)


if __name__ == "__main__":
    tap.main()
