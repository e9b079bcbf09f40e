"""The floors: what plain C over epoll and OpenSSL costs without SMTP's duties.
bench/floor/ says what they do."""

from runner import peer
from support import gateway


class Discard(peer.Peer):
    name = "floor-discard"
    title = "Floor: discard"
    kind = peer.PASS_THROUGH
    auth = True
    notes = "Plain C: finds the message's end, drops it, says 250."

    @classmethod
    def version(cls):
        return "bench/floor"

    def mode(self):
        return ["--discard"]

    def configure(self):
        return [gateway.program("bench/floor/floor"), *self.mode(),
                "127.0.0.1", self.port, "chain.pem", "key.pem"]


class Log(Discard):
    name = "floor-log"
    twin = True
    title = "Floor: log"
    kind = peer.DURABLE
    notes = ("Plain C: appends the message to a log, says 250 after one "
             "fdatasync for all that came meanwhile.")

    def mode(self):
        (self.home / "log").mkdir()
        return ["--log", "log"]
