"""An SMTP client of our own that says exactly what a test wants said."""

import base64
import re
import socket
import ssl
import time

REPLY = re.compile(rb"(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n")


class Refused(AssertionError):
    """A reply that was not the expected one."""


def context(ca, version=None, ciphers=None, verify=True):
    """TLS settings; `version` ssl.TLSVersion alone, when given."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(ca)
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if version:
        made.minimum_version = made.maximum_version = version
    if ciphers:
        made.set_ciphers(ciphers)
    return made


def stuffed(data):
    """As DATA carries it, the end included."""
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", data) + b".\r\n"


class Client:
    """One session. Methods that expect a reply return its text and raise
    Refused when the code is another."""

    def __init__(self, port, tls=None, name="localhost", timeout=20,
                 host="127.0.0.1", source=None, session=None):
        self.tls, self.name = tls, name
        self.pending = b""
        self.socket = socket.create_connection(
            (host, port), timeout, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.start_tls(session)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def start_tls(self, session=None):
        self.socket = self.tls.wrap_socket(self.socket, session=session,
                                           server_hostname=self.name)

    def abort(self):
        """Closes with a reset: whatever is under way is lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self):
        """The next reply as text; "" when the connection has ended."""
        while True:
            found = REPLY.match(self.pending)
            if found:
                self.pending = self.pending[found.end():]
                return found[0].decode()
            more = self.socket.recv(65536)
            if not more:
                return ""
            self.pending += more

    def expect(self, code, context_text=""):
        reply = self.read()
        if not reply.startswith(str(code)):
            raise Refused(f"{context_text!r}: wanted {code}, got {reply!r}")
        return reply

    def command(self, line, code):
        self.send(line.encode() + b"\r\n")
        return self.expect(code, line)

    def hello(self):
        return self.command("EHLO client.test", 250)

    def login(self, user, password):
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(f"AUTH PLAIN {token}", 235)

    def envelope(self, recipients, sender="demo@example.org", extra=""):
        self.command(f"MAIL FROM:<{sender}>{extra}", 250)
        for recipient in recipients:
            self.command(f"RCPT TO:<{recipient}>", 250)

    def data(self, mail, code=250):
        self.command("DATA", 354)
        self.send(stuffed(mail))
        return self.expect(code, "end of DATA")

    def bdat(self, mail, code=250, chunk=1 << 20):
        pieces = [mail[at:at + chunk] for at in range(0, len(mail), chunk)]
        for piece in pieces[:-1]:
            self.send(b"BDAT %d\r\n" % len(piece) + piece)
            self.expect(250, "BDAT")
        last = pieces[-1] if pieces else b""
        self.send(b"BDAT %d LAST\r\n" % len(last) + last)
        return self.expect(code, "BDAT LAST")

    def submit(self, recipient, mail, framing="data"):
        self.envelope([recipient])
        return getattr(self, framing)(mail)

    def quit(self):
        self.command("QUIT", 221)
        self.close()


def wait_for_port(port, seconds=10, host="127.0.0.1"):
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), 1).close()
            return True
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
