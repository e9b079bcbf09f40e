"""The demo's table says who made the records: the kernel where it can, and
where it cannot, why not. time-limit: 120"""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import tap
from support import gateway, ktls, pki

DEMO = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "demo"
MAILS = 3
ROW = re.compile(r"^\S+ +\d+ +TLSv1\.3 +\S+ +(\S+) +\d+ same bytes ", re.M)


class Demo(unittest.TestCase):
    def run_demo(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            done = subprocess.run(
                [DEMO, str(MAILS)], text=True, capture_output=True, timeout=100,
                env={**os.environ, "SLUICE_BUILD": str(pki.build_folder()),
                     "SLUICE_RUN_DIR": f"{folder}/run", "SLUICE_PORT_BASE":
                     str(gateway.free_ports(1)[0] // 1000 * 1000)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    @unittest.skipIf(ktls.MISSING, ktls.HAS_NOT)
    def test_kernel(self):
        """Two connections for each mail, by the kernel's own counters."""
        with ktls.made_by_kernel(2 * MAILS):
            told = self.run_demo()
        self.assertEqual(ROW.findall(told), ["kernel"] * 2 * MAILS, told)
        self.assertIn("TLS records are made by kernel:", told)

    @unittest.skipUnless(ktls.MISSING, "this kernel has kTLS")
    def test_userspace(self):
        told = self.run_demo()
        self.assertEqual(ROW.findall(told), ["userspace"] * 2 * MAILS, told)
        self.assertIn("TLS records are made by userspace: the kernel has no "
                      "kTLS: modprobe tls", told)

    def test_usage(self):
        for wrong in ("0", "-1", "x"):
            done = subprocess.run([DEMO, wrong], text=True, capture_output=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("scripts/demo [MAILS]", done.stderr)


if __name__ == "__main__":
    tap.main()
