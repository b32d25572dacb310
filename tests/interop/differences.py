"""Where a result of ours differs from the released ones', and why. What came of each with each client stands in `recorded.json`.

The faults are those of section 7 of the facts about the released system, which are told here in a few words each.
"""

from collections.abc import Mapping

_SET = "fault 4: their pattern keeps the percent-encoding of the URL, so `?` and `[...]` never match"
_ENCODED = "fault 4: their key keeps the percent-encoding of the URL, so what entry.uri names is not found again"
_MARKER = (
    "fault 7: a marker `m/` matches an empty rest of the pattern, so it comes without having a name of its own there"
)
_RAW = "fault 10: botocore's own error leaks; the reference promises ResourceNotFound for a key that is not there"
_PAST_END = (
    "fault 10: an offset at or past the end is botocore's error; there is nothing to read, so ours reads nothing"
)
_BOTH = "fault 5: a key that is a blob and a directory cannot be addressed as the blob it is"
_HALF = "fault 6: what is newer and holds just the beginning of the blob is what an interrupted download of theirs left; ours fetches it"
_GITIGNORE = "the reference: `The format of ignore files is the same as .gitignore`; git says as ours does"
_OPAQUE = "fault 5: a key is an opaque string, so `a/` is not `a`, and `tree/.` begins what its letters say"

ALLOWED: Mapping[str, str] = {
    "list/tree/.": _OPAQUE,
    "list/tree/. recursive": _OPAQUE,
    "address/blob:side//ten": _OPAQUE,
    "download_file/a slash behind a blob": _OPAQUE,
    "list/tree/ limit 0": "fault 11: their limit of 0 is none; the reference: `Maximum number of BucketEntry objects returned`",
    "glob/f1*": "fault of section 2.4: the entry whose key is where the scan begins is left out",
    "glob/*/": "fault 7: `*/` is for directories; theirs gives files too",
    "glob/m/*/x.json": _MARKER,
    "glob/*/*/*": _MARKER,
    "glob/*/*/*/*": _MARKER,
    "glob/{brace}": _ENCODED,
    "glob/{b*": _ENCODED,
    "glob/$*": _ENCODED,
    "glob encoded/f%3F": _SET,
    "glob encoded/f%3F%3F": _SET,
    "glob encoded/%3F1": _SET,
    "glob encoded/%3Foo.txt": _SET,
    "glob encoded/[fb]oo.txt": _SET,
    "glob encoded/f[0-9]": _SET,
    "glob encoded/f[!1]": _SET,
    "glob encoded/a[-_]b": _SET,
    "glob encoded/a[!-]b": _SET,
    "glob encoded/[f]1": _SET,
    "glob encoded/%5Cf1": _SET,
    "glob encoded/f%5C1": _SET,
    "glob encoded/sub/[xf]*": _SET,
    "glob encoded/[!f]*": _SET,
    "glob encoded/**/[x]*": _SET,
    "head/tree/a/": "the engine tells of a directory as if it were a blob; nobody has put the key, so it is not there",
    "fetch/ten from 10": _PAST_END,
    "fetch/ten from 11": _PAST_END,
    "fetch/nothing from 0": _RAW,
    "fetch/nothing from 3": _RAW,
    "fetch/tree/a from 0": _RAW,
    "fetch/ten from -1": "theirs sends a range that means nothing, and the engine takes no notice; ours refuses the argument",
    "rm/a blob recursively": "fault 2: it says that it did, and deletes nothing",
    "rm/a blob that is a directory too": _BOTH,
    "rm/a blob that is a directory too, recursively": _BOTH,
    "rm/a slash behind a blob": _OPAQUE,
    "address/blob:": "there is no bucket in it: refused before anything is sent, and a ValueError as well",
    "address/blob:/{user}": "there is no bucket in it: refused before anything is sent, and a ValueError as well",
    "address/text in place of a URL": "theirs stumbles over it (AttributeError); ours says that it is no URL, and is a TypeError",
    "address local/file:sub/../rel.txt": "ours resolves `..` as a URL does; theirs asks for a directory `sub` first",
    "download_file/no directory to write to": "theirs tells of a start before it looks; ours looks first",
    "download_file/a blob that is a directory too": _BOTH,
    "download_file/continue, newer and shorter, with something else": (
        "fault 6: theirs appends to whatever is there; ours goes on only with what it has begun itself, by its ETag"
    ),
    "download_file/update and continue, newer and shorter": _HALF,
    "download_dir/update into what is not there": "fault 11: update into a directory that is not there fails",
    "download_dir/continue into what is not there": "fault 11: continue into a directory that is not there fails",
    "download_dir/a blob that is a directory too": "fault 5: theirs leaves the blob out and says nothing; ours says which",
    "download_dir/again, update": _HALF,
    "download_dir/a filter": "fault 5: theirs takes the blob `both` for the directory `both/`, and asks for that twice",
    "events/steps beyond the end": "23.2 counts the bytes of the wire; 26.9 has mended it",
    "ignore/two stars last": _GITIGNORE,
    "ignore/a bang alone": f"{_GITIGNORE}: a rule that says nothing; theirs takes all directories, without asking the filter",
    "ignore/blanks only": f"{_GITIGNORE}: a line of blanks says nothing, theirs leaves all directories out",
    "ignore/no UTF-8": "another ValueError, which names the file",
    "hard/'sp ace'": _ENCODED,
    "hard/'que?stion'": _ENCODED,
    "hard/'ha#sh'": _ENCODED,
    "hard/'[set]'": _ENCODED,
    "hard/'ключ'": _ENCODED,
    "hard/'new\\nline'": _ENCODED,
    "usage/an empty bucket": "fault 11: theirs yields nothing, and its command line crashes on that; ours yields one zero",
}

TO_MEND: Mapping[str, str] = {}
"""Faults of ours, found here and told to who can mend them. Each entry goes when its fault does."""
