"""What the figures were measured on, and how fast its parts are: measured in
the same run."""

import ctypes
import datetime
import os
import pathlib
import platform
import re
import statistics
import subprocess
import time

SYNCS = 50
COPY_BYTES = 64 << 20


def read(path):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return ""


def processor():
    found = re.search(r"^model name\s*: (.*)$", read("/proc/cpuinfo"), re.M)
    return found[1] if found else platform.machine()


def mitigations():
    """Of the bugs that this processor has."""
    folder = pathlib.Path("/sys/devices/system/cpu/vulnerabilities")
    told = {path.name: read(path) for path in sorted(folder.glob("*"))}
    return {name: text for name, text in told.items()
            if text != "Not affected"}


def sync_time_us(folder):
    """Median of appending 4 KiB and fdatasync, where the servers' files go."""
    times, path = [], folder / "sync"
    with open(path, "wb", buffering=0) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1e6)
    path.unlink()
    return round(statistics.median(times), 1)


def copy_gb_per_s():
    """The C library's memmove of 64 MiB, the best of five."""
    source = ctypes.create_string_buffer(COPY_BYTES)
    target = ctypes.create_string_buffer(COPY_BYTES)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        ctypes.memmove(target, source, COPY_BYTES)
        best = max(best, COPY_BYTES / (time.perf_counter() - began) / 1e9)
    return round(best, 2)


def openssl_speed(*arguments):
    """The machine-readable last line's fields."""
    done = subprocess.run(["openssl", "speed", "-mr", "-seconds", "1",
                           *arguments], capture_output=True, text=True,
                          check=False)
    lines = [line for line in done.stdout.splitlines()
             if line.startswith("+F")]
    return lines[-1].split(":") if lines else []


def gcm_gb_per_s():
    fields = openssl_speed("-evp", "aes-128-gcm", "-bytes", "16384")
    return round(float(fields[-1]) / 1e9, 2) if fields else None


def p256_signatures_per_s():
    """Older versions print seconds for one instead."""
    fields = openssl_speed("ecdsap256")
    value = float(fields[4]) if len(fields) > 4 else 0
    return round(value if value > 1 else 1 / value) if value else None


def filesystem(folder):
    best = ("", "")
    for line in read("/proc/mounts").splitlines():
        _, point, kind = line.split()[:3]
        if str(folder).startswith(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def describe_load():
    return [round(x, 2) for x in os.getloadavg()]


def describe(scratch):
    """Everything, as a table of strings and numbers."""
    memory = re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo"))
    return {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec="seconds"),
        "processor": processor(), "processors": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / (1 << 20), 1) if memory else None,
        "kernel": platform.release(),
        "distribution": (re.search(r'^PRETTY_NAME="(.*)"$',
                                   read("/etc/os-release"), re.M) or
                         [0, ""])[1],
        "hypervisor": "hypervisor" in read("/proc/cpuinfo"),
        "mitigations": mitigations(),
        "kernel_tls": "tls" in read(
            "/proc/sys/net/ipv4/tcp_available_ulp").split(),
        "openssl": subprocess.run(["openssl", "version"], text=True,
                                  capture_output=True, check=False
                                  ).stdout.strip(),
        "scratch_filesystem": filesystem(scratch),
        "load_average": describe_load(),
        "sync_us": sync_time_us(scratch),
        "aes_128_gcm_gb_per_s": gcm_gb_per_s(),
        "p256_signatures_per_s": p256_signatures_per_s(),
        "copy_gb_per_s": copy_gb_per_s(),
    }
