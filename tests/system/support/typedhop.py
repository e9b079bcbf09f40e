"""A next hop made of `openssl s_server`, whose end of the SMTP session is typed:
slow, one connection at a time, but it changes its keys when told to.

    with typedhop.TypedHop("-tls1_3", updates={2: b"K"}) as hop:
        ... route {"default": {"next_hop": hop.url(), "tls_ca": ...}}

`updates` says at whose MAIL, counted from 1, it asks for new keys first: k for
its own alone, K for those of both. With `lost` a client cannot follow and leaves:
its MAIL is not answered, or the answer would come to its next connection.
"""

import re
import threading

from . import console, pki

LINE = re.compile(rb"(CIPHER is|EHLO|MAIL|RCPT|RSET|BDAT|QUIT)\b[^\n]*\n")
REPLIES = {b"CIPHER is": b"220 typed.test ESMTP\r\n",
           b"EHLO": b"250-typed.test\r\n250-SIZE 90000000\r\n250 CHUNKING\r\n",
           b"MAIL": b"250 2.1.0 ok\r\n", b"RCPT": b"250 2.1.5 ok\r\n",
           b"RSET": b"250 2.0.0 ok\r\n", b"QUIT": b"221 2.0.0 bye\r\n"}


class TypedHop:
    def __init__(self, *options, port, updates=None, lost=False):
        self.port, self.updates, self.lost = port, updates or {}, lost
        self.bodies = []       # as they came
        self.recipients = []   # of each
        self.connections = self.mails = 0
        self.cipher = ""
        folder = pki.folder()
        # Of a change of keys it tells by printf, which a pipe would hold up.
        self.program = console.Console(
            "stdbuf", "-oL", "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert",
            folder / "ecdsa.pem", "-key", folder / "ecdsa-key.pem", *options)
        self.program.wait_for("^ACCEPT")
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.process.kill()
        self.thread.join(10)
        self.program.close()

    def url(self):
        return f"smtps://localhost:{self.port}"

    def run(self):
        """Until it is killed."""
        try:
            while True:
                self.answer(self.line())
        except (AssertionError, OSError, ValueError):
            pass

    def line(self):
        """What is printed beside the client's lines is passed over."""
        found = self.program.wait_for(LINE.pattern.decode(), 300)
        return found.encode()

    def answer(self, line):
        verb = LINE.match(line)[1]
        if verb == b"CIPHER is":
            self.cipher = line.split()[-1].decode()
            self.connections += 1
        elif verb == b"MAIL":
            self.mails += 1
            if self.change_keys() and self.lost:
                return
        elif verb == b"RCPT":
            self.recipient = re.search(rb"<(.*?)>", line)[1].decode()
        elif verb == b"BDAT":
            self.keep(int(line.split()[1]))
            self.program.say(b"250 2.0.0 kept\r\n")
            return
        self.program.say(REPLIES[verb])

    def change_keys(self):
        letter = self.updates.get(self.mails)
        if letter:
            self.program.say(letter + b"\n")
            self.program.wait_for("^SSL_do_handshake -> 1")
        return letter

    def keep(self, length):
        program = self.program
        while len(program.told) < program.at + length:
            if not program.more(30):
                raise AssertionError("the body ends early")
        self.bodies.append(program.told[program.at:program.at + length])
        self.recipients.append(self.recipient)
        program.at += length
