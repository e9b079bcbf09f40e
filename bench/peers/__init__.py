"""The servers that can be compared, in the order of the report."""

from . import exim, floor, haproxy, haraka, nginx, postfix, sluice

ALL = (sluice.Discard, sluice.Relay, sluice.Userspace, sluice.Lanes,
       sluice.LanesApart, floor.Log, postfix.Discard, postfix.Relay, exim.Discard, floor.Discard,
       haproxy.Stable, haproxy.Newest, nginx.Mail, haraka.Outbound,
       haraka.Forward)
OWN = ("sluice", "sluice-relay", "sluice-userspace", "sluice-lanes",
       "sluice-lanes-apart", "floor-log", "floor-discard")


def by_name(name):
    return next((kind for kind in ALL if kind.name == name), None)
