"""A gateway of a test's own: configuration, folders, ports, processes.

    with gateway.Gateway(limits={"recipients": 8}) as gate:
        with gate.connect("implicit") as client:
            client.submit("you@example.net", mail.plain())
        gate.maildir.wait_for(["you@example.net"])

Keywords are blocks of the configuration with the keys to change; `route`,
`certificate` and `lane` are dictionaries of such blocks by title, `listeners`
of what one listener has beside the `listener` that both have. Everything lives in a
folder below /tmp that is removed at the end; when a test fails, the log's end
is shown by `addCleanup(gate.close)` and `Gateway.explain`.
"""

import atexit
import base64
import contextlib
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from . import client, mail, pki

USER = "demo@example.org"
PASSWORD = "correct horse battery staple"
HOST = "127.0.0.1"
SHOWN_LINES = 60
SANITIZED = pki.build_folder().name in ("asan", "tsan")


def program(name):
    return str(pki.build_folder() / name)


def worker_user():
    """Whom the workers become, or None where there is nothing to drop."""
    return "nobody" if os.geteuid() == 0 else None


def free_ports(n):
    """Ports below the range that the kernel gives to connections."""
    found = []
    while len(found) < n:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def passwd(user, password):
    """A line of the users file, made by sluicectl."""
    return subprocess.run([program("sluicectl"), "passwd", user],
                          input=password + "\n", text=True, check=True,
                          stdout=subprocess.PIPE).stdout


def token():
    """What AUTH PLAIN sends."""
    return base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()


def render_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "{ " + ", ".join(render_value(v) for v in value) + " }"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def render_block(head, keys):
    lines = [f"    {key} = {render_value(value)}"
             for key, value in keys.items() if value is not None]
    return "\n".join([f"{head} {{", *lines, "}", ""])


class Gateway:
    _users_line = None
    worker = worker_user()

    def __init__(self, start=True, prefix=(), **overrides):
        """`prefix` goes before the daemon's command line."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-test-"))
        self.folder.chmod(0o755)
        self.implicit, self.starttls = free_ports(2)
        self.prefix = list(prefix)
        self.process = None
        self.log_path = self.folder / "log"
        self.config_path = self.folder / "sluice.conf"
        self.maildir = mail.Maildir(self.folder / "maildir")
        self.pki = pki.folder()
        self.ca = self.pki / "ca.pem"
        atexit.register(self.close)
        self.make_folders()
        self.write_users()
        self.configure(**overrides)
        if start:
            self.start()

    # -- what it is made of

    def make_folders(self):
        user = self.worker
        for name in ("spool", "maildir"):
            path = self.folder / name
            path.mkdir(mode=0o700)
            if user:
                entry = pwd.getpwnam(user)
                os.chown(path, entry.pw_uid, entry.pw_gid)

    def write_users(self):
        if Gateway._users_line is None:
            Gateway._users_line = passwd(USER, PASSWORD)
        (self.folder / "users").write_text(Gateway._users_line)
        (self.folder / "senders").write_text(f"{USER}: @example.org\n")

    def certificate(self, name):
        return {"chain": self.pki / f"{name}.pem",
                "key": self.pki / f"{name}-key.pem"}

    def defaults(self):
        folder = self.folder
        return {
            "hostname": "gateway.test", "user": self.worker, "workers": 2,
            "pid_file": folder / "sluiced.pid", "control": folder / "control",
            "certificate": {"ecdsa": self.certificate("ecdsa"),
                            "rsa": self.certificate("rsa")},
            "listener": {}, "listeners": {}, "lane": {},
            "auth": {"file": folder / "users", "senders": folder / "senders"},
            "spool": {"directory": folder / "spool", "reserve": "1M"},
            "route": {"default": {"next_hop": f"maildir:{folder}/maildir"}},
            "limits": {}, "timeouts": {"drain": "5s"}, "retry": {"first": "1s",
                                                    "longest": "1s"},
            "log": {"format": "json", "level": "info"}}

    def configure(self, **overrides):
        """Writes the configuration: the defaults with these changes."""
        settings = self.defaults()
        for name, value in overrides.items():
            if name in ("route", "certificate", "lane", "listeners"):
                settings[name] = value
            elif isinstance(value, dict):
                settings[name] = {**settings.get(name, {}), **value}
            else:
                settings[name] = value
        common = settings.pop("listener")
        one = settings.pop("listeners")
        blocks = {"certificate": settings.pop("certificate"),
                  "listener": {
                      "submissions": {"address": [f"{HOST}:{self.implicit}"],
                                      "tls": "implicit", **common,
                                      **one.get("submissions", {})},
                      "submission": {"address": [f"{HOST}:{self.starttls}"],
                                     "tls": "starttls", **common,
                                     **one.get("submission", {})}},
                  "lane": settings.pop("lane"),
                  "route": settings.pop("route")}
        text = [f"{key} = {render_value(value)}"
                for key, value in settings.items()
                if value is not None and not isinstance(value, dict)]
        text += [render_block(f'{name} "{title}"', keys)
                 for name, titled in blocks.items()
                 for title, keys in titled.items()]
        text += [render_block(name, keys) for name, keys in settings.items()
                 if isinstance(value := keys, dict) and value]
        self.config_path.write_text("\n".join(text) + "\n")

    # -- its life

    def command(self, *arguments):
        return [*self.prefix, program("sluiced"), "-c", str(self.config_path),
                *arguments]

    def spawn(self):
        """Starts the daemon without waiting for it."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=self.folder)

    def start(self):
        self.spawn()
        self.wait_until_up()

    def wait_until_up(self, seconds=15):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            if self.answers(self.implicit) and self.answers(self.starttls):
                return
            time.sleep(0.02)
        raise AssertionError(f"the gateway did not come up, exit status "
                             f"{self.process.poll()}:\n{self.tail()}")

    def answers(self, port):
        """Is there a banner, or a TLS handshake?"""
        try:
            if port == self.starttls:
                with client.Client(port, timeout=2) as probe:
                    return probe.read().startswith("220")
            self.connect("implicit", login=False, timeout=2).quit()
            return True
        except (OSError, AssertionError):
            return False

    def stop(self, seconds=20):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there {seconds} s after SIGTERM:\n"
                                 f"{self.tail()}") from None

    def kill(self):
        """The supervisor dies at once, and its children with it."""
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        """Ends what still runs and removes the folder."""
        atexit.unregister(self.close)
        if self.process and self.process.poll() is None:
            self.kill()
        self.await_children()
        shutil.rmtree(self.folder, ignore_errors=True)

    def await_children(self, seconds=10):
        """None of the processes may outlive the supervisor."""
        deadline = time.monotonic() + seconds
        while left := self.strays():
            if time.monotonic() > deadline:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"processes {left} outlived their "
                                     f"supervisor by {seconds} s")
            time.sleep(0.02)

    def strays(self):
        """Pids of forked children: they still carry our command line."""
        mark = str(self.config_path).encode()
        found = []
        for entry in os.scandir("/proc"):
            try:
                if entry.name.isdigit() and mark in pathlib.Path(
                        entry.path, "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.explain()
        self.close()

    # -- what it says

    def explain(self):
        print("\n".join("# " + line for line in self.tail().splitlines()),
              file=sys.stderr)

    def tail(self):
        lines = self.log_text().splitlines()
        return "\n".join(lines[-SHOWN_LINES:])

    def log_text(self):
        if not self.log_path.exists():
            return ""
        return self.log_path.read_text(errors="replace")

    def log(self, event=None):
        """The log's lines as dictionaries; those of one event."""
        lines = []
        for line in self.log_text().splitlines():
            if line.startswith("{"):
                lines.append(json.loads(line))
        return [line for line in lines
                if event is None or line.get("event") == event]

    def wait_for_log(self, text, seconds=10, since=0):
        """The first line, after `since` characters, that holds `text`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.log_text()[since:].splitlines():
                if text in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no {text!r} in the log after {seconds} s:\n"
                             f"{self.tail()}")

    def sessions(self):
        """How many have ended."""
        return len(self.log("session"))

    def wait_for_session(self, seen, seconds=20):
        """The log line of the session that ended after `seen` others."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines = self.log("session")
            if len(lines) > seen:
                return lines[seen]
            time.sleep(0.02)
        raise AssertionError(f"no session ended:\n{self.tail()}")

    def spool_bytes(self):
        """Of all its files; some may go while they are looked at."""
        total = 0
        for path in (self.folder / "spool").rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                total += path.is_file() and path.stat().st_size
        return total

    def wait_for(self, look, seconds=20):
        """What `look` returns as soon as that is something."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain:\n{self.tail()}")
            time.sleep(0.02)
        return found

    def control(self, *arguments):
        return subprocess.run(
            [program("sluicectl"), "-s", str(self.folder / "control"),
             *arguments], text=True, capture_output=True, timeout=20)

    def status(self):
        """`sluicectl status --json`."""
        answer = self.control("status", "--json")
        if answer.returncode:
            raise AssertionError(f"sluicectl status: {answer.stderr}")
        return json.loads(answer.stdout)

    def counters(self):
        return self.status()["totals"]

    def wait_for_counter(self, name, least, seconds=20):
        deadline = time.monotonic() + seconds
        while self.counters()[name] < least:
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} is below {least} after "
                                     f"{seconds} s:\n{self.tail()}")
            time.sleep(0.05)

    def wait_until_idle(self, seconds=20):
        """No connection is left, and each has its line in the log."""
        deadline = time.monotonic() + seconds
        while self.counters()["connections_now"]:
            if time.monotonic() > deadline:
                raise AssertionError(f"connections are left:\n{self.tail()}")
            time.sleep(0.05)

    def pids(self, role=""):
        """{name: pid} of the running children whose name begins so."""
        return {p["name"]: p["pid"] for p in self.status()["processes"]
                if p["name"].startswith(role) and p["state"] == "running"}

    def all_pids(self):
        return {"supervisor": self.process.pid, **self.pids()}

    # -- talking to it

    def port(self, style):
        return {"implicit": self.implicit, "starttls": self.starttls}[style]

    def connect(self, style="implicit", login=True, tls=None, timeout=20,
                **options):
        """A session after EHLO, logged in unless told otherwise."""
        tls = tls or client.context(self.ca)
        made = client.Client(self.port(style),
                             tls if style == "implicit" else None,
                             timeout=timeout, **options)
        try:
            made.tls = tls
            made.expect(220, "banner")
            made.hello()
            if style == "starttls":
                made.command("STARTTLS", 220)
                made.start_tls()
                made.hello()
            if login:
                made.login(USER, PASSWORD)
        except BaseException:
            made.close()
            raise
        return made

    def deliver(self, recipient="you@example.net", style="implicit",
                data=None):
        """Submits one mail and waits until it lies in the Maildir, whole."""
        data = data or mail.plain()
        with self.connect(style) as session:
            session.submit(recipient, data)
            session.quit()
        mail.check_arrived(self.maildir.wait_for([recipient])[recipient], data)
