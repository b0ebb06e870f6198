"""The obvious reading of subject transforms, as slow text work: the specification of `protocol.subject_transform`.

It knows nothing of compiling: each call reads source, destination and subject anew. Only valid transforms are modelled.
Source: config.md section 3, ADR-30.
"""

from __future__ import annotations

import re


def transform(source: str, destination: str, subject: str) -> str | None:
    """What `subject` becomes, or None if `source` does not match it; `random` is not modelled."""
    if not matches(source, subject):
        return None
    source_tokens, tokens = source.split("."), subject.split(".")
    wildcards = [token for pattern, token in zip(source_tokens, tokens, strict=False) if pattern == "*"]
    result: list[str] = []
    for text in destination.split("."):
        if text == ">":
            result += tokens[len(source_tokens) - 1 :]
        elif re.fullmatch(r"\$[0-9]+", text):
            result.append(wildcards[int(text[1:]) - 1])
        elif text.startswith("{{"):
            result.append(call(text, wildcards, subject))
        else:
            result.append(text)
    return ".".join(result)


def matches(pattern: str, subject: str) -> bool:
    """Whether a literal subject is in a pattern."""
    expressions = {"*": r"[^.]+", ">": r".+"}
    return (
        re.fullmatch(r"\.".join(expressions.get(token, re.escape(token)) for token in pattern.split(".")), subject)
        is not None
    )


def call(text: str, wildcards: list[str], subject: str) -> str:
    """The value of one `{{function(arguments)}}`."""
    found = re.fullmatch(r"\{\{(\w+)\((.*)\)\}\}", text)
    assert found is not None, text
    name, arguments = found[1].lower(), found[2].split(",")
    if name == "partition":
        key = "".join(wildcards[int(number) - 1] for number in arguments[1:]) if arguments[1:] else subject
        return str(hash_of(key) % int(arguments[0]))
    token = wildcards[int(arguments[0]) - 1]
    if name == "wildcard":
        return token
    if name == "split":
        return ".".join(part for part in token.split(arguments[1]) if part)
    size = int(arguments[1])
    if size <= 0 or size >= len(token):
        return token
    return cut(name, token, size)


def cut(name: str, token: str, size: int) -> str:
    """The functions of a token and a size smaller than it."""
    match name:
        case "left":
            return token[:size]
        case "right":
            return token[len(token) - size :]
        case "splitfromleft":
            return f"{token[:size]}.{token[size:]}"
        case "splitfromright":
            return f"{token[: len(token) - size]}.{token[len(token) - size :]}"
        case "slicefromleft":
            return ".".join(re.findall(f".{{1,{size}}}", token))
        case "slicefromright":
            return ".".join(piece[::-1] for piece in reversed(re.findall(f".{{1,{size}}}", token[::-1])))
    raise AssertionError(name)


def hash_of(key: str) -> int:
    """FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in key.encode():
        value = ((value ^ byte) * 0x01000193) % 2**32
    return value
