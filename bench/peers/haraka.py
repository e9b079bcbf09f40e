"""Haraka, from npm into the cache, one process per processor. Needs a Node.js
of version 18 or newer and npm."""

import os
import pathlib
import re
import shutil
import subprocess

from runner import peer

# Later versions of it, and of what it depends on, need a newer Node.js.
VERSION, BEFORE = "3.1.1", "2026-03-01"
OLDEST_NODE = 18

# The documented way to choose next hops oneself: hook_get_mx.
ROUTE = """
exports.hook_get_mx = function (next, hmail, domain) {{
    next(OK, {{ exchange: '127.0.0.1', port: {sink}, priority: 0 }})
}}
"""


def cache():
    base = os.environ.get("SLUICE_CACHE") or \
        pathlib.Path.home() / ".cache/sluice"
    return pathlib.Path(base) / "peers" / f"haraka-{VERSION}"


def install():
    """Fetches it into the cache; RuntimeError says why it cannot."""
    folder = cache()
    if (folder / "node_modules/Haraka").is_dir():
        return folder
    fresh = folder.with_name(folder.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--omit=dev",
         "--omit=optional", "--ignore-scripts", f"--before={BEFORE}",
         f"--prefix={fresh}", f"Haraka@{VERSION}"], capture_output=True,
        text=True, check=False)
    if done.returncode:
        raise RuntimeError("npm: " + done.stderr.strip()[-300:])
    fresh.rename(folder)
    return folder


def node_version():
    said = subprocess.run(["node", "--version"], capture_output=True,
                          text=True, check=True).stdout
    return int(re.match(r"v(\d+)", said)[1])


class Outbound(peer.Peer):
    name = "haraka"
    title = "Haraka, queueing"
    # Its queue file is written through a stream whose close() would sync it;
    # today's Node.js ends streams without calling that: no sync is counted.
    kind = peer.PASS_THROUGH
    sink = auth = True
    notes = ("250 when its queue file is written, which nothing syncs; then "
             "passes the message on to the sink, in clear.")

    @classmethod
    def missing(cls):
        if not shutil.which("node") or not shutil.which("npm"):
            return "Node.js and npm are missing: run 'scripts/deps bench'"
        if node_version() < OLDEST_NODE:
            return f"Haraka needs Node.js {OLDEST_NODE}"
        try:
            install()
        except RuntimeError as error:
            return str(error)
        return None

    @classmethod
    def version(cls):
        return f"{VERSION}, Node.js {node_version()}"

    def files(self):
        return {
            "smtp.ini": f"listen=127.0.0.1:{self.port}\n"
                        f"smtps_port={self.port}\nnodes=cpus\n"
                        "inactivity_time=3600\n",
            "tls.ini": f"key={self.home}/key.pem\ncert={self.home}/chain.pem\n"
                       "minVersion=TLSv1.2\n",
            "auth_flat_file.ini": "[core]\nmethods=PLAIN\n[users]\n"
                                  f"{peer.USER}={peer.PASSWORD}\n",
            "smtp_forward.ini": "host=127.0.0.1\n"
                                f"port={self.sink_port}\nenable_tls=false\n"
                                "enable_outbound=true\n",
            "outbound.ini": "enable_tls=false\nlocal_mx_ok=true\n",
            "plugins": "\n".join(["tls", "auth/flat_file", *self.plugins()]),
            "connection.ini": "[haproxy]\nhosts[]=\n[headers]\n"
                              "[max]\nbytes=60000000\nmime_parts=1000\n"
                              "line_length=512\ndata_line_length=992\n"
                              "[message]\n[uuid]\nbanner_chars=6\n"
                              "deny_chars=0\n",
            "log.ini": "[main]\nlevel=warn\n", "me": "haraka.test"}

    def plugins(self):
        return ["route"]

    def configure(self):
        program = install() / "node_modules/Haraka"
        shutil.copytree(program / "config", self.home / "config")
        for folder in ("plugins", "queue"):
            (self.home / folder).mkdir()
        for name, text in self.files().items():
            (self.home / "config" / name).write_text(text + "\n")
        # Else it looks for a prime of its own, for a minute or two, for key
        # exchanges that TLS 1.3 has not.
        subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH",
                        "-pkeyopt", "group:ffdhe2048", "-out",
                        self.home / "config/dhparams.pem"], check=True)
        (self.home / "plugins/route.js").write_text(
            ROUTE.format(sink=self.sink_port))
        return ["node", program / "bin/haraka", "-c", self.home]


class Forward(Outbound):
    name = "haraka-forward"
    twin = True
    title = "Haraka, forwarding"
    notes = "Holds its 250 until the sink has given its own (smtp_forward)."

    def plugins(self):
        """Bounces are routed to the sink, too: nothing leaves the machine."""
        return ["queue/smtp_forward", *super().plugins()]
