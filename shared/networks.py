"""Networks that are not the open internet, also for addresses wrapped in other addresses.

Not `ipaddress.is_global`: it takes NAT64 of a private address, and multicast, for global.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "a private network"),
    ("100.64.0.0/10", "a carrier's network"),
    ("127.0.0.0/8", "this machine"),
    ("168.63.129.16/32", "a cloud's own service"),
    ("169.254.0.0/16", "a link-local address"),
    ("172.16.0.0/12", "a private network"),
    ("192.0.0.0/24", "a reserved network"),
    ("192.0.2.0/24", "a documentation network"),
    ("192.88.99.0/24", "a reserved network"),
    ("192.168.0.0/16", "a private network"),
    ("198.18.0.0/15", "a test network"),
    ("198.51.100.0/24", "a documentation network"),
    ("203.0.113.0/24", "a documentation network"),
    ("224.0.0.0/4", "a multicast address"),
    ("240.0.0.0/4", "a reserved network"),
    ("::/96", "a reserved network"),
    ("100::/64", "a discard network"),
    ("64:ff9b:1::/48", "a private network"),
    ("2001::/23", "a reserved network"),
    ("2001:db8::/32", "a documentation network"),
    ("3fff::/20", "a documentation network"),
    ("5f00::/16", "a reserved network"),
    ("fc00::/7", "a private network"),
    ("fe80::/10", "a link-local address"),
    ("fec0::/10", "a private network"),
    ("ff00::/8", "a multicast address"),
)
_NETWORKS = tuple((ip_network(text), why) for text, why in _NOT_PUBLIC)
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("::ffff:0:0:0/96"))
"""NAT64, and the IPv4-translated addresses of SIIT (RFC 2765): the last 32 bits are an IPv4 address."""
_ISATAP = frozenset({0x00005EFE, 0x01005EFE, 0x02005EFE, 0x03005EFE})
"""What stands before the IPv4 address in the last 64 bits of an ISATAP address (RFC 5214), in any network."""
_LOWER_HALF = 0xFFFFFFFF


def forbidden(address: Address) -> str:
    """What is there that nobody may call, empty for the open internet."""
    for inner in _unwrapped(address):
        for network, why in _NETWORKS:
            if inner.version == network.version and inner in network:
                return why
    return ""


def parsed(text: str) -> Address:
    """The address, without the zone some resolvers append. Raises ValueError."""
    return ip_address(text.partition("%")[0])


def networks(text: str) -> list[Network]:
    """`10.0.0.0/8, ::1/128` as networks. Raises ValueError naming the one that is none."""
    return [ip_network(part.strip()) for part in text.split(",") if part.strip()]


def _unwrapped(address: Address) -> Iterable[Address]:
    """The address, and every IPv4 address it stands for: mapped, NAT64, SIIT, 6to4, Teredo, ISATAP."""
    yield address
    if isinstance(address, IPv6Address):
        yield from filter(None, (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())))
        translated = any(address in network for network in _TRANSLATED)
        if translated or int(address) >> 32 & _LOWER_HALF in _ISATAP:
            yield IPv4Address(int(address) & _LOWER_HALF)
