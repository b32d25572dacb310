"""What every bucket holds before the operations begin, and the patterns that are tried on it."""

from collections.abc import Mapping

TREE = (
    "tree/a.txt", "tree/a/one.txt", "tree/a/two.txt", "tree/a-b.txt", "tree/b/c/d/deep.txt", "tree/b/x.bin", "tree/both",
    "tree/both/inside.txt", "tree/.hidden", "tree/.dir/file", "tree/z.json", "tree/Upper.TXT",
)  # fmt: skip
MARKERS = ("tree/marked/", "tree/marked/child.txt", "tree/bare/")
GLOBBED = (
    "glob/f1", "glob/f10", "glob/f2", "glob/foo.txt", "glob/bar.json", "glob/.dot", "glob/sub/f1", "glob/sub/x.json",
    "glob/sub/deeper/x.json", "glob/sub/deeper/y.bin", "glob/other/x.json", "glob/m/x.json", "glob/m/", "glob/m/d/x.json",
    "glob/a-b", "glob/a_b", "glob/aXb", "glob/back", "glob/Up", "glob/{brace}", "glob/a+b", "glob/a.b", "glob/(p)", "glob/$",
)  # fmt: skip

BLOBS: Mapping[str, bytes] = {
    **{key: b"" if key.endswith("/") else key.encode() for key in (*TREE, *MARKERS, *GLOBBED)},
    "ten": b"0123456789",
    "zero": b"",
}

# In these no character is special to a URL, so that what they mean is all that is compared.
PLAIN_PATTERNS = (
    "*", "f*", "f1*", "*1", "f1", "foo*", "*.txt", "*.json", ".*", ".d*", "*o*", "sub", "sub/", "sub/*", "s*/*", "*/x.json",
    "*/*", "*/*.json", "*/", "**", "**/", "**/x.json", "**/*.json", "**/f1", "**/f*", "sub/**", "sub/**/x.json", "sub/**/*",
    "*/**", "*/**/x.json", "**/deeper/*", "**/sub/**", "s**", "**b", "a*b", "*-*", "nothing*", "nothing/*", "nothing", "m/*",
    "m/*/x.json", "m/**", "m*", "m/", "*/deeper/*", "*/*/*", "*/*/*/*", "U*", "u*", "{brace}", "{b*", "a+*", "a.*", "(*", "$*",
    "***", "*f*1*", "sub/deeper", "sub/deeper/x.json", "sub//x.json", "**/**/x.json",
)  # fmt: skip
# A URL cannot hold these as they are, so they come percent-encoded.
ENCODED_PATTERNS = (
    "f%3F", "f%3F%3F", "%3F1", "%3Foo.txt", "[fb]oo.txt", "f[0-9]", "f[!1]", "a[-_]b", "a[!-]b", "[", "[a", "f[]", "[]]*", "[f]1",
    "%5Cf1", "f%5C1", "back%5C", "[z-a]*", "f[1", "%5C*", "sub/[xf]*", "[!f]*", "**/[x]*",
)  # fmt: skip

# Files of one directory, and what ignore files are tried on it. The filter that watches takes nothing.
IGNORED_TREE = (
    "a.txt", "b.log", "foo", "foo.txt", "bar/foo", "bar/a.txt", "bar/b.log", "build/out.bin", "src/build/out.bin",
    "sp ace", "tail ", "#hash", "!bang", "[x]", "back\\slash", "docs/a.txt", "docs/sub/a.txt", "Foo", "é.txt", ".hid",
)  # fmt: skip
_IGNORE_TEXTS: Mapping[str, str | bytes] = {
    "nothing": "",
    "a name": "foo",
    "a suffix": "*.log",
    "all": "*",
    "all but one": "*\n!a.txt",
    "all but directories": "*\n!*/",
    "a directory": "build/",
    "a file as directory": "foo/",
    "anchored": "/foo",
    "anchored directory": "/build",
    "anchored by a slash inside": "docs/a.txt",
    "a slash inside does not match deeper": "build/out.bin",
    "stars inside a path": "docs/*.txt",
    "two stars first": "**/a.txt",
    "two stars first, with a directory": "**/build",
    "two stars last": "docs/**",
    "two stars inside": "docs/**/a.txt",
    "two stars alone": "**",
    "two stars in a name": "b**.log",
    "one star as directory": "*/a.txt",
    "one star as directory, twice": "*/*/a.txt",
    "question mark": "fo?",
    "question mark is no slash": "bar?foo",
    "a set": "[ab].*",
    "a set that is negated": "[!a].txt",
    "a range": "[a-f]oo",
    "a set never closed": "[x",
    "a set that is escaped": "\\[x]",
    "comment": "#hash\nfoo",
    "an escaped hash": "\\#hash",
    "an escaped bang": "\\!bang",
    "negation last wins": "*.txt\n!foo.txt",
    "negation first loses": "!foo.txt\n*.txt",
    "negation inside of what is left out": "bar/\n!bar/foo",
    "negation of a name at any depth": "*.txt\n!a.txt",
    "trailing blanks": "foo   ",
    "trailing blank, escaped": "tail\\ ",
    "leading blank": " foo",
    "blank inside": "sp ace",
    "a tab at the end": "foo\t",
    "blank line": "\n\nfoo\n\n",
    "blanks only": "   ",
    "windows lines": "foo\r\nb.log\r\n",
    "a byte order mark": b"\xef\xbb\xbffoo",
    "no UTF-8": b"foo\n\xff\xfe\n",
    "not ASCII": "é.txt",
    "case counts": "FOO",
    "a slash alone": "/",
    "a dot": ".",
    "dot slash": "./foo",
    "a backslash": "back\\\\slash",
    "a backslash at the end": "foo\\",
    "hidden": ".*",
    "twice a bang": "!!bang",
    "a bang alone": "!",
    "double slash": "docs//a.txt",
    "directory at any depth": "sub/",
    "star and slash": "*/",
    "star in the middle": "b*d",
    "brace": "{foo,bar}",
    "path with a slash last": "src/build/",
    "negated directory": "*\n!docs/\n!docs/a.txt",
}
IGNORE_FILES: Mapping[str, bytes] = {
    name: text.encode() if isinstance(text, str) else text for name, text in _IGNORE_TEXTS.items()
}
# Of these, some client says that it cannot read them.
IGNORE_FAULTS = {"no UTF-8", "a backslash at the end", "a bang alone"}
