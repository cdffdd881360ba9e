"""Configurations that would run code: what they name, where they name it, and whether it ran."""

import copy
import sys

import torch
import yaml

from wavelight.systems.base import CONFIG_KEY
from wavelight.weights import write_safetensors

PACKAGE = "payload_package"


class Payloads:
    """Things to name in a configuration that leave a file behind when they run."""

    def __init__(self, folder):
        self.mark = folder / "payload_ran"
        package = folder / "payloads" / PACKAGE
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"open({str(self.mark)!r}, 'w').close()\n")
        self.path = str(package.parent)

    def __getitem__(self, kind):
        touch = f"touch {self.mark}"
        return {
            "shell": {"class_path": "os.system", "init_args": {"command": touch}},
            "output": {"class_path": "subprocess.getoutput", "init_args": {"cmd": touch}},
            "process": {"class_path": "subprocess.Popen", "init_args": {"args": touch.split()}},
            "eval": {"class_path": "builtins.eval", "init_args": {"source": f"open('{self.mark}', 'w')"}},
            "import": {"class_path": f"{PACKAGE}.Anything"},
            "import by a text": f"{PACKAGE}.Anything",
            "import by a function": f"{PACKAGE}.anything",
            "shell by a text": "os.system",
            "lambda": f"lambda *_: __import__('os').system('{touch}')",
            "through our own modules": {
                "class_path": "wavelight.systems.base.torch.hub.os.system",
                "init_args": {"command": touch},
            },
            "through our modules' imports": {
                "class_path": "data_modules.datamodule.os.system",
                "init_args": {"command": touch},
            },
            "through torch's": {
                "class_path": "torch.nn.modules.module.functools.reduce",
                "init_args": {"function": "os.system", "sequence": [touch]},
            },
            "a package that begins like ours": {"class_path": f"data_modules_{PACKAGE}.Anything"},
            "a function of ours": {
                "class_path": "data_modules.prepare.prepare",
                "init_args": {"path": str(self.mark.parent), "out": str(self.mark)},
            },
            "a classmethod of ours": {
                "class_path": "wavelight.systems.WaveDiff.load_from_checkpoint",
                "init_args": {"checkpoint_path": str(self.mark)},
            },
        }[kind]  # fmt: skip

    @property
    def ran(self):
        return self.mark.exists() or PACKAGE in sys.modules


KINDS = [
    "shell", "output", "process", "eval", "import", "import by a text", "import by a function", "shell by a text",
    "lambda", "through our own modules", "through our modules' imports", "through torch's",
    "a package that begins like ours", "a function of ours", "a classmethod of ours",
]  # fmt: skip


def with_value(config, option, value):
    """Return a configuration in which an option, by its keys, has another value."""
    changed = copy.deepcopy(config)
    section = changed
    *keys, last = option
    for key in keys:
        section = section[key]
    section[last] = value
    return changed


def checkpoint(path, config):
    """Write a checkpoint without weights, which nothing needs that refuses its configuration."""
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    if path.suffix == ".safetensors":
        write_safetensors(path, {"weight": torch.zeros(1)}, {CONFIG_KEY: text})
    else:
        torch.save({"state_dict": {}, CONFIG_KEY: text}, path)
    return path
