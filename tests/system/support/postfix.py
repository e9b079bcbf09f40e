"""Postfix as a client: a mail server of its own below /tmp that relays all it
is given on a loopback port to a gateway, with SASL over verified TLS."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

from . import client, gateway

DAEMONS = "/usr/lib/postfix/sbin"
LIFE_SECONDS = 150  # it ends by itself when the test could not end it

# What every Postfix of ours has in main.cf and master.cf, in a folder of its own.
BASICS = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
myhostname = postfix.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_relay_restrictions = permit_mynetworks, reject
smtputf8_enable = no
smtp_dns_support_level = disabled
"""

MAIN = """
maillog_file = /dev/stdout
smtp_host_lookup = native
smtp_tls_CAfile = {ca}
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = hostname
smtp_tls_wrappermode = {wrapper}
smtp_sasl_auth_enable = yes
smtp_sasl_security_options = noanonymous
smtp_sasl_password_maps = texthash:{folder}/passwords
relayhost = [localhost]:{port}
minimal_backoff_time = 2s
queue_run_delay = 2s
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup   unix-dgram n - n 60 1 pickup
cleanup  unix n - n - 0 cleanup
qmgr     unix n - n 300 1 qmgr
tlsmgr   unix - - n 1000? 1 tlsmgr
rewrite  unix - - n - - trivial-rewrite
bounce   unix - - n - 0 bounce
defer    unix - - n - 0 bounce
trace    unix - - n - 0 bounce
verify   unix - - n - 1 verify
flush    unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp     unix - - n - - smtp
relay    unix - - n - - smtp
error    unix - - n - - error
retry    unix - - n - - error
discard  unix - - n - - discard
anvil    unix - - n - 1 anvil
scache   unix - - n - 1 scache
postlog  unix-dgram n - n - 1 postlogd
"""


def missing():
    """Why it cannot run here, or None."""
    if os.geteuid():
        return "Postfix must be started by root"
    if not os.path.exists(f"{DAEMONS}/master"):
        return "Postfix is not installed"
    if not list(pathlib.Path("/usr/lib").glob("*/sasl2/libplain.so*")):
        return "libsasl2-modules is not installed"
    return None


class Postfix:
    def __init__(self, port, style, ca):
        self.port = gateway.free_ports(1)[0]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-postfix-"))
        self.folder.chmod(0o755)
        config = self.folder / "config"
        config.mkdir()
        (self.folder / "queue").mkdir()
        (self.folder / "data").mkdir()
        owner = pwd.getpwnam("postfix")
        os.chown(self.folder / "data", owner.pw_uid, owner.pw_gid)
        (self.folder / "passwords").write_text(
            f"[localhost]:{port} {gateway.USER}:{gateway.PASSWORD}\n")
        (config / "main.cf").write_text((BASICS + MAIN).format(
            folder=self.folder, ca=ca, port=port,
            wrapper="yes" if style == "implicit" else "no"))
        (config / "master.cf").write_text(MASTER.format(port=self.port))
        subprocess.run(["postfix", "-c", config, "check"], check=True,
                       capture_output=True)
        self.output = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            [f"{DAEMONS}/master", "-s", "-c", str(config), "-e",
             str(LIFE_SECONDS)], stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=self.output)
        if not client.wait_for_port(self.port):
            self.close()
            raise AssertionError("Postfix did not start")

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """The master kills its children when told to end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)
