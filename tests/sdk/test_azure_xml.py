"""The XML of Azure: however a listing is written, the fast reading, an XML parser and the truth agree; garbage is a bad gateway."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neuro_sdk._errors import BadGateway
from neuro_sdk._stores import azure_xml
from neuro_sdk._stores.base import BlobInfo, Page
from neuro_sdk._stores.refusals import Refusal

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOON_TEXT = "Sun, 22 Nov 2026 12:00:00 GMT"
NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = any_text | st.sampled_from(
    ["a", "a/b c", "1+1", "100%", "%2F", "a&b", "<x>", "é", "\ue000", "'\"'", "a\nb", "a\rb", " x ", "]]>", "&amp;", "&lt;",
     "<Blob>", "Blob>", "BlobPrefix>", "</Blobs><NextMarker />", "</Name>", "<!--", "\ufffe", "\x01"]
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    key: str
    size: int
    etag: str = "0x8DBF"
    created: str = NOON_TEXT


def escape(text: str) -> str:
    for raw, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#xD;")):
        text = text.replace(raw, entity)
    return text


def name_of(key: str) -> str:
    """As Azure writes it: what XML cannot carry is percent-encoded, and says so."""
    if NOT_IN_XML.search(key):
        return f'<Name Encoded="true">{quote(key, safe="")}</Name>'
    return f"<Name>{escape(key)}</Name>"


def azure_row(row: Row) -> str:
    return (
        f"<Blob>{name_of(row.key)}<Properties><Creation-Time>{row.created}</Creation-Time><Last-Modified>{NOON_TEXT}</Last-Modified>"
        f"<Etag>{row.etag}</Etag><Content-Length>{row.size}</Content-Length><Content-Type>application/octet-stream</Content-Type>"
        "<Content-Encoding /><Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5><BlobType>BlockBlob</BlobType></Properties><OrMetadata />"
        "</Blob>"
    )


def another_row(row: Row) -> str:
    """The same, as an older or another server might write it."""
    return (
        f"<Blob>{name_of(row.key)}<Deleted>false</Deleted><Properties><Last-Modified>{NOON_TEXT}</Last-Modified>"
        f"<Creation-Time>{row.created}</Creation-Time><Content-Length>{row.size}</Content-Length><Etag>&quot;{row.etag}&quot;</Etag>"
        "</Properties></Blob>"
    )


def prefix_row(prefix: str) -> str:
    return f"<BlobPrefix>{name_of(prefix)}</BlobPrefix>"


def azure_page(rows: list[Row], prefixes: list[str], marker: str | None, write: object = azure_row) -> bytes:
    head = '\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://a/" ContainerName="c">'
    inside = "".join(map(write, rows)) + "".join(map(prefix_row, prefixes))  # type: ignore[call-overload]
    end = f"<NextMarker>{escape(marker)}</NextMarker>" if marker else "<NextMarker />"
    return f"{head}<Prefix>p</Prefix><Blobs>{inside}</Blobs>{end}</EnumerationResults>".encode()


def meant(rows: list[Row], prefixes: list[str]) -> Page:
    return Page([BlobInfo(row.key, row.size, NOON, NOON, f'"{row.etag}"') for row in rows], prefixes)


rows_of_keys = st.builds(Row, key=names, size=st.integers(0, 5 * 2**47))
pages = st.tuples(
    st.lists(rows_of_keys, max_size=5),
    st.lists(names, max_size=3),
    st.none() | any_text.filter(lambda text: not NOT_IN_XML.search(text)),
)


@settings(max_examples=600, deadline=None)
@given(pages, st.sampled_from([azure_row, another_row]))
@example(([Row("a b", 1)], ["p/"], "a&b"), azure_row)
def test_the_fast_reading_the_xml_parser_and_the_truth_agree(
    page: tuple[list[Row], list[str], str | None], write: object
) -> None:
    rows, prefixes, marker = page
    body = azure_page(*page, write)
    assert azure_xml.parse_page(body) == (meant(rows, prefixes), marker)
    assert azure_xml._parse_page_as_xml(body) == (meant(rows, prefixes), marker)


def test_the_usual_page_takes_the_fast_way() -> None:
    rows = [Row(f"dir/key-{number}", number) for number in range(9)]
    assert azure_xml._match_page(azure_page(rows, ["p/", "q/"], "marker")) == (meant(rows, ["p/", "q/"]), "marker")
    assert azure_xml._match_page(azure_page([], ["p/"], None)) == (Page([], ["p/"]), None)


@pytest.mark.parametrize("other", [azure_row(Row("\x01", 7)), another_row(Row("\x01", 7))])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_rows_of_a_page_that_are_written_in_two_ways_are_all_read(other: str, first: int) -> None:
    written = [azure_row(Row("j", 7))] * 2
    written.insert(first, other)
    keys = ["j", "j"]
    keys.insert(first, "\x01")
    body = azure_page([], [], None).replace(b"</Blobs>", "".join(written).encode() + b"</Blobs>")
    assert azure_xml.parse_page(body) == (meant([Row(key, 7) for key in keys], []), None)


@pytest.mark.parametrize("inside", ["<!-- <Blob> -->", "<![CDATA[]]>"])
def test_what_is_no_row_is_not_read_as_one(inside: str) -> None:
    body = azure_page([Row("k", 1)], [], None).replace(b"<Prefix>p", b"<Prefix>" + inside.encode())
    assert azure_xml.parse_page(body) == (meant([Row("k", 1)], []), None)


@pytest.mark.parametrize(("etag", "told"), [("", None), ("0x1", '"0x1"'), ('"0x1"', '"0x1"')])
def test_an_etag_is_quoted_or_there_is_none(etag: str, told: str | None) -> None:
    body = azure_page([Row("k", 1, etag)], [], None)
    assert azure_xml.parse_page(body)[0].blobs[0].etag == told
    assert azure_xml._parse_page_as_xml(body)[0].blobs[0].etag == told


def test_a_date_that_cannot_be_read_is_no_date() -> None:
    assert azure_xml.parse_page(azure_page([Row("k", 1, created="once")], [], None))[0].blobs[0].created_at is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\0", b"{}", b"<html><body>Sign in</body></html>", b"<Error><Code>ServerBusy</Code></Error>", b"\xff\xfe",
        b"<EnumerationResults>", b"<EnumerationResults/>", b"<EnumerationResults><Blobs/></EnumerationResults>", b"<a>" * 1000,
        b'<?xml version="1.0" encoding="no-such"?><EnumerationResults/>',
        azure_page([Row("k", 1)], [], None).replace(b"<Content-Length>1", b"<Content-Length>x"),
        azure_page([Row("k", 1)], [], None).replace(b"<Content-Length>1", b"<Content-Length>" + b"9" * 5000),
        azure_page([Row("k", 1)], [], None).replace(b"<Name>k</Name>", b"<Name/>"),
        azure_page([Row("k", 1)], [], None).replace(b"<Name>k</Name>", b"<Name></Name>"),
        azure_page([Row("k", 1)], [], None).replace(b"<Name>k", b'<Name Encoded="true">%ff'),
        azure_page([Row("k", 1)], [], None).replace(b"<Name>k", b"<Name>\xff"),
        azure_page([], [], None).replace(b"<Blobs>", b"<Blobs><Row/>"),
        azure_page([Row("k", 1)], [], None)[:-40],
    ],
    ids=range(19),
)  # fmt: skip
def test_garbage_is_a_bad_gateway(body: bytes) -> None:
    with pytest.raises(BadGateway):
        azure_xml.parse_page(body)
    with pytest.raises(BadGateway):
        azure_xml.parse_blocks(body)


@settings(max_examples=400, deadline=None)
@given(pages, st.data())
def test_a_damaged_answer_is_read_or_is_a_bad_gateway(
    page: tuple[list[Row], list[str], str | None], data: st.DataObject
) -> None:
    body = bytearray(azure_page(*page))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    for parse in (azure_xml.parse_page, azure_xml.parse_blocks):
        with suppress(BadGateway):
            parse(bytes(body[: data.draw(st.integers(0, len(body)))]))


def test_blocks_are_told_apart_by_whether_they_make_the_blob() -> None:
    body = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?><BlockList><CommittedBlocks><Block><Name>YQ==</Name><Size>5</Size></Block>'
        "</CommittedBlocks><UncommittedBlocks><Block><Name>Yg==</Name><Size>7</Size></Block></UncommittedBlocks></BlockList>"
    ).encode()
    assert azure_xml.parse_blocks(body) == ([("YQ==", 5)], [("Yg==", 7)])
    assert azure_xml.parse_blocks(b"<BlockList><UncommittedBlocks /></BlockList>") == ([], [])


def test_a_list_of_blocks_names_them_in_their_order() -> None:
    root = ET.fromstring(azure_xml.block_list(["YQ==", "Yg=="]))
    assert [(row.tag, row.text) for row in root] == [("Latest", "YQ=="), ("Latest", "Yg==")]


@given(st.binary(max_size=60))
@example(b"<Code>\xff</Code><Message>\xff</Message>")
def test_a_refusal_is_read_from_any_bytes(body: bytes) -> None:
    assert isinstance(azure_xml.parse_refusal(body), Refusal)


def test_a_refusal_tells_its_code_and_its_message_in_one_line() -> None:
    body = b"<Error><Code>BlobNotFound</Code><Message>It is not there.\nRequestId:1-2\nTime:now</Message></Error>"
    assert azure_xml.parse_refusal(body) == Refusal("BlobNotFound", "It is not there. RequestId:1-2 Time:now")
