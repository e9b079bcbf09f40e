"""Upgrades of a gateway: other programs to upgrade to, and the process that
serves afterwards, which is a child of ours as the first one was, though we did
not start it."""

import os
import pathlib
import random
import shutil
import signal
import struct
import threading
import time

from . import gateway, mail

# The new program reports over descriptor 3; kinds of super/handover.h.
FAKE = """#!/usr/bin/python3
import os, socket, struct, sys, time
pair = socket.socket(fileno=3)
def say(kind, text=b"", version=2):
    pair.send(b"SLHO" + struct.pack("=HH", version, kind) + text)
"""
CLIENTS = 3
LAYOUT = struct.pack("<3I", 1, 256, 3)  # begins the stamp of shared memory


class Process:
    """What subprocess.Popen is to a process that was started for us."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds=10):
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"process {self.pid} did not end within "
                                     f"{seconds} s")
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class Gateway(gateway.Gateway):
    """A gateway that can be upgraded; `elders` are the programs before. Its
    workers have a user of their own: rings count towards a limit per user, and
    here are many."""
    worker = "daemon" if os.geteuid() == 0 else None

    def __init__(self, **overrides):
        self.elders = []
        super().__init__(**overrides)

    def pid(self):
        text = (self.folder / "sluiced.pid").read_text()
        return int(text) if text else 0

    def follow(self):
        """The process that the pid file names is the daemon now."""
        if self.pid() != self.process.pid:
            self.elders.append(self.process)
            self.process = Process(self.pid())

    def upgrade(self, *path):
        answer = self.control("upgrade", *map(str, path))
        if answer.returncode:
            raise AssertionError(f"no upgrade: {answer.stderr}")
        self.follow()

    def refused(self, *path):
        """An upgrade that fails; what sluicectl says."""
        answer = self.control("upgrade", *map(str, path))
        if not answer.returncode:
            raise AssertionError("the upgrade went through")
        return answer.stderr

    def await_elders(self, seconds=20):
        """Their exit statuses, once they have ended."""
        return [elder.wait(seconds) for elder in self.elders]

    def close(self):
        super().close()
        for elder in self.elders:
            elder.wait(10)

    # -- programs

    def program(self, name, text=None):
        """A file to upgrade to: the daemon itself, or a script."""
        path = self.folder / name
        if text is None:
            shutil.copyfile(gateway.program("sluiced"), path)
        else:
            path.write_text(text)
        path.chmod(0o755)
        return path

    def patched(self, name, old, new):
        """The daemon as another version's build would be."""
        path = self.program(name)
        code = path.read_bytes()
        if code.count(old) != 1 or len(old) != len(new):
            raise AssertionError(f"{old} is there {code.count(old)} times")
        path.write_bytes(code.replace(old, new))
        return path


class Load:
    """Clients that submit all the time, a few mails a session."""

    def __init__(self, gate, pause=0):
        self.gate, self.pause = gate, pause
        self.over = threading.Event()
        self.acknowledged, self.failures = [], []
        self.title = os.urandom(3).hex()
        self.threads = [threading.Thread(target=self.run, args=(n,))
                        for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        number = 0
        while not self.over.is_set():
            try:
                with self.gate.connect(random.choice(
                        ["implicit", "starttls"])) as session:
                    for _ in range(5):
                        number += 1
                        name = f"{self.title}-{client}-{number}@example.net"
                        session.submit(name, mail.plain(),
                                       random.choice(["data", "bdat"]))
                        self.acknowledged.append(name)
                        time.sleep(self.pause)
                    session.quit()
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))
                time.sleep(0.02)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
