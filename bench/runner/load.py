"""Runs sluice-load and picks from what it says."""

import json
import subprocess

from . import peer

CIPHER = "TLS_AES_128_GCM_SHA256"
SETTLE_SECONDS = 60
WARM_UP = 1.0  # seconds
PATIENCE_SECONDS = 180  # beyond the measured time


class Failed(Exception):
    """sluice-load ended without a result."""


def command(server, options, seconds, warm_up=0.0):
    """The same certificate, version and cipher for everyone."""
    words = [peer.gateway.program("sluice-load"), *options,
             "--ca", str(peer.pki.folder() / "ca.pem"),
             "--server-name", "localhost", "--tls-version", "1.3",
             "--cipher", CIPHER, "--recipient", "you@example.net",
             "--sender", peer.USER, "--duration", str(seconds),
             "--warm-up", str(warm_up), "--json", "-"]
    if server.auth and "handshake" not in options:
        words += ["--user", peer.USER, "--password-env", "SLUICE_PASSWORD"]
    return [*words, f"127.0.0.1:{server.port}"]


def start(words):
    return subprocess.Popen(words, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env={"SLUICE_PASSWORD": peer.PASSWORD})


def finish(process, seconds):
    try:
        said, complaints = process.communicate(
            timeout=seconds + SETTLE_SECONDS + PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed("sluice-load did not end") from None
    try:
        return json.loads(said)
    except ValueError:
        raise Failed(f"sluice-load, status {process.returncode}: "
                     f"{complaints.strip()[-300:]}") from None


def run(server, part, seconds, rate=0.0):
    """One part against one server; sluice-load's result. Beside a second load
    the server is never quiet, and its cost is that of both: not asked for."""
    options = [*part.load]
    if rate:
        options += ["--rate", f"{rate:.1f}"]
    if not part.beside:
        options += [*server.group.load_arguments(), "--settle",
                    str(SETTLE_SECONDS)]
        return finish(start(command(server, options, seconds, WARM_UP)),
                      seconds)
    storm = start(command(server, part.beside, seconds + WARM_UP + 10))
    try:
        return finish(start(command(server, options, seconds, WARM_UP)),
                      seconds)
    finally:
        storm.terminate()
        storm.communicate()


def figures(result, unit):
    """What is compared, in microseconds, bytes and per second. A figure that
    this run has not is missing."""
    cost, found = result.get("cost", {}), {}
    cpu = cost.get("cpu_us", 0)
    amount = {"message": result.get("messages", 0),
              "gigabyte": result.get("bytes", 0) / 1e9,
              "handshake": result.get("handshakes_full", 0) +
              result.get("handshakes_resumed", 0)}.get(unit, 0)
    if amount and result.get("seconds"):
        found["rate"] = amount / result["seconds"]
        if cpu:
            found["cost"] = cpu / amount
    if result.get("idle", {}).get("opened"):
        found["memory"] = result["idle"]["pss_per_connection"]
        found["held"] = result["idle"]["opened"]
    latencies = result.get("latency_us", {})
    told = latencies.get("message" if unit in ("message", "gigabyte")
                         else "banner", {})
    for key in ("p50", "p90", "p99", "p999"):
        if told.get("n") and key in told:
            found[key] = told[key]
    for key in ("system_calls_per_message", "syncs_per_message"):
        if unit == "message" and cost.get("counted") == "" and key in cost:
            found[key] = cost[key]
    return found
