"""Certificates for the tests, made once per build folder with openssl.

    ca.pem                   signs all of the others
    ecdsa, rsa               localhost, 127.0.0.1 and ::1
    renewed                  localhost again, another serial number (reload)
    other                    other.test, for the choice by name
Each NAME has NAME.pem and NAME-key.pem.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

EC = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
RSA = ["rsa:2048"]
LOCAL = "DNS:localhost,IP:127.0.0.1,IP:::1"
LEAVES = {"ecdsa": (EC, "localhost", LOCAL), "rsa": (RSA, "localhost", LOCAL),
          "renewed": (EC, "localhost", LOCAL),
          "other": (EC, "other.test", "DNS:other.test")}


def build_folder():
    root = pathlib.Path(__file__).resolve().parents[3]
    return pathlib.Path(os.environ.get("SLUICE_BUILD") or
                        root / "build" / "release").resolve()


def openssl(*arguments, folder):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True,
                   capture_output=True)


def make_leaf(folder, name, kind, subject, names):
    openssl("req", "-new", "-nodes", "-newkey", *kind, "-subj",
            f"/CN={subject}", "-keyout", f"{name}-key.pem", "-out",
            f"{name}.csr", folder=folder)
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={names}\n"
                          "extendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", f"{name}.csr", "-days", "30", "-CA",
            "ca.pem", "-CAkey", "ca-key.pem", "-set_serial",
            "0x" + os.urandom(15).hex(), "-extfile", extensions, "-out",
            f"{name}.pem", folder=folder)


def make(folder):
    openssl("req", "-x509", "-nodes", "-newkey", *EC, "-days", "30", "-subj",
            "/CN=Sluice tests", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "ca-key.pem",
            "-out", "ca.pem", folder=folder)
    for name, (kind, subject, names) in LEAVES.items():
        make_leaf(folder, name, kind, subject, names)
    for path in folder.iterdir():
        path.chmod(0o644)


def is_fresh(folder):
    """Good for another day?"""
    return subprocess.run(
        ["openssl", "x509", "-noout", "-checkend", "86400", "-in",
         folder / "renewed.pem"], capture_output=True).returncode == 0


def folder():
    """The folder of the certificates; made when it is missing or too old."""
    ready = build_folder() / "pki"
    if is_fresh(ready):
        return ready
    ready.parent.mkdir(parents=True, exist_ok=True)
    fresh = pathlib.Path(tempfile.mkdtemp(prefix="pki-", dir=ready.parent))
    make(fresh)
    fresh.chmod(0o755)
    shutil.rmtree(ready, ignore_errors=True)
    fresh.rename(ready)
    return ready
