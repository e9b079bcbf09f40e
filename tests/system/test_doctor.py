"""The doctor: what it says on the machine that runs, that its three ways to say
it agree, and that it changes nothing. time-limit: 60"""

import errno
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import tap
from support import gateway, ktls

GRADES = ("well", "note", "loss", "unable")
STATUS = {"well": 0, "note": 0, "loss": 1, "unable": 2}
AREAS = ["kernel", "ktls", "io_uring", "bpf", "openssl", "network", "limits",
         "daemon"]
NOBODY = 65534


def doctor(*arguments):
    return subprocess.run([gateway.program("sluicectl"), "doctor", *arguments],
                          text=True, capture_output=True, timeout=30)


def modules():
    """Names of the modules that are loaded."""
    try:
        text = pathlib.Path("/proc/modules").read_text()
    except OSError:
        return set()
    return {line.split()[0] for line in text.splitlines()}


def has_tls():
    listed = pathlib.Path("/proc/sys/net/ipv4/tcp_available_ulp")
    return listed.exists() and "tls" in listed.read_text().split()


def name_of(error):
    return errno.errorcode[error] if error else "ok"


class Doctor(unittest.TestCase):
    def read(self):
        done = doctor("--json")
        self.assertEqual(done.stderr, "")
        told = json.loads(done.stdout)
        self.assertEqual(told["status"], done.returncode)
        return told

    def found(self, subject):
        return [finding for finding in self.read()["findings"]
                if finding["subject"] == subject]

    def test_json(self):
        told = self.read()
        self.assertEqual(told["left_out"], 0)
        areas = []
        for finding in told["findings"]:
            self.assertIn(finding["grade"], GRADES)
            self.assertTrue(finding["found"])
            if finding["grade"] in ("loss", "unable"):
                self.assertTrue(finding["means"], finding)
                self.assertTrue(finding["advice"], finding)
            if finding["area"] not in areas:
                areas.append(finding["area"])
        self.assertEqual([area for area in areas if area != "network"],
                         [area for area in AREAS if area != "network"])

    def test_status_is_of_the_worst(self):
        told = self.read()
        self.assertEqual(told["status"],
                         max(STATUS[f["grade"]] for f in told["findings"]))

    def test_text_says_the_same(self):
        told, done = self.read(), doctor()
        self.assertEqual(done.returncode, told["status"])
        self.assertEqual(done.stderr, "")
        self.assertIn(told["verdict"], done.stdout.splitlines()[-1])
        for finding in told["findings"]:
            self.assertIn(finding["subject"], done.stdout)
        for line in done.stdout.splitlines():
            self.assertTrue(line.isprintable(), line)

    def test_kernel(self):
        release = os.uname().release
        self.assertIn(release, self.found("version")[0]["found"])

    def test_without_ktls(self):
        if has_tls():
            self.skipTest("this kernel has kTLS")
        module = self.found("tls module")[0]
        self.assertEqual(module["grade"], "loss")
        self.assertIn("TLS records are made in userspace", module["means"])
        self.assertFalse(self.found("AES-128-GCM"))
        self.assertEqual(self.read()["status"], 1)

    def test_ktls(self):
        """Each cipher, version and direction as we find them ourselves."""
        if not has_tls():
            self.skipTest(ktls.HAS_NOT)
        self.assertEqual(self.found("tls module")[0]["grade"], "well")
        self.assertIn("tls", self.found("TCP_ULP")[0]["found"])
        for name, cipher in ktls.CIPHERS.items():
            results = [name_of(ktls.install(cipher, version, way))
                       for version in ktls.VERSIONS for way in ktls.WAYS]
            said = self.found(name)[0]
            self.assertEqual(said["found"], "TLS 1.2 send {}, receive {}; "
                             "TLS 1.3 send {}, receive {}".format(*results))
            self.assertEqual(said["grade"], "well" if results == ["ok"] * 4
                             else "loss")

    def test_new_keys(self):
        if not has_tls():
            self.skipTest(ktls.HAS_NOT)
        cipher = ktls.CIPHERS["AES-128-GCM"]
        results = [name_of(ktls.install(cipher, ktls.VERSIONS[1], way, 2))
                   for way in ktls.WAYS]
        said = self.found("new keys (KeyUpdate)")[0]
        self.assertEqual(said["found"], "send {}, receive {}".format(*results))
        self.assertEqual(results == ["ok", "ok"], ktls.REKEYS)

    def test_interfaces(self):
        names = {name for name in os.listdir("/sys/class/net")
                 if (pathlib.Path("/sys/class/net") / name).is_dir()}
        told = {f["subject"] for f in self.read()["findings"]
                if f["area"] == "network"}
        self.assertEqual(told, names - {"lo"})

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be another user")
    def test_ordinary_user(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            program = shutil.copy(gateway.program("sluicectl"), folder)
            done = subprocess.run([program, "doctor", "--json"], text=True,
                                  capture_output=True, timeout=30,
                                  user=NOBODY, group=NOBODY, extra_groups=[])
        told = json.loads(done.stdout)
        self.assertEqual(done.returncode, told["status"])
        said = [f for f in told["findings"] if f["subject"] == "capabilities"]
        self.assertEqual(said[0]["grade"], "note")

    def test_usage(self):
        self.assertEqual(doctor("more").returncode, 2)
        self.assertEqual(doctor("--scheme", "bcrypt").returncode, 2)
        done = doctor("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("--try", done.stdout)


class Live(unittest.TestCase):
    """What it adds when a daemon runs, and that this changes no verdict."""

    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway(any_ktls_kernel=True)
        cls.addClassCleanup(cls.gate.close)

    def read(self, *where):
        done = doctor(*where, "--json")
        self.assertEqual(done.stderr, "")
        told = json.loads(done.stdout)
        self.assertEqual(told["status"], done.returncode)
        return told

    def counts(self, listener):
        told = self.read("-s", str(self.gate.folder / "control"))
        found = [f for f in told["findings"] if f["area"] == "daemon"
                 and f["subject"] == listener]
        self.assertEqual(len(found), 1, told["findings"])
        self.assertIn(found[0]["grade"], ("well", "note"))
        numbers = re.match(r"kernel (\d+), of these device (\d+); "
                           r"userspace (\d+)", found[0]["found"])
        return [int(n) for n in numbers.groups()], found[0]["found"]

    def test_counts(self):
        """Each listener by itself, by the daemon's own totals."""
        before = {name: self.counts(name)[0]
                  for name in ("submissions", "submission")}
        self.gate.deliver("one@example.net", "implicit")
        self.gate.deliver("two@example.net", "starttls")
        self.gate.deliver("three@example.net", "starttls")
        for name, more in (("submissions", 1), ("submission", 2)):
            (kernel, device, userspace), text = self.counts(name)
            made = [kernel, userspace] if has_tls() else [userspace, kernel]
            old = before[name][0] if has_tls() else before[name][2]
            self.assertEqual(made, [old + more, 0], text)
            self.assertEqual(device, 0)
            if not has_tls():
                self.assertIn(f"(no-ulp {userspace})", text)
        listed = {x["name"]: x for x in self.gate.status()["listeners"]}
        totals = self.gate.counters()
        for counter in ("offload_kernel", "offload_no_ulp"):
            self.assertEqual(sum(x[counter] for x in listed.values()),
                             totals[counter])
        self.assertIn('sluice_listener_sessions_total{listener="submission",'
                      'records="offload_kernel"}',
                      self.gate.control("metrics").stdout)

    def test_reload_keeps_counts(self):
        """Also when the listeners stand in another order."""
        self.gate.deliver("before@example.net", "starttls")
        _, before = self.counts("submission")
        text = self.gate.config_path.read_text()
        first = re.search(r'^listener "submissions" \{.*?^\}$', text,
                          re.MULTILINE | re.DOTALL)[0]
        self.gate.config_path.write_text(
            text.replace(first, "") + "\n" + first + "\n")
        self.gate.process.send_signal(signal.SIGHUP)
        self.gate.wait_for_log('"event":"reloaded"')
        self.assertEqual(self.counts("submission")[1], before)

    def test_nobody_there(self):
        """One line, and everything else as with a daemon."""
        told = self.read("-s", "/nowhere/control")
        found = [f for f in told["findings"] if f["area"] == "daemon"]
        self.assertEqual([f["found"] for f in found],
                         ["no daemon listens at /nowhere/control"])
        there = self.read("-s", str(self.gate.folder / "control"))
        self.assertEqual(told["status"], there["status"])

    def test_found_by_configuration(self):
        told = self.read("-c", str(self.gate.config_path))
        self.assertIn("submissions", [f["subject"] for f in told["findings"]])


class Innocence(unittest.TestCase):
    """It changes nothing."""

    WATCHED = ["/proc/sys/net/ipv4/tcp_available_ulp", "/proc/sys/fs/file-max",
               "/proc/sys/kernel/io_uring_disabled",
               "/proc/sys/kernel/unprivileged_bpf_disabled",
               "/proc/sys/net/core/somaxconn"]

    def state(self):
        return [pathlib.Path(path).read_text() for path in self.WATCHED
                if os.path.exists(path)]

    def test_nothing_is_loaded_or_set(self):
        before, loaded = self.state(), modules()
        doctor()
        self.assertEqual(self.state(), before)
        self.assertEqual(modules() - loaded, set())

    def calls(self):
        """The system calls of one run, a line each."""
        if not shutil.which("strace"):
            self.skipTest("no strace")
        with tempfile.NamedTemporaryFile() as log:
            # A sanitizer would turn core dumps off by itself.
            options = os.environ.get("ASAN_OPTIONS", "") + ":disable_coredump=0"
            subprocess.run(["strace", "-f", "-o", log.name, gateway.program(
                "sluicectl"), "doctor"], capture_output=True, timeout=60,
                env={**os.environ, "ASAN_OPTIONS": options})
            text = pathlib.Path(log.name).read_text(errors="replace")
        if "+++ exited" not in text:
            self.skipTest("strace cannot trace here")
        return text.splitlines()

    def test_system_calls(self):
        """No file is written, no program run, nothing attached; and where the
        tls module is not loaded, nothing that would load it."""
        forbidden = (r"open(at)?\(.*O_(WRONLY|RDWR|CREAT)|f?init_module\("
                     r"|BPF_PROG_ATTACH|BPF_LINK_CREATE|setrlimit\("
                     r"|RLIMIT_\w+, \{")
        if not has_tls():
            forbidden += r"|setsockopt\(.*(TCP_ULP|0x1f\b)"
        calls = self.calls()
        self.assertEqual([c for c in calls if re.search(forbidden, c)], [])
        self.assertEqual(len([c for c in calls if "execve(" in c]), 1)


if __name__ == "__main__":
    tap.main()
