"""Picture files with faults, one for each number: cut, flipped, zeroed, joined, or with other numbers in the head."""

import io
import random

from tests.pictures import picture

_KINDS = [
    ("png", "RGB", {}),
    ("png", "P", {}),
    ("png", "RGBA", {}),
    ("png", "I;16", {}),
    ("png", "1", {}),
    ("jpeg", "RGB", {"quality": 90}),
    ("jpeg", "L", {"progressive": True}),
    ("jpeg", "CMYK", {}),
    ("webp", "RGB", {"lossless": True}),
    ("webp", "RGBA", {"quality": 50}),
    ("gif", "P", {}),
    ("bmp", "RGB", {}),
    ("tiff", "RGB", {"compression": "tiff_lzw"}),
    ("tiff", "L", {"compression": "jpeg"}),
    ("tiff", "I;16", {}),
    ("ppm", "RGB", {}),
]
_HEAD = 64


def malformed(number: int) -> tuple[str, bytes]:
    """Return the name and the content of a file with a fault.

    Args:
        number: Of the fault.
    """
    chance = random.Random(number)
    kind, data = _good(number)
    fault = chance.choice(
        [_cut, _cut, _flipped, _flipped, _zeroed, _of_head, _of_head, _joined, _random]
    )
    return f"{number}.{kind}", fault(data, chance)


def _good(number: int) -> tuple[str, bytes]:
    kind, mode, options = _KINDS[number % len(_KINDS)]
    image = picture(number, 24)
    image = image.convert("L").convert("I").convert(mode) if mode[0] == "I" else image.convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return kind, file.getvalue()


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 5, 50])):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _zeroed(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    length = min(chance.choice([4, 64, 1024]), len(data) - start)
    return data[:start] + bytes(length) + data[start + length :]


def _of_head(data: bytes, chance: random.Random) -> bytes:
    """Change numbers where sizes, depths and lengths stand."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 2, 8])):
        place = chance.randrange(min(_HEAD, len(data)))
        changed[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
    return bytes(changed)


def _joined(data: bytes, chance: random.Random) -> bytes:
    other = _good(chance.randrange(1000))[1]
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


def _random(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.choice([0, 8, 16])] + chance.randbytes(chance.choice([0, 1, 500]))
