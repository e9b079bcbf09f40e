"""HAProxy in front of the sink: it ends TLS and passes bytes on."""

import os

from runner import peer

CONFIG = """
global
    nbthread {threads}
    maxconn {most}
    tune.ssl.cachesize 100000
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    maxconn {most}
listen submissions
    bind 127.0.0.1:{port} ssl crt {home}/both.pem ssl-min-ver TLSv1.2
    server sink 127.0.0.1:{sink}
"""


class Stable(peer.Unpacked):
    name = "haproxy"
    title = "HAProxy 2.6"
    kind = peer.PASS_THROUGH
    fetched = package = "haproxy"
    sink = auth = True
    # Each takes two descriptors; those beyond maxconn would wait unanswered.
    most = (peer.raise_descriptors() - 200) // 2
    notes = ("Knows no SMTP: ends TLS, the sink behind it answers; the sink's "
             "CPU is not counted.")

    def configure(self):
        self.write("both.pem", (self.home / "chain.pem").read_text() +
                   (self.home / "key.pem").read_text())
        config = self.write("haproxy.cfg", CONFIG.format(
            home=self.home, port=self.port, sink=self.sink_port,
            threads=os.cpu_count(),
            most=min(self.most, max(2000, self.capacity + 100))))
        return self.root.command(["/usr/sbin/haproxy", "-db", "-f", config])


class Newest(Stable):
    name = "haproxy-newest"
    title = "HAProxy of Debian sid"
    fetched = "haproxy-newest"
