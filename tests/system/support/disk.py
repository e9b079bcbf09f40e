"""A small disk of a test's own: a tmpfs in a private mount namespace, so that
it can be filled without harm and is gone with the daemon."""

import os
import shutil
import subprocess

from . import gateway

SCRIPT = '''
mount -t tmpfs -o "$1" sluice-test "$2" || exit
[ "$3" = no ] || cat /dev/zero >"$2/ballast" 2>/dev/null
shift 3
exec "$@"
'''


def missing():
    """Why there can be none here, or None."""
    if os.geteuid():
        return "mounting needs root"
    if not shutil.which("unshare") or subprocess.run(
            ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
            capture_output=True).returncode:
        return "no private mount namespaces here"
    return None


class SmallDisk(gateway.Gateway):
    """A gateway whose spool lies on a tmpfs of `size`."""

    def __init__(self, size="8m", mount_options="", full=False, **overrides):
        options = f"size={size},mode=777" + mount_options
        spool = {"reserve": 0, "segment_size": "1M",
                 **overrides.pop("spool", {})}
        self.size = size
        start = overrides.pop("start", True)
        super().__init__(start=False, spool=spool, **overrides)
        self.prefix = ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", options,
                       str(self.folder / "spool"), "yes" if full else "no"]
        if start:
            self.start()

    def seen_inside(self):
        """The spool as the daemon sees it."""
        return f"/proc/{self.process.pid}/root{self.folder}/spool"

    def fill(self, leave=0):
        """Takes all the room but `leave` bytes."""
        ballast = os.open(self.seen_inside() + "/ballast",
                          os.O_CREAT | os.O_WRONLY)
        taken = 0
        try:
            while True:
                taken += os.write(ballast, bytes(65536))
        except OSError:
            os.ftruncate(ballast, max(taken - leave, 0))
        finally:
            os.close(ballast)

    def make_room(self):
        os.unlink(self.seen_inside() + "/ballast")
