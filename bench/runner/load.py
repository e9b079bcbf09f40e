"""Runs sluice-load and picks from what it says."""

import json
import subprocess

from . import peer, programs, scenario

CIPHER = "TLS_AES_128_GCM_SHA256"
SETTLE_SECONDS = 60
WARM_UP = 0.5  # seconds
PATIENCE_SECONDS = 180  # beyond the measured time
# Where latency is what counts, generators and server share the processors: the
# one that keeps the time comes first, a storm takes what is left.
FIRST, LAST = -10, 19


class Failed(Exception):
    """sluice-load ended without a result."""


def command(server, options, seconds, warm_up=0.0):
    """The same certificate, version and cipher for everyone."""
    words = [*server.place_of(options),
             peer.gateway.program("sluice-load"), *options,
             "--ca", str(peer.pki.folder() / "ca.pem"),
             "--server-name", "localhost", "--tls-version", "1.3",
             "--cipher", CIPHER, "--recipient", "you@example.net",
             "--sender", peer.USER, "--duration", str(seconds),
             "--warm-up", str(warm_up), "--json", "-"]
    if server.auth and "handshake" not in options:
        words += ["--user", peer.USER, "--password-env", "SLUICE_PASSWORD"]
    return [*words, f"127.0.0.1:{server.port_of(options)}"]


def start(words, nice=0):
    return subprocess.Popen(["nice", "-n", str(nice), *words], stdin=subprocess.DEVNULL,
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
    except SystemExit:  # we were told to stop: it is not left behind
        process.kill()
        process.communicate()
        raise
    try:
        return json.loads(said)
    except ValueError:
        raise Failed(f"sluice-load, status {process.returncode}: "
                     f"{complaints.strip()[-300:]}") from None


def run(server, part, seconds, rate=0.0):
    """One part against one server; sluice-load's result."""
    result = run_beside(server, part, seconds, rate) if part.beside else \
        run_alone(server, part, seconds, rate)
    server.acknowledged += result["messages"] + result["warm_up_messages"]
    return result


def run_alone(server, part, seconds, rate):
    options = [*part.load, *server.group.load_arguments(), "--settle",
               str(SETTLE_SECONDS), *at_rate(rate)]
    return finish(start(command(server, options, seconds, WARM_UP),
                        FIRST if "--rate" in options else 0), seconds)


def run_beside(server, part, seconds, rate):
    """Beside a second load the server is never quiet, and its cost is that of
    both: not asked for. The result has that load's beside its own."""
    storm = start(command(server, part.beside, seconds + WARM_UP + 10), LAST)
    try:
        result = finish(start(command(
            server, [*part.load, *at_rate(rate)], seconds, WARM_UP), FIRST),
            seconds)
    finally:
        storm.terminate()
        said, _ = storm.communicate()
    result["beside"] = json.loads(said)
    return result


def at_rate(rate):
    return ["--rate", f"{rate:.1f}"] if rate else []


def drain(server):
    """Waits until it is quiet, and with it what it had still to deliver."""
    run_alone(server, scenario.Part(("--messages", "1")), 1, 0)


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
    if result.get("beside"):
        told = result["beside"]["per_second"]
        found["storm"] = told["messages"] or told["handshakes"]
    if "programs" in result:
        found |= programs.figures(result["programs"], found.get("cost"))
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
