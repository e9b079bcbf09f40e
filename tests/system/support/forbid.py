"""A system call that fails, as on a kernel without it or in a container that
does not allow it. As a program it runs a command so:

    forbid.py ERRNO CALL [FIRST_ARGUMENT] -- COMMAND ARGUMENT..."""

import ctypes
import os
import sys

IO_URING_SETUP = 425
BPF = 321
BPF_PROG_LOAD = 5
BPF_LINK_CREATE = 28

ALLOW = 0x7FFF0000
FAIL = 0x00050000  # with an errno
EQUAL = 4
PR_SET_NO_NEW_PRIVS = 38


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp"""
    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int),
                ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def prefix(error, call, *first):
    """To go before a command line; all calls, or those with that argument."""
    return [sys.executable, os.path.abspath(__file__),
            *map(str, (int(error), call, *first)), "--"]


def forbid(error, call, *first):
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ALLOW))
    compared = (Compare * 1)(*(Compare(0, EQUAL, a, 0) for a in first))
    if (ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or
            seccomp.seccomp_rule_add_array(
                context, ctypes.c_uint32(FAIL | error), call, len(first),
                compared) or
            seccomp.seccomp_load(context)):
        sys.exit("forbid: no filter of system calls")


if __name__ == "__main__":
    end = sys.argv.index("--")
    forbid(*map(int, sys.argv[1:end]))
    os.execvp(sys.argv[end + 1], sys.argv[end + 1:])
