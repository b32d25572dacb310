"""Every operation that the SDKs have in common, written once: name -> what it does with a kit, and what came of it.

A name is `area/case`. An operation begins with the blobs of `data.BLOBS` and leaves them as they are: what it changes lies under a
prefix of its own.
"""

import asyncio
import dataclasses
import inspect
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

from yarl import URL

from tests.interop.data import BLOBS, ENCODED_PATTERNS, IGNORE_FAULTS, IGNORE_FILES, IGNORED_TREE, PLAIN_PATTERNS
from tests.interop.kit import HOUR, Events, Json, Kit, chunks_of

Operation = Callable[[Kit], Awaitable[Json]]
OPERATIONS: dict[str, Operation] = {}


def operation(name: str) -> Callable[[Operation], Operation]:
    """Add an operation."""

    def add(function: Operation) -> Operation:
        assert name not in OPERATIONS, name
        OPERATIONS[name] = function
        return function

    return add


# --- listing ---------------------------------------------------------------------------------------------------------------

_LISTED = ("", "tree", "tree/", "tree/a", "tree/a/", "tree/a.txt", "tree/b", "tree/marked", "tree/marked/", "tree/bare/", "tree/both",
           "tree/both/", "tree/.", "nothing", "nothing/")  # fmt: skip


def _listing(key: str, recursive: bool, limit: int | None) -> Operation:
    async def listing(kit: Kit) -> Json:
        async with kit.buckets.list_blobs(kit.uri(key), recursive=recursive, limit=limit) as entries:
            return [kit.entry(entry) async for entry in entries]

    return listing


for _key in _LISTED:
    operation(f"list/{_key}")(_listing(_key, False, None))
    if _key in ("", "tree/", "tree/a", "tree/marked/", "tree/.", "nothing/"):
        operation(f"list/{_key} recursive")(_listing(_key, True, None))
for _limit in (0, 1, 3, 1000):
    operation(f"list/tree/ limit {_limit}")(_listing("tree/", False, _limit))
operation("list/tree/ recursive limit 4")(_listing("tree/", True, 4))


@operation("list/the bucket without a slash")
async def _list_root(kit: Kit) -> Json:
    async with kit.buckets.list_blobs(URL("blob:side")) as entries:
        return [entry.key async for entry in entries]


@operation("list/directly, without a context")
async def _list_directly(kit: Kit) -> Json:
    return [entry.key async for entry in kit.buckets.list_blobs(kit.uri("tree/a/"))]


@operation("list/positional arguments")
async def _list_positional(kit: Kit) -> Json:
    async with kit.buckets.list_blobs(kit.uri("tree/"), True, 2) as entries:
        return [entry.key async for entry in entries]


@operation("list/the address of an entry")
async def _list_uris(kit: Kit) -> Json:
    async with kit.buckets.list_blobs(kit.uri("tree/a")) as entries:
        return [kit.shown(entry.uri) async for entry in entries]


# --- globs -----------------------------------------------------------------------------------------------------------------


def _glob(pattern: str) -> Operation:
    async def glob(kit: Kit) -> Json:
        uri = URL(f"blob:side/glob/{pattern}", encoded="%" in pattern)
        async with kit.buckets.glob_blobs(uri) as entries:
            return sorted([entry.key async for entry in entries])

    return glob


for _pattern in PLAIN_PATTERNS:
    operation(f"glob/{_pattern}")(_glob(_pattern))
for _pattern in ENCODED_PATTERNS:
    operation(f"glob encoded/{_pattern}")(_glob(_pattern))


@operation("glob/order and kinds")
async def _glob_kinds(kit: Kit) -> Json:
    async with kit.buckets.glob_blobs(kit.uri("glob/s*/*")) as entries:
        return [kit.entry(entry) async for entry in entries]


# --- is_dir ----------------------------------------------------------------------------------------------------------------


def _is_dir(uri: str) -> Operation:
    async def is_dir(kit: Kit) -> Json:
        return await kit.buckets.blob_is_dir(URL(uri))

    return is_dir


for _uri in ("blob:side", "blob:side/", "blob:side/tree", "blob:side/tree/", "blob:side/tre", "blob:side/tree/a.txt", "blob:side/nothing",
             "blob:side/nothing/", "blob:side/tree/both", "blob:side/tree/bare", "blob:side/tree/marked", "blob:absent/x"):  # fmt: skip
    operation(f"is_dir/{_uri}")(_is_dir(_uri))


# --- single blobs ----------------------------------------------------------------------------------------------------------


def _head(key: str) -> Operation:
    async def head(kit: Kit) -> Json:
        return kit.entry(await kit.buckets.head_blob("side", key))

    return head


for _key in ("ten", "zero", "tree/a.txt", "tree/both", "tree/marked/", "tree/a", "tree/a/", "nothing", "tree/nothing"):
    operation(f"head/{_key}")(_head(_key))


def _fetch(key: str, offset: int) -> Operation:
    async def fetch(kit: Kit) -> Json:
        return await kit.content(key, offset)

    return fetch


for _key, _offset in (("ten", 0), ("ten", 4), ("ten", 9), ("ten", 10), ("ten", 11), ("zero", 0), ("nothing", 0), ("nothing", 3),
                      ("tree/a", 0), ("ten", -1)):  # fmt: skip
    operation(f"fetch/{_key} from {_offset}")(_fetch(_key, _offset))


def _put(body: Callable[[], object]) -> Operation:
    async def put(kit: Kit) -> Json:
        await kit.buckets.put_blob("side", "put/it", body())
        return await kit.content("put/it")

    return put


_BODIES: dict[str, Callable[[], object]] = {
    "bytes": lambda: b"abc",
    "no bytes": lambda: b"",
    "chunks": lambda: chunks_of(b"a", b"", b"bc"),
    "no chunks": lambda: chunks_of(),
    "text": lambda: "abc",
    "nothing": lambda: None,
    "a number": lambda: 3,
}
for _name, _body in _BODIES.items():
    operation(f"put/{_name}")(_put(_body))


@operation("put/a chunk that fails leaves no blob")
async def _put_failing(kit: Kit) -> Json:
    async def failing() -> Any:
        yield b"a"
        raise KeyError("the source broke")

    outcome = await kit.attempt(kit.buckets.put_blob("side", "put/failing", failing()))
    return {"outcome": outcome, "then": await kit.keys("put/failing")}


@operation("put/over a blob")
async def _put_over(kit: Kit) -> Json:
    await kit.put("put/over", body=b"longer than the other")
    await kit.buckets.put_blob("side", "put/over", b"new")
    return await kit.content("put/over")


@operation("put/a marker")
async def _put_marker(kit: Kit) -> Json:
    await kit.buckets.put_blob("side", "put/dir/", b"")
    return [
        kit.entry(await kit.buckets.head_blob("side", "put/dir/")),
        await kit.buckets.blob_is_dir(kit.uri("put/dir")),
    ]


@operation("delete/a blob")
async def _delete(kit: Kit) -> Json:
    await kit.put("delete/it", "delete/it/other")
    outcome = await kit.buckets.delete_blob("side", "delete/it")
    return [outcome, await kit.keys("delete/")]


@operation("delete/a key that is not there")
async def _delete_missing(kit: Kit) -> Json:
    return await kit.buckets.delete_blob("side", "nothing")


@operation("delete/a directory deletes nothing")
async def _delete_prefix(kit: Kit) -> Json:
    await kit.put("delete-dir/a")
    outcome = await kit.attempt(kit.buckets.delete_blob("side", "delete-dir"))
    return [outcome, await kit.keys("delete-dir/")]


# --- rm --------------------------------------------------------------------------------------------------------------------


def _rm(target: str, *keys: str, recursive: bool) -> Operation:
    async def rm(kit: Kit) -> Json:
        await kit.put(*(key for key in keys if not key.endswith("/")))
        await kit.put(*(key for key in keys if key.endswith("/")), body=b"")
        events = kit.events()
        done = kit.buckets.blob_rm(kit.uri(target), recursive=recursive, progress=events.progress)
        outcome = await kit.attempt(done)
        return {
            "outcome": outcome,
            "events": events.of_removals(),
            "left": await kit.keys(target.partition("/")[0] + "/"),
        }

    return rm


operation("rm/a blob")(_rm("rm1/a", "rm1/a", "rm1/ab", recursive=False))
operation("rm/a blob recursively")(_rm("rm2/a", "rm2/a", "rm2/ab", recursive=True))
operation("rm/what is not there")(_rm("rm3/a", "rm3/ab", recursive=False))
operation("rm/what is not there, recursively")(_rm("rm4/a", "rm4/ab", recursive=True))
operation("rm/a directory")(_rm("rm5", "rm5/a", recursive=False))
operation("rm/a directory with a slash")(_rm("rm6/", "rm6/a", recursive=False))
operation("rm/a directory recursively")(_rm("rm7", "rm7/a", "rm7/b/c", "rm7/b/d/e", "rm70", recursive=True))
operation("rm/a directory with a slash recursively")(_rm("rm8/", "rm8/a", "rm8/b/c", recursive=True))
operation("rm/a marker recursively")(_rm("rm9", "rm9/", recursive=True))
operation("rm/a marker")(_rm("rm10/", "rm10/", recursive=False))
operation("rm/markers and blobs recursively")(_rm("rm11", "rm11/", "rm11/x/", "rm11/x/a", "rm11/y/", recursive=True))
operation("rm/a blob that is a directory too")(_rm("rm12/a", "rm12/a", "rm12/a/b", recursive=False))
operation("rm/a blob that is a directory too, recursively")(_rm("rm13/a", "rm13/a", "rm13/a/b", recursive=True))
operation("rm/a slash behind a blob")(_rm("rm14/a/", "rm14/a", recursive=False))
operation("rm/a slash behind what is not there")(_rm("rm15/a/", "rm15/b", recursive=True))


@operation("rm/the whole bucket needs recursive")
async def _rm_root(kit: Kit) -> Json:
    return await kit.buckets.blob_rm(URL("blob:side"))


@operation("rm/an empty bucket recursively")
async def _rm_empty(kit: Kit) -> Json:
    return await kit.buckets.blob_rm(URL("blob:empty"), recursive=True)


# --- addresses -------------------------------------------------------------------------------------------------------------


def _address(uri: object) -> Operation:
    async def address(kit: Kit) -> Json:
        given = URL(uri.format(user=kit.user, id=kit.bucket.id)) if isinstance(uri, str) else uri
        async with kit.buckets.list_blobs(given, recursive=True, limit=2) as entries:
            return [entry.key async for entry in entries]

    return address


for _uri in ("blob:side/ten", "blob:/{user}/side/ten", "blob://default/NO_ORG/{user}/side/ten", "blob:{id}/ten", "blob:/{user}/{id}/ten",
             "blob:side//ten", "blob:", "blob:/", "blob://default", "blob://default/", "blob:/{user}", "blob:absent/ten", "side/ten",
             "/side/ten", "file:side/ten", "storage:side/ten", "http://side/ten", "blob:~{user}/side/ten", "blob:side/ten?x=1",
             "blob:side/ten#x", "blob://me@default/NO_ORG/{user}/side/ten", "blob://me:pw@default/NO_ORG/{user}/side/ten",
             "blob://default:80/NO_ORG/{user}/side/ten", "blob://elsewhere/NO_ORG/{user}/side/ten", "blob:/nobody/side/ten",
             "BLOB:side/ten"):  # fmt: skip
    operation(f"address/{_uri}")(_address(_uri))


@operation("address/text in place of a URL")
async def _address_text(kit: Kit) -> Json:
    async with kit.buckets.list_blobs("blob:side/ten") as entries:
        return [entry.key async for entry in entries]


def _local_address(uri: str) -> Operation:
    async def address(kit: Kit) -> Json:
        kit.file("rel.txt", "relative")
        os.chdir(kit.work)
        try:
            return await kit.attempt(
                kit.buckets.upload_file(URL(uri), kit.uri("address/it")), lambda: kit.keys("address/")
            )
        finally:
            await kit.buckets.delete_blob("side", "address/it")
            os.chdir("/")

    return address


for _uri in ("file:rel.txt", "file:./rel.txt", "rel.txt", "file://localhost/rel.txt", "file://elsewhere/rel.txt", "file:~/rel.txt",
             "file:rel.txt?x=1", "file:rel.txt#x", "blob:rel.txt", "file:sub/../rel.txt"):  # fmt: skip
    operation(f"address local/{_uri}")(_local_address(_uri))


# --- one file up -----------------------------------------------------------------------------------------------------------


def _upload_file(
    prefix: str, target: str, *keys: str, age: float = 0, content: str = "local", **options: bool
) -> Operation:
    """Upload `file` to a key under a prefix, where these keys are already."""

    async def upload(kit: Kit) -> Json:
        await kit.put(*(f"{prefix}/{key}" for key in keys), body=b"there")
        source = kit.file("file", content, age=age)
        events = kit.events()
        done = kit.buckets.upload_file(
            URL(source.as_uri()), kit.uri(f"{prefix}/{target}"), progress=events.progress, **options
        )
        outcome = await kit.attempt(done)
        stored = {key: await kit.content(key) for key in await kit.keys(f"{prefix}/")}
        return {"outcome": outcome, "events": events.of_files(), "stored": stored}

    return upload


operation("upload_file/new")(_upload_file("up1", "new"))
operation("upload_file/over a blob")(_upload_file("up2", "old", "old"))
operation("upload_file/in directories that are not there")(_upload_file("up3", "a/b/new"))
operation("upload_file/a slash behind a new name")(_upload_file("up4", "new/"))
operation("upload_file/to a directory")(_upload_file("up5", "dir", "dir/a"))
operation("upload_file/to a directory with a slash")(_upload_file("up6", "dir/", "dir/a"))
operation("upload_file/under a blob")(_upload_file("up7", "old/new", "old"))
operation("upload_file/no bytes")(_upload_file("up8", "new", content=""))
operation("upload_file/update, new")(_upload_file("up9", "new", update=True))
operation("upload_file/update, the blob is newer")(_upload_file("up10", "old", "old", age=HOUR, update=True))
operation("upload_file/update, the blob is older")(_upload_file("up11", "old", "old", age=-HOUR, update=True))
operation("upload_file/update, of the same moment")(_upload_file("up12", "old", "old", update=True))
operation("upload_file/update, the blob is newer and shorter")(
    _upload_file("up13", "old", "old", age=HOUR, content="longer than there", update=True)
)


def _upload_file_from(source: str, target: str) -> Operation:
    async def upload(kit: Kit) -> Json:
        kit.file("dir/file", "in a directory")
        (kit.work / "empty").mkdir()
        (kit.work / "link").symlink_to("dir/file")
        (kit.work / "dangling").symlink_to("nowhere")
        done = kit.buckets.upload_file(URL(f"{kit.work.as_uri()}/{source}"), kit.uri(target))
        return await kit.attempt(done, lambda: kit.keys("upf/"))

    return upload


for _source, _target in (("absent", "upf/a"), ("dir", "upf/a"), ("dir/", "upf/a"), ("dangling", "upf/a"), ("dir/file/", "upf/a"),
                         ("dir/file/x", "upf/a"), ("dir/file", ""), ("link", "upf/link")):  # fmt: skip
    operation(f"upload_file/from {_source} to {_target!r}")(_upload_file_from(_source, _target))


@operation("upload_file/a large one")
async def _upload_large(kit: Kit) -> Json:
    source = kit.file("large", bytes(range(256)) * 4096 * 17)
    events = kit.events()
    await kit.buckets.upload_file(URL(source.as_uri()), kit.uri("large/it"), progress=events.progress)
    size = (await kit.buckets.head_blob("side", "large/it")).size
    await kit.buckets.download_file(kit.uri("large/it"), kit.local("back"))
    same = source.read_bytes() == (kit.work / "back").read_bytes()
    await kit.buckets.delete_blob("side", "large/it")
    return {"events": events.of_files(), "size": size, "came back the same": same}


# --- one file down ---------------------------------------------------------------------------------------------------------


def _download_file(
    source: str, target: str, there: str | None = None, *, age: float = 0, make: str = "", **options: bool
) -> Operation:
    """Download a blob to a local name, where `there` may be already."""

    async def download(kit: Kit) -> Json:
        (kit.work / "down").mkdir()
        if make:
            (kit.work / "down" / make).mkdir()
        if there is not None:
            kit.file(f"down/{target}", there, age=age)
        events = kit.events()
        done = kit.buckets.download_file(
            kit.uri(source), URL(f"{kit.work.as_uri()}/down/{target}"), progress=events.progress, **options
        )
        outcome = await kit.attempt(done)
        return {"outcome": outcome, "events": events.of_files(), "here": kit.local_tree("down")}

    return download


operation("download_file/new")(_download_file("ten", "new"))
operation("download_file/over a file")(_download_file("ten", "old", "longer than ten bytes"))
operation("download_file/no bytes")(_download_file("zero", "new"))
operation("download_file/no directory to write to")(_download_file("ten", "a/new"))
operation("download_file/to a directory")(_download_file("ten", "dir", make="dir"))
operation("download_file/to a directory with a slash")(_download_file("ten", "dir/", make="dir"))
operation("download_file/a slash behind a new name")(_download_file("ten", "new/"))
operation("download_file/what is not there")(_download_file("nothing", "new"))
operation("download_file/a directory")(_download_file("tree", "new"))
operation("download_file/a directory with a slash")(_download_file("tree/", "new"))
operation("download_file/the bucket")(_download_file("", "new"))
operation("download_file/a slash behind a blob")(_download_file("ten/", "new"))
operation("download_file/what is not there, with a slash")(_download_file("nothing/", "new"))
operation("download_file/a blob that is a directory too")(_download_file("tree/both", "new"))
operation("download_file/a marker")(_download_file("tree/bare", "new"))
operation("download_file/update, new")(_download_file("ten", "new", update=True))
operation("download_file/update, the file is newer")(_download_file("ten", "old", "abcdefghij", age=-HOUR, update=True))
operation("download_file/update, the file is older")(_download_file("ten", "old", "abcdefghij", age=HOUR, update=True))
operation("download_file/update, the file is newer and shorter")(
    _download_file("ten", "old", "abc", age=-HOUR, update=True)
)
operation("download_file/continue, new")(_download_file("ten", "new", continue_=True))
operation("download_file/continue, newer and as long")(
    _download_file("ten", "old", "abcdefghij", age=-HOUR, continue_=True)
)
operation("download_file/continue, newer and shorter, with what the blob begins with")(
    _download_file("ten", "old", "0123", age=-HOUR, continue_=True)
)
operation("download_file/continue, newer and shorter, with something else")(
    _download_file("ten", "old", "abcd", age=-HOUR, continue_=True)
)
operation("download_file/continue, newer and longer")(
    _download_file("ten", "old", "0123456789ab", age=-HOUR, continue_=True)
)
operation("download_file/continue, older and shorter")(_download_file("ten", "old", "abcd", age=HOUR, continue_=True))
operation("download_file/update and continue, newer and shorter")(
    _download_file("ten", "old", "0123", age=-HOUR, update=True, continue_=True)
)


# --- directories up --------------------------------------------------------------------------------------------------------


def _local_directory(kit: Kit) -> None:
    for name in ("a.txt", "sub/c.txt", "sub/deep/d.txt", "zero"):
        kit.file(f"dir/{name}", "" if name == "zero" else name)
    (kit.work / "dir/empty").mkdir()


def _upload_dir(prefix: str, target: str, *keys: str, source: str = "dir", slash: str = "") -> Operation:
    async def upload(kit: Kit) -> Json:
        await kit.put(*(f"{prefix}/{key}" for key in keys), body=b"there")
        _local_directory(kit)
        events = kit.events()
        done = kit.buckets.upload_dir(
            URL(f"{kit.work.as_uri()}/{source}{slash}"), kit.uri(f"{prefix}/{target}"), progress=events.progress
        )
        return await _outcome_of_upload(kit, done, events, prefix)

    return upload


async def _outcome_of_upload(kit: Kit, done: Awaitable[object], events: Events, prefix: str) -> Json:
    outcome = await kit.attempt(done)
    async with kit.buckets.list_blobs(kit.uri(f"{prefix}/"), recursive=True) as entries:
        stored = {entry.key: entry.size async for entry in entries}
    return {"outcome": outcome, **events.of_directories(), "events": events.of_files(), "stored": stored}


operation("upload_dir/new")(_upload_dir("updir1", "new"))
operation("upload_dir/new, with a slash")(_upload_dir("updir2", "new/", slash="/"))
operation("upload_dir/into what is there")(_upload_dir("updir3", "old", "old/a.txt", "old/kept"))
operation("upload_dir/onto a blob")(_upload_dir("updir4", "old", "old"))
operation("upload_dir/onto a blob with a slash")(_upload_dir("updir5", "old/", "old"))
operation("upload_dir/onto a blob that is a directory too")(_upload_dir("updir6", "old", "old", "old/x"))
operation("upload_dir/what is not there")(_upload_dir("updir7", "new", source="absent"))
operation("upload_dir/a file")(_upload_dir("updir8", "new", source="dir/a.txt"))
operation("upload_dir/an empty one")(_upload_dir("updir9", "new", source="dir/empty"))
operation("upload_dir/under a blob")(_upload_dir("updir10", "old/new", "old", source="dir/sub"))


@operation("upload_dir/to the bucket itself")
async def _upload_to_root(kit: Kit) -> Json:
    kit.file("dir/atroot/one", "1")
    events = kit.events()
    done = kit.buckets.upload_dir(kit.local("dir"), URL("blob:side"), progress=events.progress)
    return await _outcome_of_upload(kit, done, events, "atroot")


@operation("upload_dir/links and what is no file")
async def _upload_links(kit: Kit) -> Json:
    _local_directory(kit)
    (kit.work / "dir/link.txt").symlink_to("a.txt")
    (kit.work / "dir/linked").symlink_to("sub")
    (kit.work / "dir/dangling").symlink_to("nowhere")
    os.mkfifo(kit.work / "dir/fifo")
    events = kit.events()
    done = kit.buckets.upload_dir(kit.local("dir"), kit.uri("updir11/new"), progress=events.progress)
    return await _outcome_of_upload(kit, done, events, "updir11")


@operation("upload_dir/update")
async def _upload_update(kit: Kit) -> Json:
    await kit.put(*(f"updir12/{name}" for name in ("older", "newer", "sub/newer", "longer")), body=b"there")
    kit.file("dir/older", "local", age=-HOUR)
    kit.file("dir/newer", "local", age=HOUR)
    kit.file("dir/sub/newer", "local", age=HOUR)
    kit.file("dir/sub/new", "local", age=HOUR)
    events = kit.events()
    done = kit.buckets.upload_dir(kit.local("dir"), kit.uri("updir12"), update=True, progress=events.progress)
    return await _outcome_of_upload(kit, done, events, "updir12")


@operation("upload_dir/update into what is not there")
async def _upload_update_new(kit: Kit) -> Json:
    _local_directory(kit)
    done = kit.buckets.upload_dir(kit.local("dir"), kit.uri("updir13"), update=True)
    return await kit.attempt(done, lambda: kit.keys("updir13/"))


@operation("upload_dir/a filter")
async def _upload_filter(kit: Kit) -> Json:
    _local_directory(kit)
    asked: list[str] = []

    async def wanted(path: str) -> bool:
        asked.append(path)
        return path not in ("a.txt", "sub/deep/", "empty/")

    events = kit.events()
    done = kit.buckets.upload_dir(kit.local("dir"), kit.uri("updir14"), filter=wanted, progress=events.progress)
    result = await _outcome_of_upload(kit, done, events, "updir14")
    return {**result, "asked": sorted(asked), "parents first": _parents_first(asked)}


@operation("upload_dir/a filter that fails")
async def _upload_filter_fails(kit: Kit) -> Json:
    _local_directory(kit)

    async def wanted(path: str) -> bool:
        raise KeyError(path)

    return await kit.attempt(kit.buckets.upload_dir(kit.local("dir"), kit.uri("updir15"), filter=wanted))


@operation("upload_dir/a progress that fails")
async def _upload_progress_fails(kit: Kit) -> Json:
    _local_directory(kit)

    def failing(_self: object, _data: object) -> None:
        raise KeyError("the callback broke")

    kinds = ("start", "step", "complete", "enter", "leave", "fail")
    progress = type("Failing", (kit.sdk.AbstractRecursiveFileProgress,), dict.fromkeys(kinds, failing))()
    outcome = await kit.attempt(kit.buckets.upload_dir(kit.local("dir"), kit.uri("updir16"), progress=progress))
    await asyncio.sleep(0.5)  # the released ones let go of a task that still works
    return outcome


def _async(look: Callable[[], Json]) -> Callable[[], Awaitable[Json]]:
    async def looked() -> Json:
        return look()

    return looked


def _parents_first(asked: list[str]) -> bool:
    parents = [(path, path.rstrip("/").rpartition("/")[0]) for path in asked]
    return all(not parent or asked.index(f"{parent}/") < asked.index(path) for path, parent in parents)


# --- directories down ------------------------------------------------------------------------------------------------------


def _download_dir(source: str, target: str, *there: str, make: bool = True, **options: bool) -> Operation:
    async def download(kit: Kit) -> Json:
        if make:
            (kit.work / "down").mkdir()
        for name in there:
            kit.file(f"down/{name}", "there")
        events = kit.events()
        done = kit.buckets.download_dir(
            kit.uri(source), URL(f"{kit.work.as_uri()}/down/{target}"), progress=events.progress, **options
        )
        outcome = await kit.attempt(done)
        here = kit.local_tree("down") if (kit.work / "down").is_dir() else None
        return {"outcome": outcome, **events.of_directories(), "events": events.of_files(), "here": here}

    return download


operation("download_dir/new")(_download_dir("tree/b", "new"))
operation("download_dir/new, with slashes")(_download_dir("tree/b/", "new/"))
operation("download_dir/in directories that are not there")(_download_dir("tree/a", "x/y/new"))
operation("download_dir/with no directory at all")(_download_dir("tree/a", "", make=False))
operation("download_dir/into what is there")(_download_dir("tree/a", "old", "old/one.txt", "old/kept"))
operation("download_dir/onto a file")(_download_dir("tree/a", "old", "old"))
operation("download_dir/what is not there")(_download_dir("nothing", "new"))
operation("download_dir/what is not there, with a slash")(_download_dir("nothing/", "new"))
operation("download_dir/a blob")(_download_dir("ten", "new"))
operation("download_dir/a blob with a slash")(_download_dir("ten/", "new"))
operation("download_dir/what begins a name")(_download_dir("tre", "new"))
operation("download_dir/a marker")(_download_dir("tree/bare", "new"))
operation("download_dir/a marker with blobs")(_download_dir("tree/marked", "new"))
operation("download_dir/what is not there, deeper")(_download_dir("nothing/at/all", "new"))
operation("download_dir/update into what is not there")(_download_dir("tree/a", "new", update=True))
operation("download_dir/continue into what is not there")(_download_dir("tree/a", "new", continue_=True))


@operation("download_dir/an empty bucket")
async def _download_empty(kit: Kit) -> Json:
    done = kit.buckets.download_dir(URL("blob:empty"), kit.local("new"))
    return await kit.attempt(done, _async(lambda: (kit.work / "new").is_dir()))


@operation("download_dir/a blob that is a directory too")
async def _download_both(kit: Kit) -> Json:
    await kit.put("both/x", "both/x/y")
    done = kit.buckets.download_dir(kit.uri("both"), kit.local("new"))
    return await kit.attempt(done)


def _download_again(**options: bool) -> Operation:
    async def download(kit: Kit) -> Json:
        await kit.put(*(f"again/{name}" for name in ("newer", "older", "part", "sub/newer", "new")), body=b"0123456789")
        kit.file("down/newer", "abcdefghij", age=-HOUR)
        kit.file("down/older", "abcdefghij", age=HOUR)
        kit.file("down/part", "0123", age=-HOUR)
        kit.file("down/sub/newer", "abcdefghij", age=-HOUR)
        events = kit.events()
        done = kit.buckets.download_dir(kit.uri("again"), kit.local("down"), progress=events.progress, **options)
        outcome = await kit.attempt(done)
        return {"outcome": outcome, "events": events.of_files(), "here": kit.local_tree("down")}

    return download


operation("download_dir/again")(_download_again())
operation("download_dir/again, update")(_download_again(update=True))
operation("download_dir/again, continue")(_download_again(continue_=True))


@operation("download_dir/a filter")
async def _download_filter(kit: Kit) -> Json:
    asked: list[str] = []

    async def wanted(path: str) -> bool:
        asked.append(path)
        return path not in ("a.txt", "b/c/", ".dir/", "both", "both/")

    events = kit.events()
    done = kit.buckets.download_dir(kit.uri("tree"), kit.local("new"), filter=wanted, progress=events.progress)
    outcome = await kit.attempt(done)
    return {
        "outcome": outcome, **events.of_directories(), "events": events.of_files(), "here": kit.local_tree("new"),
        "asked": sorted(asked), "parents first": _parents_first(asked),
    }  # fmt: skip


# --- addresses of directories in events --------------------------------------------------------------------------------------


@operation("events/directories up")
async def _events_up(kit: Kit) -> Json:
    _local_directory(kit)
    events = kit.events()
    await kit.buckets.upload_dir(kit.local("dir"), kit.uri("events/up"), progress=events.progress)
    return events.addresses_of_directories()


@operation("events/directories up, to the bucket itself")
async def _events_up_root(kit: Kit) -> Json:
    (kit.work / "dir").mkdir()
    events = kit.events()
    await kit.buckets.upload_dir(kit.local("dir"), URL("blob:side"), progress=events.progress)
    return events.addresses_of_directories()


@operation("events/directories down")
async def _events_down(kit: Kit) -> Json:
    events = kit.events()
    await kit.buckets.download_dir(kit.uri("tree/b/"), kit.local("new"), progress=events.progress)
    return events.addresses_of_directories()


@operation("events/directories removed")
async def _events_removed(kit: Kit) -> Json:
    await kit.put("events/rm/a", "events/rm/b/c")
    events = kit.events()
    await kit.buckets.blob_rm(kit.uri("events/rm"), recursive=True, progress=events.progress)
    return events.addresses_of_directories()


@operation("events/steps beyond the end")
async def _events_steps(kit: Kit) -> Json:
    events = kit.events()
    source = kit.file("file", "x" * 1000)
    await kit.buckets.upload_file(URL(source.as_uri()), kit.uri("events/steps"), progress=events.progress)
    await kit.buckets.download_file(kit.uri("events/steps"), kit.local("back"), progress=events.progress)
    return events.overshot()


# --- ignore files ----------------------------------------------------------------------------------------------------------


@operation("ignore/files of every kind")
async def _ignore(kit: Kit) -> Json:
    """Nearly all in one upload: a directory for each ignore file. What a rule takes is uploaded, what none speaks of is asked for."""
    for number, text in enumerate(IGNORE_FILES.values()):
        for name in IGNORED_TREE:
            kit.file(f"dir/{number:02}/{name}", "x")
        kit.file(f"dir/{number:02}/.ignore", text)
    asked: set[str] = set()

    async def wanted(path: str) -> bool:
        asked.add(path)
        return path.endswith("/")

    folders = {f"{number:02}": name for number, name in enumerate(IGNORE_FILES)}
    results: dict[str, Json] = {}
    for folder, name in folders.items():
        if name in IGNORE_FAULTS:  # one that cannot be read fails the whole upload
            results[name] = await _upload_ignored(kit, f"dir/{folder}", f"ignore/{folder}", wanted, asked)
            shutil.rmtree(kit.work / "dir" / folder)
    outcome = await _upload_ignored(kit, "dir", "ignore", wanted, asked)
    assert outcome["outcome"] is None, outcome
    for folder, name in folders.items():
        if name not in IGNORE_FAULTS:
            begin = f"{folder}/"
            results[name] = {
                what: [path.removeprefix(begin) for path in outcome[what] if path.startswith(begin) and path != begin]
                for what in ("asked", "taken")
            }
    return results


async def _upload_ignored(
    kit: Kit, source: str, target: str, wanted: Callable[[str], Awaitable[bool]], asked: set[str]
) -> dict[str, Json]:
    asked.clear()
    done = kit.buckets.upload_dir(kit.local(source), kit.uri(target), filter=wanted, ignore_file_names={".ignore"})
    outcome = await kit.attempt(done)
    begin = f"{target}/"
    taken = [key.removeprefix(begin) for key in await kit.keys(begin) if not key.endswith("/")]
    return {"outcome": outcome, "asked": sorted(asked), "taken": taken}


@operation("ignore/files at several levels")
async def _ignore_levels(kit: Kit) -> Json:
    for name in (
        "above.txt",
        "top.txt",
        "a.log",
        "sub/a.log",
        "sub/b.txt",
        "sub/deep/a.log",
        "sub/deep/b.txt",
        "sub/c.md",
    ):
        kit.file(f"outer/dir/{name}", "x")
    kit.file("outer/.ignore", "above.txt\ndir/top.txt\n")
    kit.file("outer/dir/.ignore", "*.log\n")
    kit.file("outer/dir/.other", "c.md\n")
    kit.file("outer/dir/sub/.ignore", "!a.log\nb.txt\n")
    kit.file("outer/dir/sub/deep/.ignore", "!/b.txt\n")
    names = {".ignore", ".other"}
    done = kit.buckets.upload_dir(kit.local("outer/dir"), kit.uri("levels"), ignore_file_names=names)
    return await kit.attempt(done, lambda: kit.keys("levels/"))


@operation("ignore/a rule that takes is not asked about again")
async def _ignore_and_filter(kit: Kit) -> Json:
    for name in ("a.txt", "b.txt", "c.log"):
        kit.file(f"dir/{name}", "x")
    kit.file("dir/.ignore", "*.txt\n!a.txt\n")
    asked: list[str] = []

    async def wanted(path: str) -> bool:
        asked.append(path)
        return False

    done = kit.buckets.upload_dir(kit.local("dir"), kit.uri("rules"), filter=wanted, ignore_file_names={".ignore"})
    return [await kit.attempt(done, lambda: kit.keys("rules/")), sorted(asked)]


# --- keys that are hard ----------------------------------------------------------------------------------------------------


def _hard_key(prefix: str, name: str) -> Operation:
    async def hard(kit: Kit) -> Json:
        kit.file(f"dir/{name}", "x")
        await kit.buckets.upload_dir(kit.local("dir"), kit.uri(prefix))
        async with kit.buckets.list_blobs(kit.uri(f"{prefix}/"), recursive=True) as entries:
            [entry] = [entry async for entry in entries if entry.is_file()]
        found = await kit.attempt(kit.buckets.download_file(entry.uri, kit.local("back")))
        return {"key": entry.key, "by its address": found}

    return hard


_HARD = (
    "sp ace",
    "per%20cent",
    "que?stion",
    "ha#sh",
    "[set]",
    "ключ",
    "pl+us",
    "quo'te",
    "semi;colon",
    "tilde~",
    "a:b",
    "star*",
    "new\nline",
)
for _number, _name in enumerate(_HARD):
    operation(f"hard/{_name!r}")(_hard_key(f"hard{_number}", _name))


# --- signed addresses, usage -----------------------------------------------------------------------------------------------


def _signed(key: str, *seconds: int) -> Operation:
    async def signed(kit: Kit) -> Json:
        url = await kit.buckets.make_signed_url(kit.uri(key), *seconds)
        return [type(url).__name__, url.scheme, "X-Amz-Signature" in url.query or "Signature" in url.query]

    return signed


for _key, _seconds in (("ten", ()), ("ten", (60,)), ("nothing", ()), ("ten", (0,)), ("ten", (-1,)), ("ten", (604800,)), ("ten", (604801,)),
                       ("", ())):  # fmt: skip
    operation(f"signed/{_key!r} {_seconds}")(_signed(_key, *_seconds))


@operation("usage/the last is the whole")
async def _usage(kit: Kit) -> Json:
    async with kit.buckets.get_disk_usage("side") as usages:
        seen = [usage async for usage in usages]
    async with kit.buckets.list_blobs(URL("blob:side"), recursive=True) as entries:
        sizes = [entry.size async for entry in entries]
    last = seen[-1]
    return [last.total_bytes == sum(sizes), last.object_count == len(sizes), len(sizes) >= len(BLOBS)]


@operation("usage/an empty bucket")
async def _usage_empty(kit: Kit) -> Json:
    async with kit.buckets.get_disk_usage("empty") as usages:
        return [[usage.total_bytes, usage.object_count] async for usage in usages]


# --- buckets ---------------------------------------------------------------------------------------------------------------


def _tells(bucket: Any) -> Json:
    return [
        bucket.name,
        bucket.owner,
        bucket.cluster_name,
        bucket.imported,
        bucket.public,
        bucket.created_at.tzinfo is not None,
    ]


@operation("bucket/get by name and by id")
async def _get(kit: Kit) -> Json:
    by_name, by_id = await kit.buckets.get("side"), await kit.buckets.get(kit.bucket.id)
    return [
        _tells(by_name) == [*_tells(by_id)],
        by_name.id == kit.bucket.id,
        by_name.name,
        by_name.cluster_name,
        by_name.imported,
    ]


def _bucket_call(work: Callable[[Kit], Awaitable[object]]) -> Operation:
    async def call(kit: Kit) -> Json:
        result = await work(kit)
        return None if result is None else type(result).__name__

    return call


_CALLS: dict[str, Callable[[Kit], Awaitable[object]]] = {
    "get what is not there": lambda kit: kit.buckets.get("absent"),
    "get an id that is not there": lambda kit: kit.buckets.get("bucket-00000000-0000-0000-0000-000000000000"),
    "get in a cluster that is not there": lambda kit: kit.buckets.get("side", "elsewhere"),
    "create a name that is taken": lambda kit: kit.buckets.create("side"),
    "create a name that cannot be": lambda kit: kit.buckets.create("Not A Name"),
    "create a name too short": lambda kit: kit.buckets.create("ab"),
    "create in a cluster that is not there": lambda kit: kit.buckets.create("other", "elsewhere"),
    "rm what is not there": lambda kit: kit.buckets.rm("absent"),
    "rm what is not empty": lambda kit: kit.buckets.rm("side"),
    "head in what is not there": lambda kit: kit.buckets.head_blob("absent", "key"),
    "put into what is not there": lambda kit: kit.buckets.put_blob("absent", "key", b""),
    "credentials of what is not there": lambda kit: kit.buckets.request_tmp_credentials("absent"),
    "signed address in what is not there": lambda kit: kit.buckets.make_signed_url(URL("blob:absent/key")),
    "rm in what is not there": lambda kit: kit.buckets.blob_rm(URL("blob:absent/key")),
}
for _name, _call in _CALLS.items():
    operation(f"bucket/{_name}")(_bucket_call(_call))


@operation("bucket/a life")
async def _life(kit: Kit) -> Json:
    made = await kit.buckets.create("short-lived")
    async with kit.buckets.list() as buckets:
        listed = sorted([bucket.name async for bucket in buckets])
    removed = await kit.buckets.rm("short-lived")
    gone = await kit.attempt(kit.buckets.get("short-lived"))
    return [_tells(made)[2:], listed, removed, gone]


@operation("bucket/without a name")
async def _unnamed(kit: Kit) -> Json:
    made = await kit.buckets.create()
    await kit.buckets.put_blob(made.id, "key", b"body")
    async with kit.buckets.list_blobs(made.uri, recursive=True) as entries:
        keys = [entry.key async for entry in entries]
    await kit.buckets.blob_rm(made.uri / "key")
    await kit.buckets.rm(made.id)
    return [made.name, made.uri.name == made.id, keys]


@operation("bucket/credentials")
async def _credentials(kit: Kit) -> Json:
    issued = await kit.buckets.request_tmp_credentials("side")
    return [issued.bucket_id == kit.bucket.id, sorted(issued.credentials)]


@operation("bucket/keys of addresses")
async def _keys_for(kit: Kit) -> Json:
    uri = kit.bucket.uri
    results = [
        kit.bucket.get_key_for_uri(uri / "a" / "b.txt"),
        kit.bucket.get_key_for_uri(uri),
        kit.bucket.get_key_for_uri(uri / "a/"),
    ]
    try:
        kit.bucket.get_key_for_uri(kit.empty.uri / "x")
    except ValueError:
        results.append("ValueError")
    return results


# --- public access, persistent credentials, imports -------------------------------------------------------------------------


async def _anonymous(kit: Kit, values: Any, key: str) -> int:
    """The status that anybody gets who asks for a blob."""
    url = f"{values['endpoint_url']}/{values['bucket_name']}/{key}"

    def ask() -> int:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    return await asyncio.to_thread(ask)


@operation("public/on and off")
async def _public(kit: Kit) -> Json:
    values = (await kit.buckets.request_tmp_credentials("side")).credentials
    before = await _anonymous(kit, values, "ten")
    opened = await kit.buckets.set_public_access("side", True)
    open_to_all = await _anonymous(kit, values, "ten")
    closed = await kit.buckets.set_public_access(kit.bucket.id, False)
    return [before, opened.public, open_to_all, closed.public, await _anonymous(kit, values, "ten")]


@operation("public/what is not there")
async def _public_absent(kit: Kit) -> Json:
    return await kit.buckets.set_public_access("absent", True)


def _tells_credentials(kit: Kit, found: Any) -> Json:
    inner = [[one.bucket_id == kit.bucket.id, sorted(one.credentials)] for one in found.credentials]
    return [type(found).__name__, found.name, found.owner == kit.user, found.cluster_name, found.read_only, inner]


@operation("credentials/a life")
async def _persistent(kit: Kit) -> Json:
    made = await kit.buckets.persistent_credentials_create([kit.bucket.id], name="keys", read_only=True)
    by_name = await kit.buckets.persistent_credentials_get("keys")
    by_id = await kit.buckets.persistent_credentials_get(made.id)
    async with kit.buckets.persistent_credentials_list() as found:
        listed = [one.name async for one in found]
    again = await kit.attempt(kit.buckets.persistent_credentials_create([kit.bucket.id], name="keys"))
    removed = await kit.buckets.persistent_credentials_rm("keys")
    gone = await kit.attempt(kit.buckets.persistent_credentials_get("keys"))
    same = made.id == by_name.id == by_id.id and made.credentials[0].credentials == by_id.credentials[0].credentials
    return [_tells_credentials(kit, made), same, listed, again, removed, gone]


@operation("credentials/for several buckets")
async def _persistent_several(kit: Kit) -> Json:
    made = await kit.buckets.persistent_credentials_create(iter([kit.bucket.id, kit.empty.id]))
    await kit.buckets.persistent_credentials_rm(made.id)
    return [made.name, made.read_only, sorted(one.bucket_id == kit.bucket.id for one in made.credentials)]


@operation("credentials/for a bucket that is not there")
async def _persistent_absent(kit: Kit) -> Json:
    return await kit.buckets.persistent_credentials_create(["bucket-00000000-0000-0000-0000-000000000000"])


@operation("credentials/rm what is not there")
async def _persistent_rm_absent(kit: Kit) -> Json:
    return await kit.buckets.persistent_credentials_rm("absent")


@operation("import/a bucket with its keys")
async def _import(kit: Kit) -> Json:
    """The bucket itself, as if it were somebody else's: with keys of its own that stay."""
    keys = await kit.buckets.persistent_credentials_create([kit.bucket.id], name="for-import")
    values = dict(keys.credentials[0].credentials)
    provider_bucket_name = values.pop("bucket_name")
    minio = kit.sdk.Bucket.Provider.MINIO
    try:
        made = await kit.buckets.import_external(minio, provider_bucket_name, values, name="imported")
        try:
            async with kit.buckets.fetch_blob("imported", "ten") as chunks:
                body = b"".join([chunk async for chunk in chunks]).decode()
        finally:
            await kit.buckets.rm("imported")
    finally:
        await kit.buckets.persistent_credentials_rm("for-import")
    return [made.name, made.imported, made.provider.value, body, await kit.content("ten")]


@operation("import/a bucket with keys that do not open it")
async def _import_wrong(kit: Kit) -> Json:
    values = (await kit.buckets.request_tmp_credentials("side")).credentials
    wrong = {"access_key_id": "no", "secret_access_key": "body", "endpoint_url": values["endpoint_url"]}
    return await kit.buckets.import_external(
        kit.sdk.Bucket.Provider.MINIO, values["bucket_name"], wrong, name="imported"
    )


# --- the surface -----------------------------------------------------------------------------------------------------------


@operation("surface/signatures")
async def _signatures(kit: Kit) -> Json:
    def told(method: Callable[..., object]) -> Json:
        plain = (str, int, bool, type(None))
        return [
            [
                one.name,
                one.kind.name,
                one.default is not one.empty,
                one.default if isinstance(one.default, plain) else type(one.default).__name__,
            ]
            for one in list(inspect.signature(method).parameters.values())[1:]
        ]

    methods = inspect.getmembers(kit.sdk.Buckets, inspect.isfunction)
    return {name: told(method) for name, method in methods if not name.startswith("_")}


@operation("surface/errors")
async def _errors(kit: Kit) -> Json:
    kinds = [kind for kind in vars(kit.sdk).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return {kind.__name__: {"raises": kit.caught_as(kind)} for kind in kinds}


_CLASSES = ("Bucket", "BucketCredentials", "PersistentBucketCredentials", "BucketEntry", "BlobObject", "BlobCommonPrefix",
            "StorageProgressStart", "StorageProgressStep", "StorageProgressComplete", "StorageProgressEnterDir",
            "StorageProgressLeaveDir", "StorageProgressFail", "StorageProgressDelete")  # fmt: skip


@operation("surface/fields")
async def _fields(kit: Kit) -> Json:
    return {name: [field.name for field in dataclasses.fields(getattr(kit.sdk, name))] for name in _CLASSES}


@operation("surface/modules")
async def _modules(kit: Kit) -> Json:
    named = [*_CLASSES, "Buckets", "AbstractFileProgress", "AbstractRecursiveFileProgress", "AbstractDeleteProgress"]
    return [name for name in named if getattr(kit.sdk, name).__module__ != kit.sdk.__name__]


@operation("surface/frozen")
async def _frozen(kit: Kit) -> Json:
    return await kit.attempt(_set_name(kit.bucket))


async def _set_name(bucket: Any) -> None:
    bucket.name = "other"


@operation("surface/providers")
async def _providers(kit: Kit) -> Json:
    return sorted(provider.value for provider in kit.sdk.Bucket.Provider)
