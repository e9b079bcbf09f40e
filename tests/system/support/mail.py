"""Mails: the corpus, mails of our own, and what a Maildir holds of them."""

import email.message
import email.policy
import hashlib
import os
import pathlib
import re
import time

CORPUS = pathlib.Path(__file__).resolve().parents[2] / "corpus"
NOT_MAIL = ("ORIGIN.md",)

FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
TRACE = re.compile(rb"Return-Path: <[^\r\n]*>\r\n"
                   rb"((?:Delivered-To: [^\r\n]+\r\n)+)"
                   rb"Received: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")
RECEIVED = re.compile(rb"Received: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")
MISSING = re.compile(rb"(?P<crlf>\r\n)?"
                     rb"(?P<date>Date: [^\r\n]+\r\n)?"
                     rb"(?P<id>Message-ID: <[^\r\n<>@]+@[^\r\n<>@]+>\r\n)?")


class Altered(AssertionError):
    """A mail did not arrive as it was sent."""


def canonical(data):
    """With CRLF line ends, as SMTP carries it; the last line gets one too."""
    data = re.sub(rb"(?<!\r)\n", b"\r\n", data)
    return data if data.endswith(b"\r\n") or not data else data + b"\r\n"


def corpus():
    """(name, bytes as SMTP carries them) of each mail of the corpus."""
    return [(path.name, canonical(path.read_bytes()))
            for path in sorted(CORPUS.iterdir())
            if path.name not in NOT_MAIL and not path.name.startswith(".")]


def expected_refusal(data):
    """The documented reply for bytes that no mail may hold; None: none."""
    if b"\0" in data:
        return "550 5.6.0 NUL in message"
    if re.search(rb"\r(?!\n)", data):
        return "550 5.6.0 bare CR in message"
    return None


def with_attachment(subject="a mail with an attachment", seed=1):
    """A mail whose body has what is easily broken on the way: lines that
    begin with dots, an empty first line, 8-bit text, a long line."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = "demo@example.org"
    message["To"] = "you@example.net"
    message["Subject"] = subject
    message["Date"] = "Fri, 20 Nov 2026 12:00:00 +0000"
    message["Message-ID"] = f"<{seed}.sluice@example.org>"
    message.set_content("\n.\n..\n.hidden\nplain\n" + "x" * 900 + "\n")
    noise = b"".join(hashlib.sha256(b"%d %d" % (seed, n)).digest()
                     for n in range(1000))
    message.add_attachment(noise, maintype="application",
                           subtype="octet-stream", filename="noise.bin")
    return canonical(message.as_bytes())


def plain(subject="hello", body="hello\r\n", size=0):
    """A small complete mail; padded with lines to about `size` bytes."""
    head = (f"From: demo@example.org\r\nTo: you@example.net\r\n"
            f"Subject: {subject}\r\nDate: Fri, 20 Nov 2026 12:00:00 +0000\r\n"
            f"Message-ID: <{os.urandom(8).hex()}@example.org>\r\n\r\n{body}")
    data = head.encode()
    line = b"0123456789abcdef" * 4 + b"\r\n"
    return data + line * max((size - len(data)) // len(line), 0)


# ---- what the gateway adds --------------------------------------------------

def header_end(data):
    """Offset of the end of the header section: the empty line, or the first
    line that is neither a field nor the continuation of one. Mails out of an
    mbox file begin with a separator line; it is passed over."""
    at = 0
    while at < len(data):
        end = data.find(b"\r\n", at)
        end = len(data) if end < 0 else end + 2
        line = data[at:end]
        if line == b"\r\n":
            break
        inside = line[:1] in b" \t" if at else line.startswith(b"From ")
        if not FIELD.match(line) and not inside:
            break
        at = end
    return at


def has_field(data, name):
    head = b"\r\n" + data[:header_end(data)]
    return re.search(rb"\r\n" + name + rb"[ \t]*:", head, re.I) is not None


def check_missing(added, sent):
    """The fields that were added are those that were missing."""
    found = MISSING.fullmatch(added)
    if not found:
        raise Altered(f"unknown addition {added!r}")
    for group, name in (("date", b"Date"), ("id", b"Message-ID")):
        if (found[group] is None) != has_field(sent, name):
            raise Altered(f"{name.decode()}: added {found[group]!r}, present "
                          f"before: {has_field(sent, name)}")


def check_arrived(stored, sent):
    """Raises Altered unless `stored` is `sent` with the trace on top and the
    missing fields at the end of the header section, and nothing else."""
    trace = RECEIVED.match(stored) or TRACE.match(stored)
    if not trace:
        raise Altered(f"no trace on top: {stored[:200]!r}")
    rest = stored[trace.end():]
    at = header_end(sent)
    added_n = len(rest) - len(sent)
    if added_n < 0 or rest[:at] != sent[:at] or rest[at + added_n:] != sent[at:]:
        raise Altered(difference(rest, sent))
    check_missing(rest[at:at + added_n], sent)


def difference(got, wanted):
    """Where two texts part, for a failure's message."""
    at = len(os.path.commonprefix([got, wanted]))
    return (f"{len(got)} bytes came, {len(wanted)} were sent; they part at "
            f"{at}: came {got[at:at + 80]!r}, sent {wanted[at:at + 80]!r}")


# ---- a Maildir --------------------------------------------------------------

class Maildir:
    """Reads each new file once; mails are told apart by their recipients."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.seen = {}
        self.mails = {}

    def scan(self):
        new = self.path / "new"
        for entry in os.scandir(new) if new.is_dir() else ():
            if entry.name in self.seen or entry.name.startswith("."):
                continue
            data = pathlib.Path(entry.path).read_bytes()
            found = TRACE.match(data)
            if not found:
                raise Altered(f"{entry.path}: no trace on top: {data[:200]!r}")
            self.seen[entry.name] = entry.stat().st_ctime
            for line in found[1].decode().splitlines():
                self.mails.setdefault(line.split(": ", 1)[1], []).append(
                    (entry.name, data))
        return self.mails

    def wait_for(self, recipients, seconds=20):
        """The mails of all of these recipients; fails when one is late."""
        deadline = time.monotonic() + seconds
        while True:
            there = self.scan()
            late = [r for r in recipients if r not in there]
            if not late:
                return {r: self.mails[r][0][1] for r in recipients}
            if time.monotonic() > deadline:
                raise AssertionError(f"not delivered after {seconds} s: "
                                     f"{len(late)} of {len(recipients)}, "
                                     f"first {late[:3]}")
            time.sleep(0.02)

    def count(self):
        self.scan()
        return len(self.seen)
