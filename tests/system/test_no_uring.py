"""A kernel or container without io_uring: said at start, with the cure."""

import errno
import subprocess
import unittest

import tap
from support import forbid, gateway


class WithoutIoUring(unittest.TestCase):
    def start(self, error):
        gate = gateway.Gateway(
            start=False, prefix=forbid.prefix(error, forbid.IO_URING_SETUP))
        self.addCleanup(gate.close)
        return subprocess.run(gate.command(), text=True, capture_output=True,
                              timeout=20)

    def test_forbidden(self):
        done = self.start(errno.EPERM)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("kernel.io_uring_disabled", done.stderr)
        self.assertIn("seccomp", done.stderr)

    def test_absent(self):
        done = self.start(errno.ENOSYS)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("CONFIG_IO_URING", done.stderr)


if __name__ == "__main__":
    tap.main()
