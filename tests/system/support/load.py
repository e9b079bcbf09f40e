"""sluice-load and sluice-sink, run for a test.

    with load.Sink() as sink:
        report = load.run(f"127.0.0.1:{sink.smtp}", "--tls", "clear")
"""

import json
import os
import pathlib
import signal
import subprocess
import tempfile

from . import gateway, pki

SECONDS = 120
HOST = "127.0.0.1"


class Report(dict):
    """The JSON of a run; `status` and `said` of the process."""

    status = 0
    said = ""

    def failures(self):
        """{(stage, code): n}"""
        return {(f["stage"], f["code"]): f["n"] for f in self["failures"]}


def command(target, *arguments):
    return [gateway.program("sluice-load"), "--json", "-",
            *map(str, arguments), target]


def run(target, *arguments, expect=0, env=None):
    """Runs sluice-load; its exit status must be `expect`."""
    done = subprocess.run(command(target, *arguments), text=True,
                          capture_output=True, timeout=SECONDS, check=False,
                          env={**os.environ, **(env or {})})
    if done.returncode != expect:
        raise AssertionError(f"exit status {done.returncode}, not {expect}:\n"
                             f"{done.stderr}\n{done.stdout}")
    report = Report(json.loads(done.stdout)) if done.stdout else Report()
    report.status, report.said = done.returncode, done.stderr
    return report


def refused(*arguments, tool="sluice-load"):
    """What a tool says to a command line that it must not take."""
    done = subprocess.run([gateway.program(tool), *map(str, arguments)],
                          text=True, capture_output=True, timeout=SECONDS,
                          check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 2:
        raise AssertionError(f"exit status {done.returncode}, not 2:\n"
                             f"{done.stderr}\n{done.stdout}")
    return done.stderr


def login(gate):
    """Arguments that log in at a gateway and may send there."""
    password = gate.folder / "password"
    password.write_text(gateway.PASSWORD + "\n")
    return ["--user", gateway.USER, "--password-file", password,
            "--sender", gateway.USER, "--ca", gate.ca]


class Sink:
    """sluice-sink with a listener of each kind and an account."""

    def __init__(self, *arguments):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-sink-"))
        self.account = self.folder / "got"
        self.summary = self.folder / "summary"
        certificates = pki.folder()
        self.process = subprocess.Popen(
            [gateway.program("sluice-sink"), "--smtp", f"{HOST}:0",
             "--smtps", f"{HOST}:0", "--lmtp", f"{HOST}:0", "--certificate",
             certificates / "ecdsa.pem", "--key",
             certificates / "ecdsa-key.pem", "--account", self.account,
             "--json", self.summary, *map(str, arguments)],
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        words = self.process.stdout.readline().split()
        if not words or words[0] != "ready":
            self.close()
            raise AssertionError(f"the sink did not come up: {words}")
        ports = dict(word.split("=") for word in words[1:])
        self.smtp, self.smtps, self.lmtp = (
            int(ports[name].rpartition(":")[2])
            for name in ("smtp", "smtps", "lmtp"))

    def stop(self):
        """SIGTERM; its summary."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(SECONDS)
        if status:
            raise AssertionError(f"the sink ended with status {status}")
        return json.loads(self.summary.read_text())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
