"""Exim 4.96 after its specification's hints for busy servers: a split spool,
no message logs, no limit on messages per connection before it queues."""

import os

from runner import peer

CONFIG = """
primary_hostname = exim.test
exim_path = /usr/sbin/exim4
spool_directory = {home}/spool
log_file_path = {home}/log/%slog
pid_file_path = {home}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_on_connect_ports = {port}
tls_advertise_hosts = *
tls_certificate = {home}/chain.pem
tls_privatekey = {home}/key.pem
chunking_advertise_hosts = *
acl_smtp_rcpt = acl_accept
acl_smtp_data = acl_accept
host_lookup =
helo_allow_chars = _
rfc1413_query_timeout = 0s
message_size_limit = 60M

split_spool_directory
no_message_logs
smtp_accept_max = {most}
smtp_accept_max_nonmail = 1000000
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 1024

begin acl
acl_accept:
  accept

begin routers
all:
  driver = redirect
  data = :blackhole:

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and {{{{eq{{$auth2}}{{{user}}}}} \
{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
"""


class Discard(peer.Unpacked):
    name = "exim"
    title = "Exim"
    fetched = "exim"
    package = "exim4-daemon-light"
    auth = True
    most = 1000
    notes = ("250 after the sync of the spool files; a process per connection "
             "and one per delivery, which drops the message; TLS by GnuTLS.")

    def configure(self):
        owner = self.root.uid("Debian-exim")
        for name in ("spool", "log"):
            (self.home / name).mkdir()
            os.chown(self.home / name, owner, owner)
        config = self.write("etc/exim4/exim4.conf", CONFIG.format(
            home=self.home, port=self.port, user=peer.USER,
            password=peer.PASSWORD, most=max(200, self.capacity + 20)))
        os.chown(config, 0, 0)
        config.chmod(0o644)
        return self.root.command(["/usr/sbin/exim4", "-bdf"])
