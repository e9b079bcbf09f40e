"""A next hop that keeps what it is given, and fails when told to.

    with sink.Sink(chunking=True) as hop:
        ... route {"default": {"next_hop": hop.url(), "tls_ca": ...}}
        hop.wait_for(3)

It runs in a thread of its own. `script` makes it fail: a dictionary from a verb
(CONNECT, EHLO, MAIL, RCPT, DATA, MESSAGE, BDAT) to a list of replies that are
used up one by one before the ordinary answer; the reply "drop" closes the
connection, None is the ordinary answer.
"""

import asyncio
import dataclasses
import re
import ssl
import threading
import time

from . import pki

LINE_MAX = 1 << 20


@dataclasses.dataclass
class Message:
    sender: str
    recipients: list
    data: bytes
    framing: str
    tls: str
    cipher: str


class Dropped(Exception):
    """The script says to hang up."""


class Sink:
    def __init__(self, tls="starttls", chunking=True, pipelining=True,
                 certificate="ecdsa", port=0, script=None, version=None,
                 ciphers=None):
        """`tls`: starttls, implicit or none; `version` ssl.TLSVersion alone,
        when given."""
        self.tls, self.chunking = tls, chunking
        self.pipelining = pipelining
        self.script = {verb: list(replies)
                       for verb, replies in (script or {}).items()}
        self.messages = []
        self.connections = 0
        self.port = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(
            pki.folder() / f"{certificate}.pem",
            pki.folder() / f"{certificate}-key.pem")
        if version:
            self.context.minimum_version = version
            self.context.maximum_version = version
        if ciphers:
            self.context.set_ciphers(ciphers)
        self.ready = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        self.ready.wait(10)
        if self.failure:
            raise self.failure

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.ended.set)
            self.thread.join(10)

    def url(self):
        scheme = "smtps" if self.tls == "implicit" else "smtp"
        return f"{scheme}://localhost:{self.port}"

    def wait_for(self, count, seconds=20):
        deadline = time.monotonic() + seconds
        while len(self.messages) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"the next hop got {len(self.messages)} "
                                     f"of {count} mails in {seconds} s")
            time.sleep(0.02)
        return self.messages

    # -- in the thread

    def run(self):
        try:
            asyncio.run(self.serve())
        except OSError as error:
            self.failure = error
            self.ready.set()

    async def serve(self):
        self.loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self.tasks = set()
        server = await asyncio.start_server(
            self.accept, "127.0.0.1", self.port, limit=LINE_MAX,
            ssl=self.context if self.tls == "implicit" else None)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.ended.wait()
        server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def accept(self, reader, writer):
        self.connections += 1
        self.tasks.add(task := asyncio.current_task())
        try:
            await Session(self, reader, writer).talk()
        except (Dropped, OSError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    def answer(self, verb, ordinary):
        replies = self.script.get(verb)
        scripted = replies.pop(0) if replies else None
        if scripted == "drop":
            raise Dropped
        return scripted or ordinary


class Session:
    def __init__(self, sink, reader, writer):
        self.sink, self.reader, self.writer = sink, reader, writer
        self.encrypted = sink.tls == "implicit"
        self.forget()

    def forget(self):
        self.sender, self.recipients, self.chunks = None, [], []

    async def reply(self, verb, ordinary):
        """Sends the reply; True when it says yes."""
        text = self.sink.answer(verb, ordinary)
        self.writer.write(text.encode() + b"\r\n")
        await self.writer.drain()
        return text[0] in "23"

    async def talk(self):
        await self.reply("CONNECT", "220 sink.test ESMTP")
        while line := await self.reader.readline():
            verb = line.split()[0].decode(errors="replace").upper() \
                if line.strip() else ""
            if verb == "QUIT":
                await self.reply(verb, "221 bye")
                return
            act = getattr(self, "on_" + verb.lower(), None)
            if act:
                await act(line.decode("utf-8", "surrogateescape").strip())
            else:
                await self.reply(verb, "500 what?")

    async def on_ehlo(self, _):
        sink = self.sink
        names = ["sink.test", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
                 "SIZE 2000000000"]
        names += ["CHUNKING"] if sink.chunking else []
        names += ["PIPELINING"] if sink.pipelining else []
        if sink.tls == "starttls" and not self.encrypted:
            names.append("STARTTLS")
        lines = [f"250-{name}" for name in names[:-1]] + [f"250 {names[-1]}"]
        await self.reply("EHLO", "\r\n".join(lines))

    async def on_starttls(self, _):
        if await self.reply("STARTTLS", "220 go ahead"):
            await self.writer.start_tls(self.sink.context)
            self.encrypted = True
            self.forget()

    async def on_mail(self, line):
        if await self.reply("MAIL", "250 2.1.0 ok"):
            self.sender = re.search(r"<(.*?)>", line)[1]

    async def on_rcpt(self, line):
        if await self.reply("RCPT", "250 2.1.5 ok"):
            self.recipients.append(re.search(r"<(.*?)>", line)[1])

    async def on_rset(self, _):
        self.forget()
        await self.reply("RSET", "250 2.0.0 ok")

    async def on_noop(self, _):
        await self.reply("NOOP", "250 2.0.0 ok")

    async def on_data(self, _):
        if not self.recipients:
            await self.reply("DATA", "554 5.5.1 no recipients")
            return
        if not await self.reply("DATA", "354 go"):
            return
        lines = []
        while (line := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        await self.keep(b"".join(lines), "DATA")

    async def on_bdat(self, line):
        words = line.split()
        self.chunks.append(await self.reader.readexactly(int(words[1])))
        if words[-1].upper() == "LAST":
            await self.keep(b"".join(self.chunks), "BDAT")
        else:
            await self.reply("BDAT", "250 2.0.0 ok")

    async def keep(self, data, framing):
        tls = self.writer.get_extra_info("ssl_object")
        message = Message(self.sender, self.recipients, data, framing,
                          tls.version() if tls else "",
                          tls.cipher()[0] if tls else "")
        self.forget()
        if not message.recipients:
            await self.reply("MESSAGE", "554 5.5.1 no recipients")
        elif await self.reply("MESSAGE", "250 2.0.0 kept"):
            self.sink.messages.append(message)
