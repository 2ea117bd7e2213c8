"""Webhook channel: a delivery arrives signed, and never reaches where it must not."""

import asyncio
import json
import socket
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook as Verifier

from deploy.servers.ports import free_port
from services.notify.channels.channel import confirmed
from services.notify.channels.task import TaskSender
from services.notify.channels.webhook import WebhookSender
from shared.egress import MAX_ANSWER_BYTES, Egress, Forbidden
from shared.networks import networks
from tests.service.notify.doors import Requests, web_server
from tests.service.notify.test_email_channel import delivery

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LOOPBACK = networks("127.0.0.0/8")


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  the verifier compares with the machine's clock


def channel(url: str, egress: Egress | None = None) -> WebhookSender:
    return WebhookSender(egress or Egress(LOOPBACK), url, SECRET, now)


async def test_a_webhook_arrives_signed_with_the_id_of_its_delivery():
    seen: Requests = []
    async with web_server(OK, seen) as port:
        receipt = await channel(f"http://127.0.0.1:{port}/hook?x=1").send(delivery(), confirmed)
    ((line, headers, body),) = seen
    assert receipt.outcome == "accepted"
    assert line == "POST /hook?x=1 HTTP/1.1"
    assert headers["webhook-id"] == delivery().id
    assert Verifier(SECRET).verify(body, headers)["data"]["play"] == "welcome"
    assert "acme.test" not in body.decode()
    assert json.loads(body)["type"] == "waymark.outreach"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("204 No Content", "accepted"),
        ("500 Oops", "retry_idempotent"),
        ("429 Slow", "retry"),
        ("404 No", "refused"),
        ("410 Gone", "refused"),
    ],
)
async def test_the_answer_decides_what_becomes_of_it(status: str, outcome: str):
    async with web_server(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode(), []) as port:
        assert (await channel(f"http://127.0.0.1:{port}/").send(delivery(), confirmed)).outcome == outcome


async def test_a_redirect_is_not_followed():
    other: Requests = []
    first: Requests = []
    async with web_server(OK, other) as there:
        answer = f"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:{there}/\r\ncontent-length: 0\r\n\r\n".encode()
        async with web_server(answer, first) as port:
            receipt = await channel(f"http://127.0.0.1:{port}/").send(delivery(), confirmed)
    assert receipt.outcome == "refused"
    assert (len(first), other) == (1, [])


async def test_an_endless_answer_is_cut():
    async def endless(writer: asyncio.StreamWriter):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    egress = Egress(LOOPBACK)
    async with web_server(endless, []) as port:
        answer = await egress.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert (answer.status, len(answer.body)) == (200, MAX_ANSWER_BYTES)
    await egress.close()


async def test_an_answer_that_never_ends_in_time_is_tried_later():
    async def slow(writer: asyncio.StreamWriter):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with web_server(slow, []) as port:
        egress = Egress(LOOPBACK, seconds=2)
        assert (
            await channel(f"http://127.0.0.1:{port}/", egress).send(delivery(), confirmed)
        ).outcome == "retry_idempotent"


async def test_nobody_listening_is_tried_later():
    assert (await channel(f"http://127.0.0.1:{free_port()}/").send(delivery(), confirmed)).outcome == "retry"


async def test_without_being_allowed_the_machine_itself_is_out_of_reach():
    seen: Requests = []
    async with web_server(OK, seen) as port:
        receipt = await channel(f"http://127.0.0.1:{port}/", Egress()).send(delivery(), confirmed)
    assert receipt.outcome == "refused"
    assert "WAYMARK_EGRESS_ALLOW" in receipt.detail
    assert seen == []


async def test_a_name_is_resolved_once_and_the_checked_address_is_called():
    asked: list[str] = []
    seen: Requests = []

    async def resolver(host: str, _port: int):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async with web_server(OK, seen) as port:
        await Egress(LOOPBACK, resolver).post(f"http://hooks.example.com:{port}/", b"{}", {})
    assert asked == ["hooks.example.com"]
    assert seen[0][1]["host"] == f"hooks.example.com:{port}"


async def test_a_dead_address_among_several_is_passed_over():
    async def resolver(_host: str, _port: int):
        return ["127.0.0.99", "127.0.0.1"]

    async with web_server(OK, []) as port:
        assert (await Egress(LOOPBACK, resolver).post(f"http://two.test:{port}/", b"{}", {})).status == 200


INSIDE = [
    "127.0.0.1",
    "0.0.0.0",  # noqa: S104  to be refused
    "10.1.2.3",
    "172.31.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "64:ff9b:1:a9fe:a9:fe00::",
    "64:ff9b::10.0.0.1",
    "::ffff:0:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "::ffff:0:10.1.2.3",
    "::ffff:192.168.0.1",
    "2606:2800:21f:cb07:0:5efe:169.254.169.254",
    "2606:2800:21f:cb07:200:5efe:10.0.0.1",
    "2606:2800:21f:cb07:100:5efe:10.0.0.1",
    "2606:2800:21f:cb07:300:5efe:127.0.0.1",
    "fe80::5efe:93.184.215.14",
    "2002:5db8:d70e::5efe:10.0.0.1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "fd00:ec2::254",
    "fe80::1%eth0",
    "ff02::1",
]


@pytest.mark.parametrize("address", INSIDE)
async def test_no_way_of_writing_an_inside_address_gets_through(address: str):
    async def resolver(_host: str, _port: int):
        return [address]

    with pytest.raises(Forbidden):
        await Egress(resolver=resolver).check("https://hooks.example.com/")


@pytest.mark.parametrize(
    "address",
    [
        "93.184.215.14",
        "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
        "64:ff9b::5db8:d70e",
        "::ffff:0:5db8:d70e",
        "2606:2800:21f:cb07:0:5efe:5db8:d70e",
    ],
)
async def test_the_open_internet_is_within_reach(address: str):
    async def resolver(_host: str, _port: int):
        return [address]

    assert str((await Egress(resolver=resolver).check("https://hooks.example.com/")).addresses[0]) == address


async def test_a_resolver_that_does_not_answer_is_tried_again():
    async def resolver(_host: str, _port: int):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    receipt = await channel("https://hooks.example.com/", Egress(resolver=resolver)).send(delivery(), confirmed)
    assert (receipt.outcome, "could not be resolved" in receipt.detail) == ("retry", True)


async def test_a_name_that_does_not_exist_is_refused():
    async def resolver(_host: str, _port: int):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    receipt = await channel("https://hooks.example.com/", Egress(resolver=resolver)).send(delivery(), confirmed)
    assert (receipt.outcome, "does not resolve" in receipt.detail) == ("refused", True)


async def test_one_inside_address_among_others_forbids_them_all():
    async def resolver(_host: str, _port: int):
        return ["93.184.215.14", "10.0.0.1"]

    with pytest.raises(Forbidden):
        await Egress(resolver=resolver).check("https://hooks.example.com/")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://hooks.example.com:8443/",
        "ftp://hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https:///path",
        "file:///etc/passwd",
        "not a url",
        "",
    ],
)
async def test_only_plain_https_is_called(url: str):
    async def resolver(_host: str, _port: int):
        return ["93.184.215.14"]

    with pytest.raises(Forbidden):
        await Egress(resolver=resolver).check(url)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "[::1]", "localhost"])
async def test_odd_ways_to_write_this_machine_resolve_to_it_and_are_refused(host: str):
    with pytest.raises(Forbidden):
        await Egress().check(f"https://{host}/")


async def test_a_task_stands_without_anything_leaving():
    assert (await TaskSender().send(delivery(), confirmed)).outcome == "opened"
