"""500 picture files with faults: each is read, or said to be no image in one sentence that names it."""

import time

import pytest
import torch

from data_modules import ImageFolder
from data_modules.errors import UnusableImageError
from tests.malformed_images import malformed

NUMBERS = range(500)
A_TEST = 50


@pytest.mark.parametrize("first", NUMBERS[::A_TEST])
@pytest.mark.filterwarnings("error")
def test_malformed_pictures_are_read_or_named(tmp_path, first):
    read = 0
    for number in range(first, first + A_TEST):
        name, content = malformed(number)
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_bytes(content)
        begun = time.process_time()
        try:
            image = ImageFolder(folder).read(0, 16).image
        except UnusableImageError as error:
            message = str(error)
            assert name in message
            assert "\n" not in message
            assert len(message) < 500
        else:
            read += 1
            assert (image.shape, image.dtype) == ((3, 16, 16), torch.uint8)
        assert time.process_time() - begun < 2, number
    # Some have a fault that changes pixels alone, and most do not.
    assert 0 < read < A_TEST / 2
