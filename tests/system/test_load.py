"""The bench kit's two programs: what sluice-load says of a server is true, and
its books find what a sink did to the mail. time-limit: 240"""

import json
import os
import pathlib
import re
import subprocess
import time
import unittest

import tap
from support import client, gateway, load, pki

HOST = "127.0.0.1"


def to_sink(sink):
    """A route over STARTTLS."""
    return {"default": {"next_hop": f"smtp://localhost:{sink.smtp}",
                        "tls_ca": pki.folder() / "ca.pem"}}


def connections(port):
    """What ss(8) says of a port's connections."""
    return subprocess.run(["ss", "-Htn", f"sport = :{port}"],
                          capture_output=True, text=True, check=True).stdout


def control_group():
    """A new control group, or None."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind != "cgroup2":
            continue
        folder = pathlib.Path(place) / f"sluice-load-{os.getpid()}"
        try:
            folder.mkdir()
            return folder
        except OSError:
            pass
    return None


class Case(unittest.TestCase):
    def setUp(self):
        self.paths = []

    def tearDown(self):
        for path in self.paths:
            path.unlink(missing_ok=True)

    def scratch(self, name):
        path = pathlib.Path(f"/tmp/sluice-load-{os.getpid()}-{name}")
        self.paths.append(path)
        return path

    def books(self, sink):
        return ["--account", self.scratch("sent"), "--verify", sink.account,
                "--settle", 30]


class ThroughTheGateway(Case):
    """load -> sluiced -> sink, and every message is seen again."""

    @classmethod
    def setUpClass(cls):
        cls.sink = load.Sink()
        cls.gate = gateway.Gateway(route=to_sink(cls.sink))

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()
        cls.sink.close()

    def submit(self, *arguments, tls="implicit", n=60, expect=0):
        port = self.gate.implicit if tls == "implicit" else self.gate.starttls
        report = load.run(f"{HOST}:{port}", "--tls", tls, "--messages", n,
                          "--connections", 4, *load.login(self.gate),
                          *self.books(self.sink), *arguments, expect=expect)
        self.assertEqual(report["messages"], n)
        self.assertEqual(report["failed"], 0)
        self.assertEqual(report["verify"]["sent"], n)
        self.assertEqual(report["verify"]["arrived"], n)
        self.assertEqual(report["verify"]["ok"], 1)
        return report

    def test_implicit_data(self):
        report = self.submit("--body", "data")
        self.assertEqual(report["load"]["body"], "data")
        self.assertEqual(report["tls"]["version"], "TLSv1.3")
        self.assertEqual(report["handshakes_full"], 4)
        self.assertEqual(report["bytes"], 60 * 4096)
        for key in ("connect", "banner", "handshake", "ready"):
            self.assertEqual(report["latency_us"][key]["n"], 4, key)
        self.assertEqual(report["latency_us"]["message"]["n"], 60)

    def test_implicit_bdat(self):
        report = self.submit("--body", "bdat")
        self.assertEqual(report["load"]["body"], "bdat")

    def test_starttls_data(self):
        self.submit("--body", "data", tls="starttls")

    def test_starttls_bdat(self):
        self.submit("--body", "bdat", tls="starttls")

    def test_large_mails(self):
        for body in ("data", "bdat"):
            self.submit("--body", body, "--size", "3M", n=6)

    def test_sizes_and_recipients(self):
        report = self.submit("--size-median", "20k", "--recipients", 7, n=100)
        self.assertEqual(report["recipients"], 700)

    def test_without_pipelining(self):
        report = self.submit("--no-pipelining")
        self.assertEqual(report["load"]["pipelining"], 0)

    def test_messages_per_connection(self):
        report = self.submit("--per-connection", 10, n=200)
        self.assertIn(report["connections"], range(20, 25))

    def test_threads(self):
        report = self.submit("--threads", 2, n=200)
        self.assertEqual(report["connections"], 4)

    def test_open_loop(self):
        report = self.submit("--rate", 200, "--warm-up", 0, n=100)
        self.assertEqual(report["loop"], "open")
        self.assertGreaterEqual(report["open_loop"]["due"], 100)
        self.assertEqual(report["open_loop"]["dropped"], 0)

    def test_folder_of_mails(self):
        corpus = pathlib.Path(__file__).parents[1] / "corpus"
        folder = self.gate.folder / "mails"
        folder.mkdir()
        names = sorted(corpus.glob("mime_emails-raw_email*.eml"))[:20]
        for number, path in enumerate(names):
            text = path.read_bytes().replace(b"\r\n", b"\n")
            # A mailbox's "From " line is no header field.
            if not re.search(rb"\r|\0|\AFrom ", text):
                (folder / f"{number}.eml").write_bytes(text)
        self.submit("--folder", folder, n=40)

    def test_the_servers_cost(self):
        report = self.submit("--pid", self.gate.process.pid, n=300)
        cost = report["cost"]
        self.assertGreater(cost["cpu_us"], 0)
        self.assertEqual(cost["cpu_us"], cost["user_us"] + cost["system_us"])
        self.assertGreater(cost["pss"], 1 << 20)
        self.assertGreaterEqual(cost["processes"], 4)
        self.assertEqual(cost["settled"], 1)
        self.assertIn("--cgroup", cost["counted"])

    def test_the_cost_of_a_control_group(self):
        folder = control_group()
        if not folder:
            self.skipTest("needs a writable hierarchy of control groups, "
                          "version 2: be root, on the host or with one "
                          "delegated")
        self.addCleanup(folder.rmdir)
        enter = f'echo $$ >{folder}/cgroup.procs; exec "$@"'
        with gateway.Gateway(prefix=["sh", "-c", enter, "sh"]) as gate:
            report = load.run(f"{HOST}:{gate.implicit}", *load.login(gate),
                              "--messages", 100, "--cgroup", folder,
                              "--settle", 20)
        cost = report["cost"]
        self.assertEqual(cost["source"], "cgroup")
        self.assertGreater(cost["cpu_us"], 0)
        self.assertGreater(cost["pss"], 1 << 20)
        self.assertGreaterEqual(cost["processes"], 4)
        if not cost["counted"]:
            self.assertGreater(cost["system_calls"], 100)

    def test_warm_up_is_not_counted(self):
        report = load.run(f"{HOST}:{self.gate.implicit}", "--messages", 20,
                          "--warm-up", 0.2, *load.login(self.gate),
                          *self.books(self.sink))
        self.assertEqual(report["messages"], 20)
        self.assertEqual(report["latency_us"]["message"]["n"], 20)
        self.assertGreater(report["verify"]["sent"], 20)
        self.assertEqual(report["verify"]["ok"], 1)


class AtTheGateway(Case):
    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway()

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()

    def target(self):
        return f"{HOST}:{self.gate.implicit}"

    def test_a_maildir_tells_what_arrived(self):
        sent = self.scratch("sent")
        report = load.run(self.target(), *load.login(self.gate), "--messages",
                          30, "--account", sent, "--verify",
                          self.gate.folder / "maildir", "--settle", 20)
        self.assertEqual(report["verify"]["arrived"], 30)
        next((self.gate.folder / "maildir/new").iterdir()).unlink()
        done = subprocess.run(
            [gateway.program("sluice-load"), "--compare", sent,
             self.gate.folder / "maildir"], capture_output=True, text=True,
            check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"1 +lost: [0-9a-f]{8}-[0-9]{12}")

    def test_full_and_resumed_handshakes(self):
        report = load.run(self.target(), "--mode", "handshake", "--messages",
                          50, "--connections", 2, "--ca", self.gate.ca)
        self.assertEqual(report["handshakes_full"], 50)
        self.assertEqual(report["handshakes_resumed"], 0)
        self.assertEqual(report["latency_us"]["handshake"]["n"], 50)
        for tls, port in (("implicit", self.gate.implicit),
                          ("starttls", self.gate.starttls)):
            for version in ("1.2", "1.3"):
                report = load.run(f"{HOST}:{port}", "--mode", "handshake",
                                  "--messages", 50, "--resume", "--tls", tls,
                                  "--tls-version", version)
                self.assertEqual(report["handshakes_full"], 1)
                self.assertEqual(report["handshakes_resumed"], 49)
                self.assertEqual(report["tls"]["version"], f"TLSv{version}")

    def test_one_cipher(self):
        for cipher, name in (
                ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
                ("ECDHE-ECDSA-AES128-GCM-SHA256",
                 "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")):
            report = load.run(self.target(), "--mode", "handshake",
                              "--messages", 3, "--cipher", cipher)
            self.assertEqual(report["tls"]["cipher"], name)

    def test_idle_connections(self):
        report = load.run(self.target(), *load.login(self.gate), "--mode",
                          "idle", "--connections", 30, "--duration", 1,
                          "--pid", self.gate.process.pid)
        self.assertEqual(report["idle"]["opened"], 30)
        self.assertGreater(report["idle"]["pss_after"], 0)

    def test_wrong_password_is_a_failure_of_auth(self):
        report = load.run(self.target(), "--user", gateway.USER,
                          "--password-env", "LOAD_PASSWORD", "--messages", 2,
                          env={"LOAD_PASSWORD": "wrong"}, expect=1)
        self.assertEqual(report.failures(), {("auth", 535): 2})
        self.assertEqual(report["messages"], 0)

    def test_an_untrusted_server_is_a_failure_of_tls(self):
        report = load.run(self.target(), "--ca", self.gate.pki / "ecdsa.pem",
                          "--messages", 2, expect=1)
        self.assertEqual(report.failures(), {("tls", 0): 2})
        self.assertIn("certificate", report["failures"][0]["reason"])

    def test_mail_without_login_is_refused(self):
        report = load.run(self.target(), "--messages", 3, expect=1)
        self.assertEqual(report.failures(), {("message", 530): 3})


class AtTheSink(Case):
    """What the sink does on purpose is told, kind by kind."""

    def verified(self, *faults):
        with load.Sink(*faults) as sink:
            report = load.run(f"{HOST}:{sink.smtp}", "--tls", "clear",
                              "--messages", 40, "--account",
                              self.scratch("sent"), "--verify", sink.account,
                              expect=1 if faults else 0)
        found = report["verify"]
        return {key: found[key] for key in
                ("lost", "doubled", "changed", "unexpected") if found[key]}

    def test_an_honest_sink(self):
        self.assertEqual(self.verified(), {})

    def test_lost_messages(self):
        self.assertEqual(self.verified("--lose", 10), {"lost": 4})

    def test_doubled_messages(self):
        self.assertEqual(self.verified("--double", 20), {"doubled": 2})

    def test_changed_messages(self):
        self.assertEqual(self.verified("--change", 40), {"changed": 1})

    def test_failures_by_reply(self):
        with load.Sink("--refuse-recipient", "450:0.3", "--refuse-recipient",
                       "550:0.1", "--refuse-message", "554:0.2") as sink:
            report = load.run(f"{HOST}:{sink.smtp}", "--tls", "starttls",
                              "--messages", 200, "--recipients", 4,
                              "--account", self.scratch("sent"), "--verify",
                              sink.account, expect=1)
            summary = sink.stop()
        failures = report.failures()
        recipients = [n for (stage, code), n in failures.items()
                      if stage == "recipient" and code in (450, 550)]
        self.assertEqual(len(recipients), 2)
        self.assertEqual(sum(recipients), summary["refused_recipients"])
        self.assertEqual(failures[("message", 554)],
                         summary["refused_messages"])
        self.assertEqual(report["messages"], summary["messages"])
        self.assertEqual(report["recipients"], summary["recipients"])
        self.assertEqual(report["verify"]["ok"], 1)

    def test_dropped_connections(self):
        with load.Sink("--drop", 0.1) as sink:
            report = load.run(f"{HOST}:{sink.smtps}", "--messages", 200,
                              "--connections", 4, "--account",
                              self.scratch("sent"), "--verify", sink.account,
                              expect=1)
            summary = sink.stop()
        self.assertGreater(summary["dropped"], 0)
        self.assertEqual(report.failures(),
                         {("message", 0): summary["dropped"]})
        self.assertEqual(report["messages"], 200 - summary["dropped"])
        self.assertEqual(report["verify"]["ok"], 1)

    def test_open_loop_counts_from_when_it_was_due(self):
        with load.Sink("--delay", 200) as sink:
            report = load.run(f"{HOST}:{sink.smtp}", "--tls", "clear",
                              "--rate", 100, "--messages", 10)
        latency = report["latency_us"]
        self.assertGreaterEqual(latency["transaction"]["min"], 200e3)
        # The tenth was due after 90 ms and began after nine delays.
        self.assertGreaterEqual(report["open_loop"]["late_max_us"], 1700e3)
        self.assertGreaterEqual(latency["message"]["max"], 1900e3)

    def test_the_backlog_is_bounded(self):
        with load.Sink("--delay", 200) as sink:
            report = load.run(f"{HOST}:{sink.smtp}", "--tls", "clear",
                              "--rate", 100, "--duration", 1, "--backlog", 5,
                              expect=1)
        loop = report["open_loop"]
        self.assertLessEqual(loop["backlog_max"], 5)
        self.assertGreater(loop["dropped"], 0)
        self.assertEqual(report["messages"] + loop["dropped"], loop["due"])

    def test_what_was_to_warm_up_is_not_waited_for(self):
        began = time.monotonic()
        with load.Sink("--delay", 200) as sink:
            report = load.run(f"{HOST}:{sink.smtp}", "--tls", "clear",
                              "--rate", 100, "--warm-up", 0.5, "--duration",
                              0.5, "--backlog", 5, expect=1)
        self.assertGreater(report["messages"], 0)
        # It would wait for a minute, then give up; two seconds are enough.
        self.assertLess(time.monotonic() - began, 40)

    def test_throttle(self):
        with load.Sink("--throttle", "1M") as sink:
            report = load.run(f"{HOST}:{sink.smtp}", "--tls", "clear",
                              "--size", "2M", "--messages", 1)
        self.assertGreaterEqual(report["seconds"], 1.0)

    def test_nobody_listens(self):
        port = gateway.free_ports(1)[0]
        report = load.run(f"{HOST}:{port}", "--messages", 3, expect=1)
        self.assertEqual(report.failures(), {("connect", 0): 3})
        self.assertEqual(report["failures"][0]["reason"],
                         "Connection refused")


class ARun(Case):
    def test_a_signal_ends_it_with_a_report(self):
        with load.Sink() as sink:
            process = subprocess.Popen(
                load.command(f"{HOST}:{sink.smtp}", "--tls", "clear",
                             "--duration", 600, "--progress"),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertRegex(process.stderr.readline(), r"measuring .* done")
            process.terminate()
            said, _ = process.communicate(timeout=60)
        report = json.loads(said)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(report["interrupted"], 1)
        self.assertGreater(report["messages"], 0)
        self.assertEqual(report["failed"], 0)

    def test_a_sink_got_what_was_acknowledged(self):
        """The warm-up's messages are not in the rates, but in the account."""
        with load.Sink() as sink:
            report = load.run(f"{HOST}:{sink.smtp}", "--tls", "clear",
                              "--warm-up", 0.2, "--duration", 0.2,
                              "--connections", 4)
            got = sink.stop()
        self.assertGreater(report["warm_up_messages"], 0)
        self.assertEqual(got["messages"],
                         report["messages"] + report["warm_up_messages"])

    def test_the_source_is_chosen(self):
        with load.Sink() as sink:
            load.run(f"{HOST}:{sink.smtp}", "--tls", "clear", "--messages", 1,
                     "--source", "127.0.0.9")
            said = load.refused(f"{HOST}:{sink.smtp}", "--source", "::1")
        self.assertIn("other family", said)

    def test_a_server_that_dies(self):
        """What was acknowledged before is told, and the run ends."""
        with load.Sink("--throttle", "100k") as sink:
            process = subprocess.Popen(
                load.command(f"{HOST}:{sink.smtp}", "--tls", "clear",
                             "--messages", 1, "--size", "100M"),
                stdout=subprocess.PIPE, text=True)
            client.wait_for_port(sink.smtp)
            while "ESTAB" not in connections(sink.smtp):
                self.assertIsNone(process.poll())
            sink.process.kill()
            said, _ = process.communicate(timeout=90)
        report = json.loads(said)
        self.assertEqual(process.returncode, 1)
        self.assertEqual((report["messages"], report["failed"]), (0, 1))


class TheSinkAndBadClients(Case):
    def setUp(self):
        super().setUp()
        self.sink = load.Sink()
        self.addCleanup(self.sink.close)

    def test_everything_pipelined(self):
        with client.Client(self.sink.smtp) as session:
            mail = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n"
            session.send(b"EHLO x\r\n" + b"NOOP\r\n" * 5000 + mail +
                         b"BDAT 3\r\na\r\nBDAT 0 LAST\r\n" + mail +
                         b"DATA\r\n..\r\n.\r\nQUIT\r\n")
            session.expect(220)
            for code in [250] * 5001 + [250] * 6 + [354, 250, 221]:
                session.expect(code)
        summary = self.sink.stop()
        self.assertEqual(summary["messages"], 2)
        self.assertEqual(summary["bytes"], 3 + 3)

    def test_chunks_without_a_message_are_taken(self):
        with client.Client(self.sink.smtp) as session:
            session.expect(220)
            session.send(b"BDAT 6 LAST\r\nQUIT\r\n")
            session.expect(503)
            session.quit()

    def test_nothing_is_heard_behind_starttls(self):
        with client.Client(self.sink.smtp) as session:
            session.expect(220)
            session.send(b"STARTTLS\r\nEHLO x\r\n")
            session.expect(220)
            self.assertEqual(session.read(), "")

    def test_wrong_order(self):
        with client.Client(self.sink.smtp) as session:
            session.expect(220)
            session.command("RCPT TO:<a@example.org>", 503)
            session.command("DATA", 503)
            session.command("MAIL FROM:<nonsense", 501)
            session.command("MAIL FROM:<a@example.org>", 250)
            session.command("MAIL FROM:<a@example.org>", 503)
            session.command("DATA", 503)
            session.command("AUTH PLAIN", 504)
            session.command("VRFY a", 252)
            session.command("FROBNICATE", 500)
            session.send(b"NOOP " + b"x" * 9000 + b"\r\n")
            session.expect(500)
            session.quit()


class OtherServers(Case):
    """Extensions that are not offered are done without."""

    def test_without_extensions(self):
        with load.Sink("--no-chunking", "--no-pipelining",
                       "--no-8bitmime") as sink:
            report = load.run(f"{HOST}:{sink.smtp}", "--tls", "clear",
                              "--body", "bdat", "--messages", 20,
                              *self.books(sink))
        self.assertEqual(report["load"]["body"], "data")
        self.assertEqual(report["load"]["pipelining"], 0)

    def test_auth_where_it_is_offered(self):
        arguments = ["--user", "a", "--password-env", "LOAD_PASSWORD",
                     "--messages", 3]
        env = {"LOAD_PASSWORD": "b"}
        with load.Sink("--auth") as sink:
            load.run(f"{HOST}:{sink.smtps}", *arguments, env=env)
        with load.Sink() as sink:
            report = load.run(f"{HOST}:{sink.smtps}", *arguments, env=env,
                              expect=1)
        self.assertEqual(report.failures(), {("auth", 0): 3})

    def test_lmtp(self):
        with load.Sink("--refuse-recipient", "550:0.5") as sink:
            with client.Client(sink.lmtp) as session:
                session.expect(220)
                session.command("EHLO there", 500)
                session.command("LHLO there", 250)
                session.command("MAIL FROM:<a@example.org>", 250)
                accepted = 0
                for number in range(20):
                    session.send(b"RCPT TO:<%d@example.net>\r\n" % number)
                    accepted += session.read().startswith("250")
                session.data(b"Subject: x\r\n\r\nx\r\n")
                for _ in range(accepted - 1):  # a reply for each (RFC 2033)
                    session.expect(250)
                session.quit()
            summary = sink.stop()
        self.assertEqual(summary["refused_recipients"], 20 - accepted)
        self.assertEqual(summary["recipients"], accepted)
        self.assertEqual(summary["messages"], 1)


class CommandLine(unittest.TestCase):
    def test_remote_targets_are_refused(self):
        for extra in ([], ["--allow-remote", "example.org"]):
            said = load.refused("192.0.2.1:465", *extra)
            self.assertIn("--allow-remote 192.0.2.1", said)

    def test_mistakes_are_named(self):
        target = f"{HOST}:25"
        for arguments, words in (
                ([], "name one target"),
                (["nonsense"], "HOST:PORT"),
                ([f"{HOST}:99999"], "HOST:PORT"),
                ([target, "--connections", "many"], "--connections"),
                ([target, "--connections"], "wants a value"),
                ([target, "--connections", "0"], "at least 1"),
                ([target, "--connections=100001"], "at most 100000"),
                ([target, "--size", "2G"], "--size is at most"),
                ([target, "--tls", "maybe"], "implicit|starttls|clear"),
                ([target, "--quiet=yes"], "takes no value"),
                ([target, "--user", "a"], "--password-file"),
                ([target, "--user", "a", "--password-file", "/nowhere"],
                 "/nowhere: No such file"),
                ([target, "--user", "a", "--password-env", "NOWHERE_"],
                 "NOWHERE_"),
                ([target, "--tls", "clear", "--user", "a", "--password-env",
                  "HOME"], "no password"),
                ([target, "--verify", "x"], "--verify wants --account"),
                ([target, "--settle", "1"], "--settle wants"),
                ([target, "--pid", "999999999"], "no such process"),
                ([target, "--cgroup", "/nowhere"], "/nowhere"),
                ([target, "--cipher", "NULL-MD5"], "NULL-MD5"),
                ([target, "--ca", "/nowhere"], "/nowhere"),
                ([target, "--folder", "/nowhere"], "/nowhere"),
                ([target, "--account", "/nowhere/x"], "/nowhere/x"),
                ([target, "--source", "here"], "no address"),
                ([target, "--frobnicate"], "--frobnicate"),
                (["--compare", "x"], "two accounts")):
            self.assertIn(words, load.refused(*arguments), arguments)

    def test_mistakes_of_the_sink(self):
        smtp = ["--smtp", f"{HOST}:0"]
        for arguments, words in (
                ([], "where to listen"),
                ([*smtp, "extra"], "extra"),
                (["--smtp", "nonsense"], "HOST:PORT"),
                (["--smtps", f"{HOST}:0"], "--certificate"),
                ([*smtp, "--certificate", "x"], "go together"),
                ([*smtp, "--certificate", "/nowhere", "--key", "x"],
                 "/nowhere"),
                ([*smtp, "--refuse-recipient", "450"], "CODE:SHARE"),
                ([*smtp, "--refuse-recipient", "250:1"], "CODE:SHARE"),
                ([*smtp, "--refuse-message", "450:0.6", "--refuse-message",
                  "451:0.6"], "more than 1"),
                ([*smtp, "--lose", "3"], "--account"),
                ([*smtp, "--drop", "2"], "--drop is at most 1")):
            self.assertIn(words, load.refused(*arguments, tool="sluice-sink"),
                          arguments)

    def test_the_manuals_know_every_option(self):
        manuals = pathlib.Path(__file__).parents[2] / "packaging/man"
        for tool in ("sluice-load", "sluice-sink"):
            text = subprocess.run([gateway.program(tool), "--help"],
                                  capture_output=True, text=True,
                                  check=True).stdout
            manual = (manuals / f"{tool}.1").read_text()
            told = re.findall(r"^  --([a-z0-9-]+)", text, re.M)
            self.assertGreater(len(told), 15)
            self.assertEqual(re.findall(r"^\.It Fl -([a-z0-9-]+)", manual,
                                        re.M), told)

    def test_a_password_is_on_no_command_line(self):
        for tool in ("sluice-load", "sluice-sink"):
            text = subprocess.run([gateway.program(tool), "--help"],
                                  capture_output=True, text=True,
                                  check=True).stdout
            self.assertNotIn("--password ", text)
            self.assertLess(max(map(len, text.splitlines())), 82)


if __name__ == "__main__":
    tap.main()
