"""Kernels that have no BPF, too little of it, or a verifier that wants more
rights: lanes and the shield say what cannot be had and what is lost, and what
is left works. Everything happens in a network namespace of this program's own.
time-limit: 120"""

import errno
import subprocess
import unittest

import tap
from support import forbid, gateway, namespace

LANES = {"bulk": {"workers": 1}, "desk": {"workers": 1}}
ABSENT = forbid.prefix(errno.ENOSYS, forbid.BPF)
REFUSES_PROGRAMS = forbid.prefix(errno.EINVAL, forbid.BPF,
                                 forbid.BPF_PROG_LOAD)
ATTACHES_NOTHING = forbid.prefix(errno.EINVAL, forbid.BPF,
                                 forbid.BPF_LINK_CREATE)
WITHOUT_PERFMON = ["setpriv", "--bounding-set", "-perfmon,-sys_admin"]
EXCERPT_MOST = 240


class Namespace:
    """What setUpModule made: a folder on a bpffs."""
    pins = None


def setUpModule():
    if namespace.missing():
        raise unittest.SkipTest(namespace.missing())
    Namespace.pins = namespace.set_up()


def tearDownModule():
    if Namespace.pins:
        namespace.tear_down(Namespace.pins)


class WithoutBpf(unittest.TestCase):
    def gate(self, prefix, start=True, shield=None, **steering):
        pins = Namespace.pins / self.id().rpartition(".")[2]
        gate = gateway.Gateway(
            start=start, prefix=prefix, lane=LANES,
            listeners={"submissions": {"lane": "bulk"},
                       "submission": {"lane": "desk"}},
            steering={"pins": pins, **steering},
            shield={"pins": f"{pins}-shield", "deny": ["10.9.1.0/24"],
                    **(shield or {})})
        self.addCleanup(gate.close)
        return gate

    def program(self, gate):
        return gate.log("steering")[-1]["program"]

    def start_refused(self, gate):
        done = subprocess.run(gate.command(), capture_output=True, text=True,
                              timeout=20)
        self.assertEqual(done.returncode, 1)
        return done.stderr

    def test_absent(self):
        """A kernel without bpf(2)."""
        gate = self.gate(ABSENT)
        self.assertEqual(self.program(gate), "none")
        for event in ("no-sk_lookup", "no-sk_reuseport"):
            line = gate.log(event)[0]
            self.assertEqual(line["error"], "Function not implemented")
            self.assertIn("sluicectl doctor", line["cure"])
        line = gate.log("no-shield")[0]
        self.assertEqual(line["means"], "nobody is denied or metered")
        gate.deliver()

    def test_absent_and_required(self):
        for options, text in (
                ({"program": "lookup"},
                 r"sluice.conf:\d+: steering: no sk_lookup program can be "
                 r"had: Function not implemented"),
                ({"shield": {"required": True}},
                 r"sluice.conf:\d+: shield: it is required and cannot be "
                 r"had: Function not implemented")):
            with self.subTest(**options):
                gate = self.gate(ABSENT, start=False, **options)
                self.assertRegex(self.start_refused(gate), text)

    def test_old(self):
        """A kernel that knows none of our kinds of programs."""
        gate = self.gate(REFUSES_PROGRAMS)
        self.assertEqual(self.program(gate), "none")
        self.assertEqual(gate.log("no-sk_lookup")[0]["error"], "Invalid argument")
        self.assertEqual(gate.log("no-sk_reuseport")[0]["error"], "Invalid argument")
        self.assertEqual(gate.log("no-shield")[0]["error"], "Invalid argument")
        gate.deliver()

    def test_older_than_sk_lookup(self):
        """One that attaches no such program to a network namespace."""
        gate = self.gate(ATTACHES_NOTHING)
        self.assertEqual(self.program(gate), "sk_reuseport")
        self.assertEqual(gate.log("no-sk_lookup")[0]["error"], "Invalid argument")
        self.assertEqual(gate.log("no-shield"), [])
        gate.deliver()

    def test_verifier_refuses(self):
        """Its log, shortened, is in ours; only some kernels refuse."""
        gate = self.gate(WITHOUT_PERFMON)
        if self.program(gate) == "sk_lookup":
            self.skipTest("this kernel's verifier needs no CAP_PERFMON")
        for event in ("no-sk_lookup", "no-sk_reuseport"):
            line = gate.log(event)[0]
            self.assertRegex(line["verifier"], r"\w")
            self.assertLessEqual(len(line["verifier"]), EXCERPT_MOST)
            self.assertNotIn("\n", line["verifier"])
        self.assertIn("CAP_PERFMON", gate.log("no-sk_lookup")[0]["cure"])
        gate.deliver()


if __name__ == "__main__":
    namespace.enter()
    tap.main()
