"""Debian's servers without installing them: a root made of what scripts/fetch
unpacked, seen only by the processes started in it.

/usr is the fetched one, read-only; /etc is a copy with users of ours; the
server's scratch folder keeps its name; /dev holds what servers ask for, and
/dev/log a socket that a process outside drains, as syslogd would.
"""

import os
import pathlib
import shutil
import subprocess
import sys

SCRIPT = """
usr=$1 home=$2 root=$2/root; shift 2
mount -t tmpfs -o mode=755 bench "$root"
cd "$root"
mkdir usr etc proc dev run var
mkdir -m 1777 tmp
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
mount --bind "$usr" usr
mount -o remount,bind,ro usr
mount --bind "$home/etc" etc
mount --rbind /proc proc
for name in null zero full random urandom; do
    : >dev/$name
    mount --bind /dev/$name dev/$name
done
: >dev/log
[ ! -S "$home/syslog" ] || mount --bind "$home/syslog" dev/log
mkdir -p ".$home"
mount --bind "$home" ".$home"
exec chroot . "$@"
"""
USERS = ("root:0", "daemon:1", "mail:8", "nobody:65534", "www-data:33",
         "postfix:981", "postdrop:982", "Debian-exim:983", "haproxy:984",
         "nogroup:65534")
DRAIN = """
import os, socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
with open(sys.argv[2], "wb", 0) as out:
    print("ready", flush=True)
    while True:
        out.write(log.recv(8192) + b"\\n")
"""


def missing():
    return None if os.geteuid() == 0 else "only root may change its root"


def fetch(name):
    """The folder that scripts/fetch made of it; RuntimeError says why not."""
    script = pathlib.Path(__file__).resolve().parents[2] / "scripts/fetch"
    done = subprocess.run([script, name], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rsplit("\n", 1)[-1])
    return pathlib.Path(done.stdout.strip())


def version(folder, package):
    """Debian's version of one of the fetched packages."""
    for line in (folder / "packages").read_text().split():
        name, number = line.split("_")[:2]
        if name == package:
            return number.replace("%3a", ":")
    return "?"


class Root:
    def __init__(self, fetched, home):
        self.fetched, self.home = fetched, home
        shutil.copytree(fetched / "root/etc", home / "etc", symlinks=True)
        (home / "root").mkdir()
        pairs = [user.split(":") for user in USERS]
        (home / "etc/passwd").write_text("".join(
            f"{name}:x:{n}:{n}::/:/bin/false\n" for name, n in pairs))
        (home / "etc/group").write_text("".join(
            f"{name}:x:{n}:\n" for name, n in pairs))
        (home / "etc/hosts").write_text("127.0.0.1 localhost\n")
        (home / "etc/nsswitch.conf").write_text(
            "passwd: files\ngroup: files\nhosts: files\n")
        (home / "etc/resolv.conf").write_text("")
        self.drain = subprocess.Popen(
            [sys.executable, "-c", DRAIN, home / "syslog", home / "syslog.txt"],
            stdout=subprocess.PIPE)
        self.drain.stdout.readline()

    def uid(self, name):
        return next(int(n) for user, n in (u.split(":") for u in USERS)
                    if user == name)

    def command(self, arguments):
        return ["unshare", "--mount", "--propagation", "private", "sh", "-eu",
                "-c", SCRIPT, "root", str(self.fetched / "root/usr"),
                str(self.home), *map(str, arguments)]

    def close(self):
        self.drain.kill()
        self.drain.wait()
        self.drain.stdout.close()
