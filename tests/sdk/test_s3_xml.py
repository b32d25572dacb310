"""The XML of S3: the fast reading of a listing means what an XML parser means, and nothing but `BadGateway` comes of garbage."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote_plus
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neuro_sdk._errors import BadGateway
from neuro_sdk._stores import s3_xml
from neuro_sdk._stores.base import BlobInfo, Page, Part
from neuro_sdk._stores.refusals import Refusal

AWS_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
xml_text = any_text.filter(lambda text: s3_xml.fits_xml(text.replace("\r", "")))
names = st.sampled_from(
    ["a", "a/b c", "1+1", "100%", "%2F", "a&b", "<x>", "é", "\ue000", "'\"'", "a\nb", "a\rb", "\t", "]]>", "&amp;", "&lt;",
     "<Contents>", "Contents>", "CommonPrefixes>", "<NextContinuationToken>", "NextContinuationToken", "<EncodingType>url</EncodingType>",
     "IsTruncated>true<", "</Key>"]
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    key: str
    size: int
    etag: str = '"0123-2"'
    quote: str = "&quot;"
    date: str = "2026-11-22T12:00:00.000Z"
    extra: str = ""


def escape(text: str) -> str:
    for raw, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#xD;"), ("\n", "&#xA;"), ('"', "&#34;")):
        text = text.replace(raw, entity)
    return text


def key_text(key: str, encoded: bool) -> str:
    return quote_plus(key, safe="/") if encoded else escape(key)


def aws_row(row: Row, encoded: bool) -> str:
    return (
        f"<Contents><Key>{key_text(row.key, encoded)}</Key><LastModified>{row.date}</LastModified>"
        f"<ETag>{row.etag.replace(chr(34), row.quote)}</ETag>{row.extra}<Size>{row.size}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def seaweed_row(row: Row, encoded: bool) -> str:
    return (
        f"<Contents><Key>{key_text(row.key, encoded)}</Key><ETag>{row.etag.replace(chr(34), row.quote)}</ETag>"
        f"<Size>{row.size}</Size>{row.extra}<StorageClass>STANDARD</StorageClass><LastModified>{row.date}</LastModified></Contents>"
    )


def prefix_rows(prefixes: list[str], encoded: bool) -> str:
    return "".join(f"<CommonPrefixes><Prefix>{key_text(one, encoded)}</Prefix></CommonPrefixes>" for one in prefixes)


def aws_page(rows: list[Row], prefixes: list[str], token: str | None, encoded: bool) -> bytes:
    text = f"{AWS_HEAD}<Name>b</Name><Prefix></Prefix>"
    if token:
        text += f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"
    text += f"<KeyCount>{len(rows)}</KeyCount><MaxKeys>1000</MaxKeys>"
    if encoded:
        text += "<EncodingType>url</EncodingType>"
    text += f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>"
    return (
        text + "".join(aws_row(row, encoded) for row in rows) + prefix_rows(prefixes, encoded) + "</ListBucketResult>"
    ).encode()


def seaweed_page(rows: list[Row], prefixes: list[str], token: str | None, encoded: bool) -> bytes:
    text = f"{AWS_HEAD}<Name>b</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter>"
    text += f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>"
    text += "".join(seaweed_row(row, encoded) for row in rows) + prefix_rows(prefixes, encoded)
    if token:
        text += f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"
    if encoded:
        text += "<EncodingType>url</EncodingType>"
    return f"{text}<KeyCount>{len(rows)}</KeyCount></ListBucketResult>".encode()


def told_by_an_xml_parser(body: bytes) -> tuple[Page, str | None]:
    return s3_xml._parse_page_as_xml(body)


def meant(rows: list[Row], prefixes: list[str]) -> Page:
    return Page([BlobInfo(row.key, row.size, NOON, None, row.etag) for row in rows], prefixes)


owner = "<Owner><ID>1</ID><DisplayName>me</DisplayName></Owner>"
rows_of_keys = st.builds(
    Row,
    key=xml_text | names,
    size=st.integers(0, 5 * 2**40),
    quote=st.sampled_from(["&quot;", "&#34;", '"']),
    date=st.sampled_from(["2026-11-22T12:00:00.000Z", "2026-11-22T12:00:00Z", "2026-11-22T13:00:00+01:00"]),
    extra=st.sampled_from(
        ["", "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>", owner,
         "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus>"]
    ),
)  # fmt: skip
pages = st.tuples(
    st.lists(rows_of_keys, max_size=5),
    st.lists(xml_text | names, max_size=3),
    st.none() | (xml_text | names).filter(bool),
    st.booleans(),
)


@settings(max_examples=600, deadline=None)
@given(pages, st.sampled_from([aws_page, seaweed_page]))
@example(([Row("a b", 1)], ["p/"], "a&b", True), aws_page)
def test_the_fast_reading_the_xml_parser_and_the_truth_agree(
    page: tuple[list[Row], list[str], str | None, bool], written: object
) -> None:
    rows, prefixes, token, _ = page
    body: bytes = written(*page)  # type: ignore[operator]
    assert s3_xml.parse_page(body) == (meant(rows, prefixes), token)
    assert told_by_an_xml_parser(body) == (meant(rows, prefixes), token)


@settings(max_examples=300, deadline=None)
@given(st.lists(any_text, max_size=5), st.lists(any_text, max_size=3), st.sampled_from([aws_page, seaweed_page]))
def test_url_encoding_carries_what_xml_cannot(keys: list[str], prefixes: list[str], written: object) -> None:
    rows = [Row(key, 1) for key in keys]
    body: bytes = written(rows, prefixes, None, True)  # type: ignore[operator]
    assert s3_xml.parse_page(body) == (meant(rows, prefixes), None)


@pytest.mark.parametrize("written", [aws_page, seaweed_page])
@pytest.mark.parametrize("encoded", [True, False])
def test_the_usual_page_of_both_servers_takes_the_fast_way(written: object, encoded: bool) -> None:
    rows = [
        Row(f"dir/key-{number}", number, extra="<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>") for number in range(9)
    ]
    body: bytes = written(rows, ["p/", "q/"], "token", encoded)  # type: ignore[operator]
    assert s3_xml._match_page(body) == (meant(rows, ["p/", "q/"]), "token")


def page_of(inside: str) -> bytes:
    return f"{AWS_HEAD}<IsTruncated>false</IsTruncated>{inside}</ListBucketResult>".encode()


ONE_ROW = meant([Row("k", 7)], [])


@pytest.mark.parametrize(
    "text",
    [
        '<Contents><Key>k</Key><LastModified>2026-11-22T12:00:00Z</LastModified><ETag>"0123-2"</ETag><Size>7</Size></Contents>',
        '<Contents xmlns="urn:x"><Key>k</Key><Size>7</Size><ETag>"0123-2"</ETag>'
        "<LastModified>2026-11-22T12:00:00Z</LastModified></Contents>",
        "<Contents>\n  <Size>7</Size>\n  <Key>k</Key>\n  <ETag>&#x22;0123&#x2D;2&#x22;</ETag>\n"
        "  <LastModified>2026-11-22T12:00:00Z</LastModified>\n</Contents>",
        '<s:Contents xmlns:s="urn:s"><s:Key>k</s:Key><s:ETag>"0123-2"</s:ETag><s:Size>7</s:Size>'
        "<s:LastModified>2026-11-22T12:00:00Z</s:LastModified></s:Contents>",
        "<Contents><Key><![CDATA[k]]></Key><ETag>&quot;0123-2&quot;</ETag><Size>7</Size>"
        "<LastModified>2026-11-22T12:00:00Z</LastModified></Contents>",
    ],
    ids=["short", "own namespace", "pretty", "prefixed", "cdata"],
)
def test_a_row_that_is_written_in_another_way_is_not_overlooked(text: str) -> None:
    assert s3_xml.parse_page(page_of(text)) == (ONE_ROW, None)


@pytest.mark.parametrize(
    "other",
    [
        aws_row(Row("k", 7), False),
        seaweed_row(Row("k", 7, quote="&#34;"), False),
        seaweed_row(Row("k", 7, quote='"'), False),
        seaweed_row(Row("k", 7), False).replace("<Size>7", "<Size>07"),
        seaweed_row(Row("k", 7), False).replace("<Key>k", "<Key>&#107;"),
        seaweed_row(Row("k", 7), False).replace("0123", "&#48;123"),
        seaweed_row(Row("k", 7), False).replace("2026-", "&#50;026-"),
    ],
    ids=["order", "quotes", "plain quotes", "zero", "entity in key", "entity in etag", "entity in date"],
)
@pytest.mark.parametrize("first", [0, 1])
def test_rows_of_a_page_that_are_written_in_two_ways_are_all_read(other: str, first: int) -> None:
    rows = [seaweed_row(Row("j", 7), False)] * 2
    rows.insert(2 * first, other)
    keys = ["j", "j"]
    keys.insert(2 * first, "k")
    assert s3_xml.parse_page(page_of("".join(rows))) == (meant([Row(key, 7) for key in keys], []), None)


@pytest.mark.parametrize(("text", "etag"), [("", None), ("&quot;&quot;", None), ("e", '"e"'), ("&quot;e&quot;", '"e"')])
def test_an_etag_is_quoted_or_there_is_none(text: str, etag: str | None) -> None:
    body = page_of(seaweed_row(Row("k", 7, etag=""), False).replace("<ETag></ETag>", f"<ETag>{text}</ETag>"))
    assert s3_xml.parse_page(body)[0].blobs[0].etag == etag


def test_a_line_end_that_xml_folds_is_folded() -> None:
    body = page_of(seaweed_row(Row("a__b", 7), False).replace("__", "\r\n"))
    assert s3_xml.parse_page(body)[0].blobs[0].key == "a\nb"


@pytest.mark.parametrize("token", ["<NextContinuationToken></NextContinuationToken>", "<NextContinuationToken/>"])
def test_an_empty_token_ends_the_listing(token: str) -> None:
    assert s3_xml.parse_page(page_of(token)) == (Page([], []), None)


@pytest.mark.parametrize("rest", ["", "<NextMarker>k</NextMarker>", "<NextContinuationToken/>"])
def test_a_listing_that_is_cut_short_without_a_token_is_not_taken_for_all(rest: str) -> None:
    body = page_of(rest).replace(b"<IsTruncated>false", b"<IsTruncated>true")
    with pytest.raises(BadGateway, match="cut a listing short"):
        s3_xml.parse_page(body)


def test_a_date_that_cannot_be_read_is_no_date() -> None:
    assert s3_xml.parse_page(page_of(seaweed_row(Row("k", 7, date="yesterday"), False)))[0].blobs[0].modified_at is None


def test_a_date_without_a_zone_is_utc() -> None:
    body = page_of(seaweed_row(Row("k", 7, date="2026-11-22T12:00:00"), False))
    assert s3_xml.parse_page(body)[0].blobs[0].modified_at == NOON


PARSERS = [s3_xml.parse_page, s3_xml.parse_parts, s3_xml.parse_upload_id, s3_xml.parse_delete_errors]


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "body",
    [
        b"", b"\0", b"{}", b"<html><body>Sign in</body></html>", b"<Error><Code>SlowDown</Code></Error>", b"\xff\xfe",
        b"<ListBucketResult>", b"<ListBucketResult/></ListBucketResult>", b"<DeleteResult", b"<a>" * 1000,
        b'<?xml version="1.0" encoding="no-such"?><ListBucketResult/>', b'<?xml version="1.0" encoding="gb2312"?><ListBucketResult/>',
        page_of("<Contents><Key>k</Key></Contents>"), page_of("<Contents><Size>x</Size></Contents>"),
        page_of(f"<Contents><Key>k</Key><ETag></ETag><Size>{'9' * 5000}</Size><LastModified></LastModified></Contents>"),
        page_of("<EncodingType>url</EncodingType><CommonPrefixes><Prefix>%ff</Prefix></CommonPrefixes>"),
        page_of("<CommonPrefixes><Prefix>~</Prefix></CommonPrefixes>").replace(b"~", b"\xff"),
        b"<ListPartsResult><Part/></ListPartsResult>", b"<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>",
        b"<InitiateMultipartUploadResult/>",
    ],
    ids=range(20),
)  # fmt: skip
def test_garbage_is_a_bad_gateway(parse: object, body: bytes) -> None:
    with pytest.raises(BadGateway):
        parse(body)  # type: ignore[operator]


@settings(max_examples=400, deadline=None)
@given(pages, st.data(), st.sampled_from(PARSERS))
def test_a_damaged_answer_is_read_or_is_a_bad_gateway(
    page: tuple[list[Row], list[str], str | None, bool], data: st.DataObject, parse: object
) -> None:
    body = bytearray(seaweed_page(*page))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BadGateway):
        parse(bytes(body[: data.draw(st.integers(0, len(body)))]))  # type: ignore[operator]


@given(st.binary(max_size=60))
@example(b"<Code>\xff</Code><Message>\xff</Message>")
def test_a_refusal_is_read_from_any_bytes(body: bytes) -> None:
    assert isinstance(s3_xml.parse_refusal(body), Refusal)


def test_a_refusal_tells_its_code_and_message() -> None:
    body = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>k</Key></Error>"
    assert s3_xml.parse_refusal(body) == Refusal("NoSuchKey", "The specified key does not exist.")
    assert s3_xml.parse_refusal(b"") == Refusal("", "")


@settings(max_examples=300, deadline=None)
@given(st.lists((any_text | names).filter(s3_xml.fits_xml), max_size=5))
def test_a_deletion_names_exactly_its_keys(keys: list[str]) -> None:
    root = ET.fromstring(s3_xml.deletion(keys))
    assert root.tag == "Delete"
    assert root.findtext("Quiet") == "true"
    assert [element.text or "" for element in root.iter("Key")] == keys


@given(st.lists(st.tuples(st.sampled_from(['"a-1"', "a&b<c>", "plain"]), st.none() | st.just("AAAAAA==")), max_size=5))
def test_a_completion_names_exactly_its_parts(made: list[tuple[str, str | None]]) -> None:
    parts = [Part(number, etag, 1, checksum) for number, (etag, checksum) in enumerate(made, 1)]
    root = ET.fromstring(s3_xml.completion(parts))
    found = [(part.findtext("PartNumber"), part.findtext("ETag"), part.findtext("ChecksumCRC32")) for part in root]
    assert root.tag == "CompleteMultipartUpload"
    assert found == [(str(part.number), part.etag, part.checksum) for part in parts]


@settings(max_examples=500)
@given(any_text.filter(bool) | st.integers(0, 0x2FF).map(chr) | st.integers(0xFDD0, 0x10010).map(chr))
def test_a_key_fits_xml_just_if_a_parser_hands_it_back(key: str) -> None:
    raw = key.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    try:
        carried = ET.fromstring(f"<Key>{raw}</Key>".encode()).text == key
    except ET.ParseError:
        carried = False
    assert s3_xml.fits_xml(key) is carried


def test_failed_deletions_tell_key_and_reason() -> None:
    body = b"""<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Deleted><Key>a</Key></Deleted>
        <Error><Key>b&amp;c</Key><Code>AccessDenied</Code><Message>No.</Message></Error></DeleteResult>"""
    assert s3_xml.parse_delete_errors(body) == [("b&c", Refusal("AccessDenied", "No."))]


def test_parts_are_read_with_the_marker_of_the_next_page() -> None:
    part = "<Part><PartNumber>2</PartNumber><ETag>&#34;e&#34;</ETag><Size>5</Size>{}</Part>"
    inside = part.format("<ChecksumCRC32>AAAAAA==</ChecksumCRC32>") + part.format("")
    last = f"<ListPartsResult>{inside}<IsTruncated>false</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker></ListPartsResult>"
    parts = [Part(2, '"e"', 5, "AAAAAA=="), Part(2, '"e"', 5)]
    assert s3_xml.parse_parts(last.encode()) == (parts, None)
    assert s3_xml.parse_parts(last.replace("false", "true").encode()) == (parts, "2")


def test_the_id_of_an_upload_is_read() -> None:
    body = b"<InitiateMultipartUploadResult><Key>k</Key><UploadId>a&amp;b</UploadId></InitiateMultipartUploadResult>"
    assert s3_xml.parse_upload_id(body) == "a&b"
