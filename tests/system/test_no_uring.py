"""A kernel or container without io_uring: said at start, with the cure."""

import ctypes
import errno
import os
import subprocess
import unittest

import tap
from support import gateway

ALLOW = 0x7FFF0000
IO_URING_SETUP = 425
PR_SET_NO_NEW_PRIVS = 38


def forbid_io_uring(error):
    """For preexec_fn: io_uring_setup(2) fails with `error` from now on."""
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ALLOW))
    refuse = ctypes.c_uint32(0x00050000 | error)
    if (ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or
            seccomp.seccomp_rule_add(context, refuse, IO_URING_SETUP, 0) or
            seccomp.seccomp_load(context)):
        os._exit(99)


class WithoutIoUring(unittest.TestCase):
    def start(self, error):
        gate = gateway.Gateway(start=False)
        self.addCleanup(gate.close)
        return subprocess.run(gate.command(), text=True, capture_output=True,
                              timeout=20,
                              preexec_fn=lambda: forbid_io_uring(error))

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
