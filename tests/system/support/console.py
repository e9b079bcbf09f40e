"""A program that is talked to by its standard input, as one would type.

    with console.Console("openssl", "s_client", ...) as typed:
        typed.wait_for("^220 ")
        typed.say(b"EHLO client.test\\r\\n")
"""

import os
import re
import select
import subprocess
import time


class Console:
    def __init__(self, *command):
        self.process = subprocess.Popen(
            [str(word) for word in command], bufsize=0, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.told = b""  # all of it
        self.at = 0      # what was waited for already

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def say(self, data):
        while data:
            data = data[self.process.stdin.write(data):]

    def more(self, seconds):
        """Reads what it prints next; False when it prints no more."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
        self.told += data
        return bool(data)

    def wait_for(self, pattern, seconds=30):
        """The first match behind the one before; it is looked for in lines."""
        wanted = re.compile(pattern.encode(), re.M)
        deadline = time.monotonic() + seconds
        while not (found := wanted.search(self.told, self.at)):
            left = deadline - time.monotonic()
            if left < 0 or not self.more(left):
                raise AssertionError(f"no {pattern!r} in what was printed: "
                                     f"{self.told[self.at:][-2000:]!r}")
        self.at = found.end()
        return found[0].decode(errors="replace")

    def rest(self, seconds=30):
        """Waits until it ends; what it printed since the last match."""
        deadline = time.monotonic() + seconds
        while self.more(max(deadline - time.monotonic(), 0)):
            pass
        return self.told[self.at:].decode(errors="replace")
