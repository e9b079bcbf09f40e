"""Scenarios: what bench/scenarios/ says, one file each.

    title, question, text   for the report
    unit                    what a cost is per: message, gigabyte, handshake,
                            connection
    seconds                 measured, each time
    peers                   those alone that it is about, where it is not about
                            all that can be compared
    relays                  optional; false: not against servers that differ from
                            another in relaying alone
    parts                   measured one after the other on the same server:
        name    where there are several
        load    sluice-load's options
        beside  those of a second one that runs meanwhile
        rate    open loop at a share of what the server reached in `of`
        bytes   the size, where that is what the parts differ in
        programs  whether the server's BPF programs are timed, too
"""

import dataclasses
import pathlib
import re
import shlex
import tomllib

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "scenarios"
UNITS = ("message", "gigabyte", "handshake", "connection")


class Wrong(Exception):
    """A scenario's file says something that means nothing."""


@dataclasses.dataclass(frozen=True)
class Part:
    load: tuple
    name: str = ""
    beside: tuple = ()
    rate_of: str = ""
    share: float = 0.0
    size_bytes: int = 0
    programs: bool = False

    def connections(self):
        """How many the server must take at once."""
        return sum(int(options[options.index("--connections") + 1])
                   for options in (self.load, self.beside)
                   if "--connections" in options)

    def limited(self, most):
        """The same with at most so many connections."""
        options = list(self.load)
        if "--connections" in options:
            at = options.index("--connections") + 1
            options[at] = str(min(int(options[at]), most))
        return dataclasses.replace(self, load=tuple(options))


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    question: str
    text: str
    unit: str
    seconds: float
    parts: tuple
    relays: bool = True
    peers: tuple = ()

    def capacity(self):
        return max(part.connections() for part in self.parts)


def read_part(path, table):
    known = {"name", "load", "beside", "rate", "bytes", "programs"}
    if set(table) - known or "load" not in table:
        raise Wrong(f"{path}: a part has load and {sorted(known - {'load'})},"
                    f" not {sorted(set(table) - known)}")
    rate = table.get("rate", {})
    return Part(tuple(shlex.split(table["load"])), table.get("name", ""),
                tuple(shlex.split(table.get("beside", ""))),
                rate.get("of", ""), float(rate.get("share", 0)),
                table.get("bytes", 0), table.get("programs", False))


def read(path):
    table = tomllib.loads(path.read_text())
    parts = tuple(read_part(path, part) for part in table.pop("parts", []))
    fields = {field.name for field in dataclasses.fields(Scenario)}
    if set(table) | {"relays", "peers"} != fields - {"name", "parts"}:
        raise Wrong(f"{path}: needs exactly {sorted(fields - {'name'})},"
                    " of which relays and peers may be left out")
    if table["unit"] not in UNITS:
        raise Wrong(f"{path}: unit is one of {', '.join(UNITS)}")
    if not parts or len({part.name for part in parts}) != len(parts):
        raise Wrong(f"{path}: needs parts, each with a name of its own")
    who = tuple(table.pop("peers", ()))
    return Scenario(path.stem, parts=parts, peers=who, **table)


def read_all(folder=FOLDER):
    """By name, in order."""
    paths = sorted(folder.glob("*.toml"), key=lambda path: [
        int(word) if word.isdigit() else word
        for word in re.split(r"(\d+)", path.stem)])
    return {path.stem: read(path) for path in paths}
