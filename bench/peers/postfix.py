"""Postfix 3.7 as its TUNING_README has it for busy servers: as many processes
as clients, no lookups that mail from this machine does not need."""

import os

from runner import peer
from support import postfix

QUEUES = ("active bounce corrupt defer deferred flush hold incoming private "
          "saved trace").split()

MAIN = """
local_recipient_maps =
smtpd_peername_lookup = no
message_size_limit = 60000000
mailbox_size_limit = 0

default_process_limit = {processes}
max_use = 1000
in_flow_delay = 0
qmgr_message_active_limit = 50000
receive_override_options = no_address_mappings, no_unknown_recipient_checks
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_event_limit_exceptions = static:all

smtpd_tls_chain_files = {home}/key.pem, {home}/chain.pem
smtpd_tls_security_level = encrypt
smtpd_tls_wrappermode = yes
smtpd_tls_loglevel = 0

{route}
"""


class Discard(peer.Unpacked):
    name = "postfix"
    title = "Postfix"
    fetched = package = "postfix"
    most = 1000
    notes = ("250 after the sync of the queue file; its clients do not log in; "
             "the discard(8) agent then drops the message.")

    def route(self):
        return "default_transport = discard:\nrelay_transport = discard:"

    def configure(self):
        owner = self.root.uid("postfix")
        drop = self.root.uid("postdrop")
        for name in ("queue", "queue/pid", "data", "config"):
            (self.home / name).mkdir()
        os.chown(self.home / "data", owner, owner)
        for name in QUEUES:
            (self.home / "queue" / name).mkdir(mode=0o700)
            os.chown(self.home / "queue" / name, owner, owner)
        for name, mode in (("public", 0o710), ("maildrop", 0o730)):
            (self.home / "queue" / name).mkdir()
            os.chown(self.home / "queue" / name, owner, drop)
            (self.home / "queue" / name).chmod(mode)
        (self.home / "queue/private").chmod(0o700)
        self.write("config/main.cf", (postfix.BASICS + MAIN).format(
            folder=self.home, home=self.home, route=self.route(),
            processes=max(100, self.capacity + 20)))
        self.write("config/master.cf", postfix.MASTER.format(
            port=self.port))
        return self.root.command([f"{postfix.DAEMONS}/master", "-s", "-c",
                                  self.home / "config"])


class Relay(Discard):
    name = "postfix-relay"
    twin = True
    title = "Postfix, relaying"
    sink = True
    notes = ("As Postfix; passes each message on to the sink, in clear, over "
             "cached connections.")

    def route(self):
        return (f"relayhost = [127.0.0.1]:{self.sink_port}\n"
                "smtp_tls_security_level = none\n"
                "smtp_host_lookup = native\n"
                "smtp_connection_cache_destinations = [127.0.0.1]\n"
                "default_destination_concurrency_limit = 20")
