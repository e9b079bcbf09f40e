"""nginx's mail proxy in front of the sink. The authentication that it asks by
HTTP is answered by its own HTTP server."""

from runner import peer
from support import gateway

CONFIG = """
load_module modules/ngx_mail_module.so;
daemon off;
user www-data;
worker_processes auto;
worker_rlimit_nofile 100000;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{
    worker_connections {most};
}}
http {{
    access_log off;
    client_body_temp_path {home}/temp;
    proxy_temp_path {home}/temp;
    fastcgi_temp_path {home}/temp;
    uwsgi_temp_path {home}/temp;
    scgi_temp_path {home}/temp;
    server {{
        listen 127.0.0.1:{http};
        location = /auth {{
            add_header Auth-Status OK;
            add_header Auth-Server 127.0.0.1;
            add_header Auth-Port {sink};
            return 204;
        }}
    }}
}}
mail {{
    server_name nginx.test;
    auth_http 127.0.0.1:{http}/auth;
    smtp_client_buffer 64k;
    proxy_buffer 64k;
    proxy_pass_error_message on;
    xclient off;
    smtp_auth plain;
    smtp_capabilities PIPELINING CHUNKING 8BITMIME SMTPUTF8;
    ssl_certificate {home}/chain.pem;
    ssl_certificate_key {home}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:16m;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        protocol smtp;
        timeout 1h;
        proxy_timeout 1h;
    }}
}}
"""


class Mail(peer.Unpacked):
    name = "nginx"
    title = "nginx mail"
    kind = peer.PASS_THROUGH
    fetched = "nginx"
    package = "nginx"
    sink = auth = True
    # With buffers of a page, as by default, 4 KB of mail are passed on in two
    # writes, and the second waits 40 ms for a delayed acknowledgement: there
    # is no TCP_NODELAY towards the next hop, and nothing to set it.
    notes = ("Ends TLS, takes the login, then passes bytes on to the sink, "
             "whose CPU is not counted. Buffers of 64 KiB; what is larger goes "
             "on in several writes and waits for delayed acknowledgements.")

    def configure(self):
        config = self.write("nginx.conf", CONFIG.format(
            home=self.home, port=self.port, sink=self.sink_port,
            http=gateway.free_ports(1)[0],
            most=max(8192, 3 * self.capacity)))
        return self.root.command(["/usr/sbin/nginx", "-c", config])
