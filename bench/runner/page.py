"""The report: one HTML page that stands alone, from the JSON of a run."""

import html
import pathlib

from . import charts, findings, measure, summary, verdicts
from .stats import describe, describe_exact, short

HERE = pathlib.Path(__file__).resolve().parent
CLASSES = (("durable", "Durable: 250 after the message is on the disk"),
           ("pass-through", "Pass-through: 250 when the next hop has it, or before "
                            "any sync"))
PER = {"message": ("ms of CPU per message", 1e3),
       "handshake": ("ms of CPU per handshake", 1e3),
       "gigabyte": ("s of CPU per GB", 1e6),
       "connection": ("ms of CPU per connection", 1e3)}
RATE = {"message": "messages per second", "gigabyte": "GB per second",
        "handshake": "handshakes per second",
        "connection": "connections per second"}
READ_ME = """
<p>Every server gets the same work from the same generator (sluice-load) over
TLS 1.3 with AES-128-GCM and the same ECDSA P-256 certificate, on the loopback
interface of one machine. <b>What counts is the server's CPU time</b>: of all its
processes, kernel included, until it has been quiet after the last message, so
that delivery after the 250 is in it. Throughput is shown too, but generator and
server share the processors: it says which is faster here, not how fast either
is alone.</p>
<p><b>Durable</b> servers say 250 after the message is safe on the disk;
<b>pass-through</b> servers say it when the next hop has, or before any sync. A sync costs
time and CPU, so the two are never compared. The <b>floors</b> are small C
programs over epoll and OpenSSL without a mail server's duties: what any server
of the class must pay.</p>
<p>Ratios (<i>Sluice is 1</i>) say how many times the CPU of Sluice doing the
same a server takes: what relays is set beside Sluice relaying.
Each figure is the <b>median</b> of {rounds} runs; the white tick in a bar is
the <b>least</b>. Servers took turns (A B C, C B A, ...). <b>Ratios</b> are made
run by run with the neighbour in time; the range in brackets is that of the
runs. Ratios under 1.3x in either direction are called a <b>tie</b>: differences
that small come and go between runs and machines.</p>
"""
NOT_COMPARABLE = """
<ul>
<li>Durable with pass-through, and a proxy's CPU with a mail server's: behind a
proxy another server does the work of taking mail, and is not counted.</li>
<li>Postfix's clients do not log in here; those of the others do. That is in
Postfix's favour, mostly in S1.</li>
<li>Exim uses GnuTLS, Haraka the OpenSSL inside Node.js; versions are above.</li>
<li>Kernel threads (disk, network) are in no server's account.</li>
<li>Throughput and latency of different machines, or of a busy one. CPU per
message moves less, but it moves, too.</li>
</ul>
"""


def escape(words):
    return html.escape(str(words))


def nowrap(words):
    return f'<span class="one-line">{escape(words)}</span>'


def table(head, rows, kind=""):
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) +
                   "</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{top}</tr>' \
           f"</thead><tbody>{body}</tbody></table></div>"


def dress(name):
    """The CSS class of a server's marks."""
    for start in ("sluice", "floor"):
        if name.startswith(start):
            return start
    return "peer"


class Page:
    def __init__(self, results):
        self.results = results
        self.peers = results["peers"]
        self.summary = summary.Summary(results)
        self.findings = findings.read()

    def names(self, kind=None):
        return [name for name, told in self.peers.items()
                if kind in (None, told["kind"])]

    def title(self, name):
        return self.peers[name]["title"]

    def measured(self, scenario, name):
        return any(run["peer"] == name and run["scenario"] == scenario
                   for run in self.results["runs"])

    # -- figures

    def bar_rows(self, key, names, figure, divisor):
        rows = []
        for name in names:
            least, median = self.summary.pair(key, name, figure)
            rows.append((self.title(name),
                         None if median is None else median / divisor,
                         None if least is None else least / divisor,
                         dress(name)))
        return rows

    def groups(self, scenario):
        """Servers that may stand in one chart, each with its heading."""
        def there(kind=None):
            return [name for name in self.names(kind)
                    if self.measured(scenario, name)]
        unit = self.results["scenarios"][scenario]["unit"]
        if unit in ("handshake", "connection"):
            return [("", there())]
        return [(words, there(kind)) for kind, words in CLASSES if there(kind)]

    def cost_charts(self, one, key):
        out = []
        for words, names in self.groups(key[0]):
            axis, divisor = PER[one["unit"]]
            figures = [(axis + " (median; less is better)", "cost", divisor),
                       (RATE[one["unit"]] + " (median)", "rate", 1)]
            if one["unit"] == "connection":
                figures = [("KiB of PSS per connection (less is better)",
                            "memory", 1024)]
            if words:
                out.append(f"<h4>{escape(words)}</h4>")
            out.append('<div class="pair">')
            out += ["<figure>" + charts.bars(
                self.bar_rows(key, names, figure, by), axis) + "</figure>"
                for axis, figure, by in figures]
            out.append("</div>")
        return "".join(out)

    def latency_chart(self, keys, names):
        """A row for each server and part."""
        rows = []
        for name in names:
            for key, words in keys:
                told = {p: (self.summary.pair(key, name, p)[1] or 0) / 1e3
                        for p, _ in charts.PERCENTILES}
                if any(told.values()):
                    label = self.title(name) + (f", {words}" if words else "")
                    rows.append((label, told, dress(name)))
        if not rows:
            return ""
        return "<figure>" + charts.percentiles(
            rows, "milliseconds, logarithmic") + "</figure>"

    # -- sections

    def figures_table(self, one, key):
        axis, divisor = PER[one["unit"]]
        head = ["", axis, "least", "Sluice is 1", RATE[one["unit"]], "p50 ms",
                "p99 ms"]
        if one["unit"] == "message":
            head += ["system calls", "syncs"]
        rows = []
        for name in self.names():
            if not self.measured(key[0], name):
                continue
            least, median = self.summary.pair(key, name, "cost")
            cells = [escape(self.title(name))]
            cells += [self.cell(value, divisor) for value in (median, least)]
            cells.append(escape(self.ratio(key, name)))
            cells.append(self.cell(self.summary.pair(key, name, "rate")[1], 1))
            cells += [self.cell(self.summary.pair(key, name, p)[1], 1e3)
                      for p in ("p50", "p99")]
            if one["unit"] == "message":
                cells += [self.cell(self.summary.pair(key, name, f)[1], 1)
                          for f in ("system_calls_per_message",
                                    "syncs_per_message")]
            rows.append(cells)
        return table(head, rows, "figures")

    @staticmethod
    def cell(value, divisor):
        return "–" if value is None else short(value / divisor)

    def reference(self, key, name):
        """Which of Sluice's does the same as this server, or None."""
        unit = self.results["scenarios"][key[0]]["unit"]
        told = self.peers[name]
        classless = unit in ("handshake", "connection")
        wanted = "sluice-relay" if told["relays"] and not classless and \
            told["kind"] == "durable" else "sluice"
        if wanted in self.peers and (
                classless or told["kind"] == self.peers[wanted]["kind"]):
            return wanted
        return None

    def ratio(self, key, name):
        """How many times the cost of Sluice doing the same."""
        other = self.reference(key, name)
        if other is None:
            return "other class"
        if other == name:
            return ""
        return describe(self.summary.ratios((key, name, "cost"),
                                            (key, other, "cost")))

    def memory_table(self, key):
        rows = []
        for name in self.groups(key[0])[0][1]:
            least, median = self.summary.pair(key, name, "memory")
            held = self.summary.pair(key, name, "held")[1]
            rows.append([escape(self.title(name)), self.cell(median, 1024),
                         self.cell(least, 1024),
                         "–" if held is None else f"{held:,.0f}"])
        return table(["", "KiB per connection", "least", "connections held"],
                     rows, "figures")

    def scenario(self, name):
        one = self.results["scenarios"][name]
        out = [f'<section id="{name}"><h2>{name}. {escape(one["title"])}</h2>'
               f'<p class="question">{escape(one["question"])}</p>'
               f"<p>{escape(one['text'])}</p>"]
        keys = [((name, part["name"]), part) for part in one["parts"]]
        if all(part["bytes"] for _, part in keys):
            out.append(self.sizes(one, keys))
        elif any(part["rate_of"] or part["beside"] for _, part in keys):
            out.append(self.rates(keys))
        else:
            for key, part in keys:
                if part["name"]:
                    out.append(f"<h3>{escape(part['name'].capitalize())}</h3>")
                out.append(self.cost_charts(one, key))
                out.append(self.memory_table(key)
                           if one["unit"] == "connection"
                           else self.figures_table(one, key))
                out.append(self.programs_table(key))
            if one["unit"] in ("message", "gigabyte"):
                out.append(self.latencies([(keys[0][0], "")], ""))
        out.append(self.troubles(name))
        return "".join(out) + "</section>"

    def programs_table(self, key):
        """What BPF programs take of each connection."""
        rows = []
        for name in self.names():
            took = [self.summary.pair(key, name, figure)[1] for figure in (
                "steering_ns", "steering_times", "shield_ns", "shield_times",
                "share")]
            if any(value is not None for value in took):
                rows.append([escape(self.title(name)),
                             *(self.cell(value, 1) for value in took)])
        return table(["BPF programs, per connection", "steering, ns", "runs",
                      "shield, ns", "runs", "% of the CPU per connection"],
                     rows, "figures") if rows else ""

    def sizes(self, one, keys):
        out = []
        for words, names in self.groups(keys[0][0][0]):
            series = []
            for number, name in enumerate(names):
                points = [(part["bytes"], self.summary.pair(
                    key, name, "cost")[1]) for key, part in keys]
                series.append((self.title(name), [
                    (x, y / 1e3) for x, y in points if y],
                    dress(name), number % 2))
            out.append(f"<h4>{escape(words)}</h4><figure>" + charts.curves(
                series, "size of the message, logarithmic",
                "ms of CPU per message, logarithmic") + "</figure>")
            rows = [[escape(self.title(name))] + [
                self.cell(self.summary.pair(key, name, "cost")[1], 1e3)
                for key, _ in keys] for name in names]
            out.append(table(["ms of CPU per message"] + [
                charts.bytes_text(part["bytes"]) for _, part in keys], rows,
                "figures"))
        return "".join(out)

    def latencies(self, keys, words):
        """A chart for each class: from MAIL to the final reply."""
        out = []
        for kind, heading in CLASSES:
            drawn = self.latency_chart(keys, self.names(kind))
            if drawn:
                out.append(f"<h4>From MAIL to the final reply{escape(words)}. "
                           f"{escape(heading)}</h4>{drawn}")
        return "".join(out)

    def rates(self, keys):
        out = []
        for share in sorted({part["share"] for _, part in keys}):
            chosen = [(key, part["beside"]) for key, part in keys
                      if part["share"] == share]
            words = f", at {share:.0%} of the best rate" if share else ""
            out.append(self.latencies(
                [(key, ("storm" if share else key[1]) if storm else "")
                 for key, storm in chosen], words))
            calm, storm = (next((key for key, beside in chosen
                                 if bool(beside) == wanted), None)
                           for wanted in (False, True))
            if calm and storm:
                out.append(self.storm_table(calm, storm, *(
                    ("in the storm", "the storm's handshakes per second")
                    if share else (storm[1], "messages per second beside"))))
        return "".join(out)

    def storm_table(self, calm, storm, beside, what):
        rows = []
        for name in self.names():
            if not self.measured(calm[0], name):
                continue
            cells = [self.cell(self.summary.pair(calm, name, "rate")[1], 1)]
            cells += [self.cell(self.summary.pair(key, name, p)[1], 1e3)
                      for p in ("p50", "p99") for key in (calm, storm)]
            cells += [
                escape(describe_exact(self.summary.ratios(
                    (storm, name, "p99"), (calm, name, "p99")))),
                self.cell(self.summary.pair(storm, name, "storm")[1], 1)]
            rows.append([escape(self.title(name)), *cells])
        return table(["", "messages per second", "p50 ms", beside, "p99 ms",
                      beside, "times", what], rows, "figures")

    def troubles(self, name):
        rows = []
        for run in self.results["runs"]:
            said = measure.trouble_of(run["result"])
            if run["scenario"] == name and said:
                rows.append([escape(self.title(run["peer"])),
                             escape(run["part"]), str(run["round"] + 1),
                             escape(said[:300])])
        if not rows:
            return ""
        return "<h4>What failed</h4>" + table(
            ["server", "part", "run", "what"], rows)

    @staticmethod
    def why(row, explained):
        link = findings.anchor(row.name)
        if link in explained:
            return f'<a href="#{link}">why</a>'
        return "" if row.verdict in ("met", "not measured") else \
            "not explained yet"

    def targets(self):
        rows = verdicts.judge(self.summary)
        if not rows:
            return ""
        explained = {findings.anchor(heading) for heading, _ in self.findings}
        return "<section id='targets'><h2>Targets</h2>" + table(
            ["target", "measured", "verdict", ""],
            [[escape(row.text), escape(row.measured),
              f'<span class="{row.verdict.split()[0]}">'
              f"{escape(row.verdict)}</span>", self.why(row, explained)]
             for row in rows], "targets") + "</section>"

    def machine(self):
        facts = self.results["machine"]
        after = self.results["machine_after"]["load_average"]
        rows = [
            ("processor", f"{facts['processor']}, {facts['processors']} of "
             f"them{', virtual' if facts['hypervisor'] else ''}"),
            ("memory", f"{facts['memory_gib']} GiB"),
            ("system", f"{facts['distribution']}, Linux {facts['kernel']}"),
            ("TLS records in the kernel",
             "yes" if facts["kernel_tls"] else "no, this kernel cannot"),
            ("TLS library of Sluice and floors", facts["openssl"]),
            ("scratch file system", facts["scratch_filesystem"]),
            ("4 KiB append and fdatasync", f"{facts['sync_us']} µs, median"),
            ("AES-128-GCM", f"{facts['aes_128_gcm_gb_per_s']} GB/s, one "
             "processor, 16 KiB blocks"),
            ("P-256 signatures", f"{facts['p256_signatures_per_s']} per "
             "second, one processor"),
            ("copying memory", f"{facts['copy_gb_per_s']} GB/s, 64 MiB"),
            ("load average before and after",
             f"{facts['load_average'][0]} and {after[0]} (1 minute)"),
            ("CPU counted by", self.results["counted_by"]),
            ("mitigations", "; ".join(f"{name}: {said}" for name, said in
                                      facts["mitigations"].items()))]
        return table(["what", "on this machine"],
                     [[escape(a), escape(b)] for a, b in rows])

    def sinks(self):
        told = self.results.get("sinks")
        if not told:
            return ""
        taken, got = (sum(one[what] for one in told)
                      for what in ("acknowledged", "received"))
        return (f"<p>Those that pass mail on acknowledged {taken:,} messages; "
                f"the sinks behind them got {got:,}. Fewer in any of "
                f"{len(told)} runs would be told above as a failure; more are "
                "messages that were under way when a measurement ended.</p>")

    def servers(self):
        rows = [[nowrap(told["title"]), nowrap(told["version"]),
                 nowrap(told["kind"]), "yes" if told["auth"] else "no",
                 escape(told["notes"])] for told in self.peers.values()]
        rows += [[escape(name), "–", "–", "–", "left out: " + escape(why)]
                 for name, why in self.results["missing"].items()]
        return table(["server", "version", "class", "logs in", "what it does"],
                     rows)

    def loads(self):
        rows = []
        for name, one in self.results["scenarios"].items():
            for part in one["parts"]:
                more = f"; beside it {part['beside']}" if part["beside"] else ""
                rate = f"; --rate {part['share']:.0%} of {part['rate_of']}" \
                    if part["rate_of"] else ""
                rows.append([f"{name} {escape(part['name'])}",
                             f"<code>{escape(part['load'] + rate + more)}"
                             "</code>"])
        return table(["scenario", "sluice-load"], rows)

    def render(self):
        told = self.results
        names = [*told["scenarios"], *["findings"] * bool(self.findings),
                 "machine", "servers"]
        navigation = " ".join(f'<a href="#{name}">{name}</a>'
                              for name in names)
        commit = told["commit"][:12] + (" with changes" if told["changed"]
                                        else "")
        body = [
            "<header><h1>Sluice beside other mail servers</h1>",
            f"<p class='sub'>{told['date']}, commit {escape(commit)}, "
            f"{escape(told['machine']['processor'])}, Linux "
            f"{escape(told['machine']['kernel'])}</p>",
            "" if told["whole"] else "<p class='missed'>This run was stopped "
            "before its end: not all of it is here.</p>",
            f"<nav>{navigation}</nav></header>",
            "<section><h2>How to read this</h2>",
            READ_ME.format(rounds=told["rounds"]), "</section>",
            self.targets()]
        body += [self.scenario(name) for name in told["scenarios"]]
        if self.findings:
            body += ["<section id='findings'><h2>Findings</h2>",
                     findings.render(self.findings), "</section>"]
        body += [
            "<section id='machine'><h2>The machine</h2>", self.machine(),
            "</section><section id='servers'><h2>The servers</h2>",
            self.servers(), self.sinks(),
            "<h3>What is not comparable</h3>", NOT_COMPARABLE,
            "<h3>Commands</h3><p>Measured by <code>",
            escape(told["command"]), "</code>, after <code>make</code>. Each "
            "measurement is one call of sluice-load:</p>", self.loads(),
            "</section>"]
        style = (HERE / "page.css").read_text()
        return ("<!doctype html><html lang='en'><meta charset='utf-8'>"
                "<meta name='viewport' content='width=device-width'>"
                "<meta name='color-scheme' content='light dark'>"
                f"<title>Sluice, measured {told['date']}</title>"
                f"<style>{style}</style><body>{''.join(body)}</body></html>\n")


def render(results):
    return Page(results).render()
