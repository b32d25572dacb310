"""Which connection serves which request: reuse, the bound, fairness, and the races of keep-alive."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from neuro_sdk._errors import ConnectionFailed, ServerTimeout
from neuro_sdk._http import HttpClient, Response, Timeouts, _pool

from .http_servers import Server, answering, ok, once, read_request, serving, silent, until


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(environ={})
    yield client
    await client.aclose()


async def get(client: HttpClient, server: Server, target: str = "/") -> Response:
    return await client.request("GET", server.origin, target)


# --- reuse


async def test_a_connection_serves_one_request_after_the_other(client: HttpClient) -> None:
    async with serving(answering(ok(b"a"))) as server:
        for _ in range(5):
            assert (await get(client, server)).body == b"a"
        assert server.accepted == 1


async def test_the_connection_used_last_is_used_first(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        while True:
            head, _ = await read_request(reader)
            await asyncio.sleep(0.05 if b"/slow" in head else 0)
            writer.write(ok(b"%d" % port))

    async with serving(handler) as server:
        slow, quick = await asyncio.gather(get(client, server, "/slow"), get(client, server, "/quick"))
        assert slow.body != quick.body
        for _ in range(3):
            assert (await get(client, server)).body == slow.body


async def test_a_connection_that_the_server_means_to_close_is_not_used_again(client: HttpClient) -> None:
    async with serving(answering(ok(b"a", "Connection: close"))) as server:
        for number in (1, 2):
            await get(client, server)
            assert server.accepted == number
        await until(lambda: server.open == 0)


async def test_an_http_1_0_server_gets_a_connection_for_each_request(client: HttpClient) -> None:
    async with serving(answering(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na")) as server:
        for number in (1, 2):
            assert (await get(client, server)).body == b"a"
            assert server.accepted == number


async def test_bytes_beyond_the_length_are_not_the_next_answer(client: HttpClient) -> None:
    async with serving(answering(ok(b"a") + ok(b"forged"), ok(b"b"))) as server:
        assert (await get(client, server)).body == b"a"
        assert (await get(client, server)).body == b"a"
        assert server.accepted == 2


async def test_an_idle_connection_on_which_bytes_arrive_is_closed(client: HttpClient) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ok(b"a"))
        await asyncio.sleep(0.02)
        writer.write(ok(b"forged"))
        await reader.read()

    async with serving(handler) as server:
        assert (await get(client, server)).body == b"a"
        await until(lambda: server.open == 0)
        assert (await get(client, server)).body == b"a"
        assert server.accepted == 2


async def test_a_connection_idle_for_long_is_closed(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pool, "IDLE_SECONDS", 0.1)
    async with serving(answering(ok(), pause=0.02)) as server:
        await asyncio.gather(*(get(client, server) for _ in range(3)))
        await asyncio.sleep(0.06)
        await get(client, server)
        assert server.open == 3
        await until(lambda: server.open == 1)
        await until(lambda: server.open == 0)
        await get(client, server)
        assert server.accepted == 4


async def test_a_connection_closed_by_the_server_while_idle_is_replaced() -> None:
    client = HttpClient(connections=1, environ={})
    async with serving(once(ok(b"a"))) as server:
        for number in (1, 2, 3):
            assert (await client.request("POST", server.origin, "/")).body == b"a"
            assert server.accepted == number
            await until(lambda: server.open == 0)
            await asyncio.sleep(0.02)
        await client.aclose()


async def test_a_connection_that_has_just_gone_is_not_taken_for_a_kept_one() -> None:
    client = HttpClient(connections=1, environ={})
    async with serving(answering(ok(b"a"))) as server:
        await get(client, server)
        pool = client._ways[server.origin].pool
        pool._idle[0].abort()  # and the loop has not told anybody yet
        # POST, since that is not saved by being sent again.
        assert (await client.request("POST", server.origin, "/")).body == b"a"

        async with client.stream("GET", server.origin, "/") as response:
            waiting = asyncio.create_task(client.request("POST", server.origin, "/"))
            await asyncio.sleep(0)
            await response.read()
            connection = response._connection
            assert connection is not None
        connection.abort()  # handed over to the one that waits, who has not run yet
        assert (await waiting).body == b"a"
        assert server.accepted == 3
        await client.aclose()


async def test_two_origins_share_nothing(client: HttpClient) -> None:
    async with serving(answering(ok(b"a"))) as one, serving(answering(ok(b"b"))) as other:
        assert (await get(client, one)).body == b"a"
        assert (await get(client, other)).body == b"b"
        assert (one.accepted, other.accepted) == (1, 1)


# --- the race of keep-alive: the server closes an idle connection while the next request is on its way


class Race:
    """Each first connection closes on its second request, after `start` of an answer; later connections behave."""

    def __init__(self, start: bytes = b"", failing: int = 1) -> None:
        self.start = start
        self.failing = failing
        self.connections = 0
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        bad = self.connections <= self.failing
        for number in range(100):
            head, _ = await read_request(reader)
            self.requests.append(head.split(b" ")[0])
            if bad and number == (1 if self.connections == 1 else 0):
                writer.write(self.start)
                return
            writer.write(ok(b"a"))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_request_lost_with_a_kept_connection_is_sent_once_more(client: HttpClient, method: str) -> None:
    race = Race()
    async with serving(race) as server:
        await get(client, server)
        assert (await client.request(method, server.origin, "/")).body == b"a"
        assert race.requests == [b"GET", method.encode(), method.encode()]
        assert server.accepted == 2


async def test_a_lost_post_is_not_sent_again(client: HttpClient) -> None:
    race = Race()
    async with serving(race) as server:
        await get(client, server)
        with pytest.raises(ConnectionFailed, match="without an answer"):
            await client.request("POST", server.origin, "/")
        assert race.requests == [b"GET", b"POST"]
        assert (await client.request("POST", server.origin, "/")).body == b"a"


async def test_a_request_is_sent_again_only_once(client: HttpClient) -> None:
    race = Race(failing=3)
    async with serving(race) as server:
        await get(client, server)
        with pytest.raises(ConnectionFailed, match="without an answer"):
            await get(client, server)
        assert server.accepted == 2


async def test_a_request_whose_answer_had_begun_is_not_sent_again(client: HttpClient) -> None:
    race = Race(start=b"H")
    async with serving(race) as server:
        await get(client, server)
        with pytest.raises(ConnectionFailed, match="without an answer"):
            await get(client, server)
        assert race.requests == [b"GET", b"GET"]


async def test_a_second_sending_goes_over_a_fresh_connection_not_another_kept_one(client: HttpClient) -> None:
    requests = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await read_request(reader)
        requests += 1
        await asyncio.sleep(0.02)
        writer.write(ok(b"a"))
        await read_request(reader)
        requests += 1

    async with serving(handler) as server:
        await asyncio.gather(get(client, server), get(client, server))
        assert (await get(client, server)).body == b"a"
        assert server.accepted == 3
        assert requests == 4


# --- the bound


async def test_no_more_connections_than_allowed_and_everyone_is_served_in_turn() -> None:
    order: list[bytes] = []
    most = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        while True:
            head, _ = await read_request(reader)
            most = max(most, server.open)
            order.append(head.split(b" ")[1])
            await asyncio.sleep(0.005)
            writer.write(ok())

    client = HttpClient(connections=3, environ={})
    async with serving(handler) as server:
        await asyncio.gather(*(get(client, server, f"/{number:02}") for number in range(30)))
        assert most == 3
        assert server.accepted == 3
        # Three are on their way at once, so neighbours may swap; nobody is passed by later ones.
        for place, target in enumerate(order):
            assert abs(int(target[1:]) - place) <= 2
        await client.aclose()


async def test_one_connection_serves_strictly_in_turn_also_those_that_come_later() -> None:
    order: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            order.append(head.split(b" ")[1])
            await asyncio.sleep(0.002)
            writer.write(ok())

    client = HttpClient(connections=1, environ={})

    async def lane(name: str) -> None:
        for number in range(5):
            await get(client, server, f"/{name}{number}")

    async with serving(handler) as server:
        await asyncio.gather(*(lane(name) for name in "abc"))
        assert order == [f"/{name}{number}".encode() for number in range(5) for name in "abc"]
        await client.aclose()


async def test_waiting_for_a_connection_is_limited_by_no_time_out() -> None:
    client = HttpClient(connections=1, timeouts=Timeouts(connect=0.3, read=0.3, total=0.3), environ={})
    async with serving(answering(ok(), pause=0.15)) as server:
        await asyncio.gather(*(get(client, server) for _ in range(5)))
        assert server.accepted == 1
        await client.aclose()


async def test_a_failed_connect_frees_its_place() -> None:
    client = HttpClient(connections=1, environ={})
    async with serving(answering(ok())) as server:
        origin = server.origin
    for _ in range(3):
        with pytest.raises(ConnectionFailed, match="refused"):
            await client.request("GET", origin, "/")
    results = await asyncio.gather(*(client.request("GET", origin, "/") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionFailed] * 3
    await client.aclose()


async def test_a_broken_exchange_frees_its_place() -> None:
    client = HttpClient(connections=1, environ={})
    async with serving(silent) as bad, serving(answering(ok(b"a"))) as server:
        for _ in range(3):
            with pytest.raises(ServerTimeout):
                await client.request("GET", bad.origin, "/", timeouts=Timeouts(read=0.05))
        assert bad.accepted == 3
        assert (await get(client, server)).body == b"a"
        await client.aclose()
