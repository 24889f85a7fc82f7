"""Writes lexer.json: what a real openvpn makes of awkward configuration lines.

Run by hand, with openvpn 2.6 on the PATH; the result is committed. Each line is tried twice: as it
stands (the error names its first word), and after ``redirect-gateway def1 `` (the error names the
first word of the line in that later place; null when there was none).
"""

import base64
import json
import subprocess
import tempfile
from pathlib import Path

TARGET = Path(__file__).with_name("lexer.json")
BAD = b"\nzzz-end-of-test\n"

LINES: tuple[bytes, ...] = (
    b"plain words here",
    b"  leading and   inner \t space ",
    b"\v\fword",
    b"carriage return\r",
    b'"double quoted" next',
    b"'single quoted' next",
    b'"a""b" c',
    b"'a''b' c",
    b"'a'\"b\"",
    b'"a"b c',
    b'a"b c"d',
    b"a'b c'd",
    b'"" after-empty',
    b"'' after-empty",
    b'"tab\\\tinside"',
    b'"quote \\" inside"',
    b'"single \' inside"',
    b"'double \" inside'",
    b"'backslash \\ inside'",
    b"'backslash \\\\ inside'",
    b'"backslash \\\\ inside"',
    b"escaped\\ space",
    b"escaped\\\ttab",
    b"double\\\\backslash",
    b'escaped\\"quote',
    b'\\"escaped-first',
    b"\\'single-first",
    b"a\\'b",
    b"a\\nb",
    b"\\x41",
    b'"a\\nb"',
    b"trailing\\",
    b"two-trailing\\\\",
    b'"trailing\\',
    b'"unbalanced',
    b"'unbalanced",
    b'a "unbalanced',
    b"a 'unbalanced",
    b'a b"',
    b"a #comment",
    b"a ;comment",
    b"a#b",
    b"a;b",
    b'a "#b"',
    b"a '#b'",
    b"a \\#b",
    b"a \\;b",
    b"#all comment",
    b";all comment",
    b"\\#not comment",
    b'a "b"#c',
    b'a "b";c',
    b"a 'b'#c d",
    b'a # "unbalanced in comment',
    b"--dashed word",
    b"-dashed word",
    b"---dashed word",
    b'"--dashed" word',
    b"-- word",
    b"-",
    b"--",
    b"<tag> word",
    b"a <tag>",
    b"a\xc3\xa9b \xe2\x82\xac",
    b"a\xffb",
    b"a\x01b",
    b"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
    b"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
    b'1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 "unread',
    b"a \\\\ b",
    b"a \\  b",
    b"a \\",
    b"C:\\\\Program\\ Files\\\\x",
    b"C:\\Program",
    b"x" * 240,
    b"x" * 249,
    b"x" * 250,
    b"x" * 254,
    b"x" * 255,
    b"x" * 300,
)

CAUSES = {
    "No closing quotation": "double-quote",
    "No closing single quotation": "single-quote",
    "Bad backslash": "backslash",
    "Maximum option line length": "length",
    "Residual parse state": "backslash",
}


def run(content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "c")
        config.write_bytes(content)
        command = ["openvpn", "--suppress-timestamps", "--config", str(config)]
        return subprocess.run(command, capture_output=True, check=False).stdout


def failure(output: bytes) -> str | None:
    text = output.decode("utf-8", "replace")
    for words, cause in CAUSES.items():
        if words in text:
            return cause
    return None


def first_word(line: bytes) -> dict[str, str | None]:
    output = run(line + BAD)
    cause = failure(output)
    if cause:
        return {"error": cause}
    marker = b":1: "
    if marker not in output:
        return {"word": None}
    word = output.split(marker, 1)[1].rsplit(b" (2.", 1)[0]
    return {"word": base64.b64encode(word).decode()}


def later_word(line: bytes) -> dict[str, str | None]:
    output = run(b"redirect-gateway def1 " + line + BAD)
    cause = failure(output)
    if cause:
        return {"error": cause}
    marker = b"unknown --redirect-gateway flag: "
    if marker not in output:
        return {"word": None}
    word = output.split(marker, 1)[1].rsplit(b"\nUse --help", 1)[0]
    return {"word": base64.b64encode(word).decode()}


def main() -> None:
    version = subprocess.run(["openvpn", "--version"], capture_output=True, check=False).stdout
    cases = [
        {
            "line": base64.b64encode(line).decode(),
            "first": first_word(line),
            "later": later_word(line),
        }
        for line in LINES
    ]
    document = {
        "origin": "tests/vectors/options/make_lexer_vectors.py",
        "tool": version.decode().split(" [", 1)[0],
        "command": "openvpn --suppress-timestamps --config FILE",
        "encoding": "line and word are base64",
        "cases": cases,
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
