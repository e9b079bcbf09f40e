"""Listeners that a program alone leads to: on whole ranges of addresses, each
of which is served and nothing beyond, and on ports that the daemon may not
bind. Where there is no program the daemon says so. Everything happens in a
network namespace of this program's own, which takes packets for two ranges as
its own.
time-limit: 120"""

import re
import socket
import subprocess
import unittest

import tap
from support import gateway, mail, namespace

WITHOUT_LOOKUP = ["setpriv", "--bounding-set", "-net_admin,-sys_admin"]
WITHOUT_PORTS = ["setpriv", "--bounding-set", "-net_bind_service"]
WITHOUT_BOTH = ["setpriv", "--bounding-set",
                "-net_bind_service,-net_admin,-sys_admin"]
LANES = {"bulk": {"workers": 2}, "desk": {"workers": 1}}
V4, V6 = "10.9.64.0/24", "fd00:9:64::/64"
IN_RANGE = ["10.9.64.1", "10.9.64.77", "10.9.64.254", "fd00:9:64::1",
            "fd00:9:64::dead:beef"]
OUTSIDE = ["127.0.0.1", "10.9.2.1", "10.9.65.1", "::1", "fd00:9::1",
           "fd00:9:64:1::1"]


class Namespace:
    """What setUpModule made: a folder on a bpffs, or why there is none."""
    pins = None
    unsteered = None


def setUpModule():
    if namespace.missing():
        raise unittest.SkipTest(namespace.missing())
    Namespace.pins = namespace.set_up()
    for wide in ("10.9.64.0/23", "fd00:9:64::/63"):
        subprocess.run(["ip", "route", "add", "local", wide, "dev", "lo"],
                       check=True)
    with gateway.Gateway(lane=LANES, listener={"lane": "bulk"},
                         steering={"pins": Namespace.pins / "probe"}) as gate:
        if gate.log("steering")[0]["program"] != "sk_lookup":
            Namespace.unsteered = \
                f"no sk_lookup here: {gate.log('no-sk_lookup')}"


def tearDownModule():
    if Namespace.pins:
        namespace.tear_down(Namespace.pins)


class Led(unittest.TestCase):
    def gate(self, start=True, **options):
        """Not configured yet: `configure` wants to know its ports."""
        if Namespace.unsteered:
            self.skipTest(Namespace.unsteered)
        gate = gateway.Gateway(start=False, **options)
        self.addCleanup(gate.close)
        self.configure(gate)
        if start:
            self.start(gate)
        return gate

    def start(self, gate):
        """Perhaps it serves none of the addresses that it is tried at."""
        gate.spawn()
        gate.wait_for_log('"ready"')

    def configure(self, gate, bulk=(V4, f"[{V6}]"), desk=("127.0.0.1",),
                  port=None, **options):
        """465 of these for bulk, 587, or another port, of those for desk."""
        gate.configure(
            lane={**LANES, "desk": {"workers": 1,
                                    "sources": ["10.9.1.0/24"]}},
            listeners={
                "submissions": {"lane": "bulk", "address": [
                    f"{host}:{gate.implicit}" for host in bulk]},
                "submission": {"lane": "desk", "address": [
                    f"{host}:{port or gate.starttls}" for host in desk]}},
            steering={"pins":
                      Namespace.pins / self.id().rpartition(".")[2]},
            **options)

    def lane_list(self, gate):
        done = gate.control("lane", "list")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def steered(self, gate):
        """{"bulk": connections that the program gave to its workers}"""
        return {lane: int(n) for lane, n in re.findall(
            r"^(\S+) +all +(\d+) ", self.lane_list(gate), re.M)}

    def lane_of(self, gate, host, style="implicit", **options):
        """The lane that a connection to this address came to."""
        before = self.steered(gate)
        with gate.connect(style, login=False, host=host, **options) as session:
            session.quit()
        after = self.steered(gate)
        moved = [lane for lane in after if after[lane] != before[lane]]
        self.assertEqual(len(moved), 1, (before, after))
        return moved[0]

    def assert_nobody(self, gate, host, style="implicit"):
        """Or nobody any more: the workers before a reload still have to hear
        that they shall leave."""
        def refused():
            try:
                socket.create_connection((host, gate.port(style)), 5).close()
            except ConnectionRefusedError:
                return True
            return False
        gate.wait_for(refused)

    def start_refused(self, gate):
        done = subprocess.run(gate.command(), capture_output=True, text=True,
                              timeout=20)
        self.assertEqual(done.returncode, 1)
        return done.stderr


class Ranges(Led):
    def test_every_address(self):
        """Of the range, at its port, and nothing else."""
        gate = self.gate()
        for host in IN_RANGE:
            with self.subTest(host=host):
                self.assertEqual(self.lane_of(gate, host), "bulk")
                self.assert_nobody(gate, host, "starttls")
        for host in OUTSIDE:
            with self.subTest(host=host):
                self.assert_nobody(gate, host)
        self.assertEqual(self.lane_of(gate, IN_RANGE[1], source="10.9.1.1"),
                         "desk")

    def test_is_shown(self):
        gate = self.gate()
        shown = self.lane_list(gate)
        lines = {line["address"]: (line["listener"], line["lane"])
                 for line in gate.log("address-steered")}
        for address in (f"{V4}:{gate.implicit}", f"[{V6}]:{gate.implicit}"):
            self.assertIn(f"  {address} bulk (submissions)\n", shown)
            self.assertEqual(lines[address], ("submissions", "bulk"))

    def test_mail(self):
        gate = self.gate()
        for i, host in enumerate(IN_RANGE):
            data = mail.plain()
            with gate.connect(host=host) as session:
                session.submit(f"you{i}@example.net", data)
                session.quit()
            to = f"you{i}@example.net"
            mail.check_arrived(gate.maildir.wait_for([to])[to], data)

    def test_beside_all_addresses(self):
        """0.0.0.0 and [::] take what the ranges leave, at the same port."""
        gate = self.gate(start=False)
        self.configure(gate, desk=("0.0.0.0", "[::]"), port=gate.implicit)
        self.start(gate)
        gate.starttls = gate.implicit
        for host in IN_RANGE:
            with self.subTest(host=host):
                self.assertEqual(self.lane_of(gate, host), "bulk")
        for host in ("10.9.2.1", "10.9.65.1", "fd00:9::1", "fd00:9:64:1::1"):
            with self.subTest(host=host):
                self.assertEqual(self.lane_of(gate, host, "starttls"), "desk")

    def reload(self, gate, **options):
        self.configure(gate, **options)
        return gate.control("reload")

    def test_reload(self):
        """A range comes and goes; a session that began there goes on."""
        gate = self.gate(start=False)
        self.configure(gate, bulk=("127.0.0.1",))
        self.start(gate)
        self.assert_nobody(gate, IN_RANGE[0])
        self.assertEqual(self.reload(gate).returncode, 0)
        self.assert_nobody(gate, "127.0.0.1")
        for host in IN_RANGE:
            self.assertEqual(self.lane_of(gate, host), "bulk")
        with gate.connect(host=IN_RANGE[0]) as session:
            done = self.reload(gate, bulk=(f"[{V6}]", "10.9.64.128/25"))
            self.assertEqual(done.returncode, 0, done.stderr)
            for host in IN_RANGE[:2]:
                self.assert_nobody(gate, host)
            for host in IN_RANGE[2:]:
                self.assertEqual(self.lane_of(gate, host), "bulk")
            session.submit("you@example.net", mail.plain())
            session.quit()
        self.assertEqual(self.reload(gate, bulk=("127.0.0.1",)).returncode, 0)
        for host in IN_RANGE:
            self.assert_nobody(gate, host)
        self.assertEqual(self.lane_of(gate, "127.0.0.1"), "bulk")

    def test_overlap(self):
        """Said with file and line; a reload changes nothing then."""
        gate = self.gate()
        done = self.reload(gate, desk=("10.9.64.5",), port=gate.implicit)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr,
                         rf'sluice.conf:\d+: listener "submission": '
                         rf'10.9.64.5:{gate.implicit} overlaps with {V4}:'
                         rf'{gate.implicit} of listener "submissions"')
        self.assertEqual(self.lane_of(gate, "10.9.64.5"), "bulk")

    def test_no_program(self):
        """A range is never served as less, or as more, than it is."""
        gate = self.gate(start=False, prefix=WITHOUT_LOOKUP)
        said = self.start_refused(gate)
        self.assertIn("no-sk_lookup", said)
        self.assertRegex(said, rf'sluice.conf:\d+: listener "submissions": '
                               rf'cannot listen on {V4}:{gate.implicit}: .*'
                               rf'only an sk_lookup program leads to a range')
        self.configure(gate, bulk=("127.0.0.1",))
        self.start(gate)
        done = self.reload(gate, bulk=("127.0.0.1", V4))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("only an sk_lookup program", done.stderr)
        self.assert_nobody(gate, IN_RANGE[0])
        with gate.connect(login=False) as session:
            session.quit()


class Ports(Led):
    def gate(self, **options):
        """At the ports that the world uses; not configured anew, not begun."""
        gate = super().gate(start=False, **options)
        gate.implicit, gate.starttls = 465, 587
        self.configure(gate, bulk=("10.9.2.1",), desk=("127.0.0.1", "[::]"))
        return gate

    def test_led_to(self):
        gate = self.gate(prefix=WITHOUT_PORTS)
        self.start(gate)
        self.assertEqual(self.lane_of(gate, "10.9.2.1"), "bulk")
        self.assertEqual(self.lane_of(gate, "127.0.0.1", "starttls"), "desk")
        self.assertEqual(self.lane_of(gate, "fd00:9::1", "starttls"), "desk")
        self.assert_nobody(gate, "127.0.0.1")
        with socket.socket() as free:  # nobody is bound there
            free.bind(("10.9.2.1", 465))

    def test_bound_where_it_may(self):
        gate = self.gate()
        self.start(gate)
        self.assertEqual(self.lane_of(gate, "10.9.2.1"), "bulk")
        with socket.socket() as taken, self.assertRaises(OSError):
            taken.bind(("10.9.2.1", 465))

    def test_no_program(self):
        said = self.start_refused(self.gate(prefix=WITHOUT_BOTH))
        self.assertRegex(said, r'listener "submissions": cannot listen on '
                               r'10.9.2.1:465: .*ports below 1024 need')


if __name__ == "__main__":
    namespace.enter()
    tap.main()
