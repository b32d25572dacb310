"""Many small requests at once: what goes well is answered, whatever does not is told to have failed, and nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from neuro_sdk._errors import IllegalArgumentError
from neuro_sdk._http import HttpClient, Origin, Request, Timeouts
from neuro_sdk._http._burst import ANSWER_BYTES, LANES_AT_FIRST, LANES_AT_LEAST, LANES_AT_MOST
from neuro_sdk._http._head import build_head

from .http_servers import answering, ok, once, read_request, serving, silent, until

_SOMEWHERE = Origin.parse("http://h")  # a burst goes to its own origin


@dataclass
class Ask:
    """A job that keeps what came of it."""

    target: str = "/"
    body: bytes = b""
    got: list[tuple[int, bytes] | None] = field(default_factory=list)

    def request(self) -> Request | None:
        if self.target == "/none":
            return None
        method = "PUT" if self.body else "GET"
        head = build_head(method, self.target, "h", [("x-test", "plain")], len(self.body))
        return Request(_SOMEWHERE, method, self.target, head.decode("latin-1"), self.body)

    def answered(self, status: int, headers: bytes, body: bytes) -> None:
        self.got.append((status, body))

    def failed(self) -> None:
        self.got.append(None)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(connections=4, environ={}, timeouts=Timeouts(read=2.0, connect=2.0))
    yield client
    await client.aclose()


async def do_all(client: HttpClient, origin: Origin, jobs: list[Ask]) -> None:
    async with asyncio.timeout(20), client.burst(origin) as burst:
        for job in jobs:
            burst.submit(job)
            await burst.room()
        await burst.drained()
        assert all(len(job.got) == 1 for job in jobs)
    assert all(len(job.got) == 1 for job in jobs)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        head, body = await read_request(reader)
        writer.write(ok(body or head.split(b" ", 2)[1]))
        await writer.drain()


async def test_every_job_gets_its_own_answer(client: HttpClient) -> None:
    jobs = [Ask(f"/{number}", b"b%d" % number if number % 2 else b"") for number in range(2000)]
    async with serving(echo) as server:
        await do_all(client, server.origin, jobs)
        assert server.accepted <= LANES_AT_MOST
    assert [job.got[0] for job in jobs] == [
        (200, b"b%d" % number if number % 2 else b"/%d" % number) for number in range(2000)
    ]


async def test_bodies_larger_than_one_write_arrive_whole_one_after_the_other(client: HttpClient) -> None:
    jobs = [Ask("/", bytes([number]) * 200_000) for number in range(100)]
    async with serving(echo) as server:
        await do_all(client, server.origin, jobs)
    assert all(job.got == [(200, job.body)] for job in jobs)


async def test_connections_that_the_server_closes_each_time_are_replaced(client: HttpClient) -> None:
    jobs = [Ask() for _ in range(100)]
    async with serving(once(ok(b"one", "Connection: close"))) as server:
        await do_all(client, server.origin, jobs)
        assert server.accepted >= 100
    assert all(job.got == [(200, b"one")] for job in jobs)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"",
        b"this is no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1",
    ],
    ids=["cut in the body", "cut in the head", "closed", "nonsense", "two lengths"],
)
async def test_an_answer_that_is_not_whole_is_a_failure_and_the_others_go_on(client: HttpClient, answer: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            if b"/bad" in head:
                writer.write(answer)
                return
            writer.write(ok(b"good"))

    jobs = [Ask("/bad" if number % 10 == 0 else "/") for number in range(300)]
    async with serving(handler) as server:
        await do_all(client, server.origin, jobs)
    assert all(job.got == [None if job.target == "/bad" else (200, b"good")] for job in jobs)


async def test_an_answer_to_the_end_of_the_connection_is_whole_with_it(client: HttpClient) -> None:
    jobs = [Ask() for _ in range(50)]
    async with serving(once(b"HTTP/1.0 200 OK\r\n\r\nto the end")) as server:
        await do_all(client, server.origin, jobs)
    assert all(job.got == [(200, b"to the end")] for job in jobs)


async def test_an_answer_that_is_too_long_is_not_kept(client: HttpClient) -> None:
    jobs = [Ask() for _ in range(5)]
    async with serving(answering(ok(bytes(3 * ANSWER_BYTES)))) as server:
        await do_all(client, server.origin, jobs)
    assert all(job.got == [None] for job in jobs)


async def test_a_success_before_the_request_was_sent_is_a_failure(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(b"already"))
        await silent(reader, writer)

    jobs = [Ask("/", bytes(64 * 2**20))]
    async with serving(handler) as server:
        await do_all(client, server.origin, jobs)
    assert jobs[0].got == [None]


async def test_a_server_that_says_nothing_fails_its_jobs_after_the_time_out(client: HttpClient) -> None:
    jobs = [Ask() for _ in range(10)]
    async with serving(silent) as server:
        await do_all(client, server.origin, jobs)
    assert all(job.got == [None] for job in jobs)


async def test_where_nobody_listens_all_fail_at_once(client: HttpClient) -> None:
    async with serving(silent) as server:
        origin = server.origin
    jobs = [Ask() for _ in range(1000)]
    async with asyncio.timeout(1.5):
        await do_all(client, origin, jobs)
    assert all(job.got == [None] for job in jobs)


async def test_a_job_that_has_nothing_to_send_has_failed(client: HttpClient) -> None:
    jobs = [Ask("/none"), Ask(), Ask("/none"), Ask()]
    async with serving(echo) as server:
        await do_all(client, server.origin, jobs)
    assert [job.got for job in jobs] == [[None], [(200, b"/")], [None], [(200, b"/")]]


async def test_left_early_what_was_not_done_has_failed_and_its_connections_are_closed(client: HttpClient) -> None:
    jobs = [Ask() for _ in range(500)]
    async with serving(silent) as server:
        async with client.burst(server.origin) as burst:
            for job in jobs:
                burst.submit(job)
            await until(lambda: server.open >= LANES_AT_FIRST)
        await until(lambda: server.open == 0)
    assert all(job.got == [None] for job in jobs)


async def test_connections_in_order_serve_others_afterwards(client: HttpClient) -> None:
    async with serving(echo) as server:
        await do_all(client, server.origin, [Ask() for _ in range(100)])
        accepted = server.accepted
        for _ in range(3):
            assert (await client.request("GET", server.origin, "/after")).body == b"/after"
        await do_all(client, server.origin, [Ask() for _ in range(4)])
        assert server.accepted == accepted


async def test_other_requests_do_not_wait_for_a_burst_to_end(client: HttpClient) -> None:
    async with serving(echo) as server, client.burst(server.origin) as burst:
        for _ in range(500):
            burst.submit(Ask())
        await burst.drained()
        async with asyncio.timeout(2):  # the burst keeps more connections than this client has for all others
            assert (await client.request("GET", server.origin, "/x")).body == b"/x"


@pytest.mark.parametrize("phase", ["request", "answered"])
async def test_what_a_job_raises_is_raised_to_whoever_waits(client: HttpClient, phase: str) -> None:
    class Faulty(Ask):
        def request(self) -> Request | None:
            if phase == "request":
                raise IllegalArgumentError("a fault of the job")
            return super().request()

        def answered(self, status: int, headers: bytes, body: bytes) -> None:
            raise IllegalArgumentError("a fault of the job")

    async with serving(echo) as server, asyncio.timeout(5):
        with pytest.raises(IllegalArgumentError, match="a fault of the job"):
            async with client.burst(server.origin) as burst:
                burst.submit(Faulty())
                await burst.drained()


async def test_slow_answers_get_more_connections_and_quick_ones_do_not(client: HttpClient) -> None:
    async with serving(answering(ok(), pause=0.05)) as server:
        await do_all(client, server.origin, [Ask() for _ in range(2000)])
        assert server.accepted > 2 * LANES_AT_FIRST


async def test_a_server_that_cannot_keep_up_gets_fewer_connections(client: HttpClient) -> None:
    most: list[int] = []
    busy = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        while True:
            await read_request(reader)
            busy += 1
            most.append(busy)
            await asyncio.sleep(0.002)
            busy -= 1
            writer.write(ok(status="503 Slow Down"))

    jobs = [Ask() for _ in range(1000)]
    async with serving(handler) as server:
        await do_all(client, server.origin, jobs)
    assert {job.got[0] for job in jobs} == {(503, b"")}
    assert max(most[-100:]) <= LANES_AT_FIRST // 2
    assert max(most[-100:]) >= LANES_AT_LEAST


async def test_a_closed_client_fails_what_is_under_way() -> None:
    client = HttpClient(environ={})
    jobs = [Ask() for _ in range(50)]
    async with serving(silent) as server, asyncio.timeout(5), client.burst(server.origin) as burst:
        for job in jobs:
            burst.submit(job)
        await until(lambda: server.open >= LANES_AT_FIRST)
        await client.aclose()
        await burst.drained()
    assert all(job.got == [None] for job in jobs)
