"""What the running kernel can do of TLS, and its own word on what it did."""

import contextlib
import os
import pathlib
import platform
import re
import socket
import struct

TCP_ULP = 31
SOL_TLS = 282
VERSIONS = (0x0303, 0x0304)
WAYS = (1, 2)  # TLS_TX, TLS_RX
# Number, and octets of iv, key, salt and record number together.
CIPHERS = {"AES-128-GCM": (51, 36), "AES-256-GCM": (52, 52),
           "CHACHA20-POLY1305": (54, 52)}
COUNTERS = pathlib.Path("/proc/net/tls_stat")


def ulp_error():
    """None where a socket can be given the ULP "tls"; else its errno."""
    with socket.create_server(("127.0.0.1", 0)) as server, \
            socket.create_connection(server.getsockname()) as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        except OSError as error:
            return error.errno
    return None


MISSING = ulp_error()
HAS_NOT = f"this kernel has no kTLS: {os.strerror(MISSING or 0)}"
REKEYS = tuple(map(int, re.findall(r"\d+", platform.release())[:2])) >= (6, 14)


def install(cipher, version, way, times=1):
    """Gives keys of zeros to a socket; None, or the errno of the last time."""
    number, length = cipher
    keys = struct.pack("HH", version, number) + bytes(length)
    with socket.create_server(("127.0.0.1", 0)) as server, \
            socket.create_connection(server.getsockname()) as probe:
        probe.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        for _ in range(times - 1):
            probe.setsockopt(SOL_TLS, way, keys)
        try:
            probe.setsockopt(SOL_TLS, way, keys)
        except OSError as error:
            return error.errno
    return None


def counters():
    """Those of this network, by name."""
    if not COUNTERS.exists():
        return {}
    return {name: int(value) for name, value in
            (line.split() for line in COUNTERS.read_text().splitlines())}


def taken_over():
    """Connections whose keys the kernel was given, ever: to send, to receive."""
    have = counters()
    return tuple(have.get(f"Tls{way}Sw", 0) + have.get(f"Tls{way}Device", 0)
                 for way in ("Tx", "Rx"))


@contextlib.contextmanager
def made_by_kernel(connections, damaged=False):
    """By the kernel's own counters the records of exactly so many connections
    became its own within, in both directions, and it could decrypt them all,
    unless they were damaged. A client that uses kTLS itself would count, too."""
    errors = counters().get("TlsDecryptError", 0)
    before = taken_over()
    yield
    got = tuple(now - then for now, then in zip(taken_over(), before))
    if got != (connections, connections):
        raise AssertionError(f"the kernel seals and opens for {got} "
                             f"connections more, not {connections}")
    errors = counters().get("TlsDecryptError", 0) - errors
    if bool(errors) != damaged:
        raise AssertionError(f"{errors} times a record did not decrypt")
