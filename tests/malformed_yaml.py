"""Configuration files with faults, one for each number: what editors, merges, copies and people leave behind."""

import random

import yaml

_SIGNS = "\t:-[]{}&*!|>'\"%@`,#?\\\0\ufeff\u2028\ud7ff é\n "

_VALUES = [
    None,
    True,
    "",
    " ",
    "null",
    "nan",
    -1,
    0,
    10**30,
    1e300,
    float("inf"),
    float("nan"),
    "1e-3x",
    "9" * 5000,
    "a" * 20000,
    "../../..",
    "/dev/null",
    "{}",
    [],
    {},
    [[]],
    [None],
    {"class_path": "torch.nn.Linear"},
    {"class_path": "no.such.Class"},
    {"class_path": None},
    {"class_path": "torch.optim.Adam", "init_args": []},
    {"init_args": {"lr": 1}},
    {"": {"": ""}},
    {1: 2},
    ["x"] * 50,
    "12:30",
    "2026-11-27",
    b"\x00\xff",
]

_TEXTS = [
    "",
    "\n\n\n",
    "---\n---\n",
    "- a\n- b\n",
    "just words",
    "42",
    "a: b: c",
    "\t a: 1",
    "a: &a [*a]",
    "a: &a {b: *a}",
    "<<: *unknown",
    "!!python/object/apply:os.system ['true']",
    "!!binary notbase64!",
    "!unknown tag",
    "base: []",
    "base: {}",
    "base: 5",
    "base: [5]",
    "base: missing.yaml",
    "base: .",
    "base: ''",
    "base: [[[[]]]]",
    "a: *b",
    "? [a, b]\n: c",
    "{" * 2000,
    "[" * 2000,
    "a: " + "[" * 500 + "]" * 500,
    "a: " + "{b: " * 500 + "1" + "}" * 500,
    "- " * 3000 + "x",
    "%YAML 9.9\n---\na: 1",
    "a: 'unclosed",
    'a: "\\x"',
    "trainer: [1]\nmodel: 3\ndata: x",
    "nonsense: 1",
    "model:\n  class_path: wavelight.systems.SGM",
]


def malformed(number: int, text: str) -> bytes:
    """Return a file with a fault.

    Args:
        number: Of the fault.
        text: A file without.
    """
    if number < len(_TEXTS):
        return _TEXTS[number].encode()
    chance = random.Random(number)
    kind = chance.choice([_of_signs, _of_lines, _of_values, _of_values, _of_values, _of_bytes])
    return kind(text, chance)


def _of_signs(text: str, chance: random.Random) -> bytes:
    signs = list(text)
    for _ in range(chance.choice([1, 1, 2, 10])):
        place = chance.randrange(len(signs))
        change = chance.choice(["drop", "put", "swap"])
        if change == "drop":
            del signs[place]
        elif change == "put":
            signs.insert(place, chance.choice(_SIGNS))
        else:
            signs[place] = chance.choice(_SIGNS)
    return "".join(signs).encode()


def _of_lines(text: str, chance: random.Random) -> bytes:
    lines = text.splitlines(keepends=True)
    place = chance.randrange(len(lines))
    change = chance.choice(["cut", "drop", "twice", "indent", "merge conflict", "cut in a line"])
    if change == "cut":
        del lines[place:]
    elif change == "drop":
        del lines[place]
    elif change == "twice":
        lines.insert(chance.randrange(len(lines)), lines[place])
    elif change == "indent":
        lines[place] = chance.choice([" ", "  ", "\t", "    "]) + lines[place]
    elif change == "merge conflict":
        lines[place:place] = ["<<<<<<< HEAD\n", lines[place], "=======\n"]
    else:
        lines[place:] = [lines[place][: chance.randrange(len(lines[place]))]]
    return "".join(lines).encode()


def _of_values(text: str, chance: random.Random) -> bytes:
    content = yaml.safe_load(text)
    places = list(_places(content))
    inside, key = chance.choice(places)
    inside[key] = chance.choice(_VALUES)
    if chance.random() < 0.2 and isinstance(inside, dict):
        inside[chance.choice(["class_path", "init_args", "x y", 3, None])] = inside.pop(key)
    return yaml.safe_dump(content).encode()


def _of_bytes(text: str, chance: random.Random) -> bytes:
    data = text.encode()
    change = chance.choice(["utf-16", "latin", "zeros", "random", "compressed"])
    if change == "utf-16":
        return text.encode("utf-16")
    if change == "latin":
        return "größe: 1\n".encode("latin-1") + data
    if change == "zeros":
        return bytes(len(data))
    if change == "random":
        return chance.randbytes(len(data))
    return b"\x1f\x8b\x08\x00" + chance.randbytes(100)


def _places(content):
    """Yield every place in nested content, as the container and the key."""
    for key in content if isinstance(content, dict) else range(len(content)):
        yield content, key
        if isinstance(content[key], dict | list):
            yield from _places(content[key])
