"""The records of a file of Weights & Biases."""


def records(content, header=7, block=32768):
    """Take a W&B file apart, which is a log of LevelDB's format: checksum, length, whole or part, and the data."""
    assert content[:4] == b":W&B"
    position, parts = header, b""
    while position + 7 <= len(content):
        if block - position % block < 7:
            position += block - position % block
            continue
        length, kind = (
            int.from_bytes(content[position + 4 : position + 6], "little"),
            content[position + 6],
        )
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""
