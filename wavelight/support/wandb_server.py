"""The server of Weights & Biases: whether it can be reached, and how long is waited for it."""

import os
import ssl
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

_SECONDS_TO_ANSWER = 5.0
_QUESTION = b'{"query": "query { serverInfo { cliVersionInfo } }"}'
_FROM_SERVER_ERRORS = 500
_KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
"""Variables of the environment that let a process log in."""

_SECONDS = {"init_timeout": 30.0, "finish_timeout": 300.0}
"""How long W&B may take to start a run, by its own rule 90, and to send the rest at the end, by its own for ever."""


def why_offline() -> str | None:
    """Return why a run cannot log to W&B, or None if it can, or if ``WANDB_MODE`` has decided for offline already."""
    if os.environ.get("WANDB_MODE", "online") != "online":
        return None
    return why_no_server()


def why_no_server() -> str | None:
    """Return why W&B can be asked nothing, or None if it answers and there is a key; ``WANDB_MODE`` decides nothing."""
    from wandb.sdk import wandb_setup

    # Unlike `wandb.setup`, it starts no process, which would talk to the server.
    url = wandb_setup.singleton().settings.base_url
    if not _has_key(url):
        return "there is no API key (`wandb login` makes one)"
    return why_unreachable(url)


def _has_key(url: str) -> bool:
    """Return whether somebody has logged in to a server, without asking or telling anybody."""
    if any(os.environ.get(name) for name in _KEYS):
        return True
    # `wandb login` writes it there; W&B's own functions that read it warn or ask, by its version.
    from requests.utils import get_netrc_auth

    return get_netrc_auth(url) is not None


def why_unreachable(url: str, seconds: float = _SECONDS_TO_ANSWER) -> str | None:
    """Return why a server is of no use now, or None if it answers.

    Args:
        url: Where it is; proxies are those of the environment.
        seconds: How long it may take to answer, its name included.
    """
    host = urlparse(url).hostname or url
    try:
        status = _in_time(lambda: _status(url, seconds), seconds)
    except Empty:
        return f"{host} has not answered within {seconds:g} seconds"
    except (OSError, ValueError) as error:
        return f"{host} cannot be reached ({error})"
    return f"{host} answers {status}" if status >= _FROM_SERVER_ERRORS else None


def patience() -> dict[str, float]:
    """Return settings of W&B for how long it waits, but those that the environment has."""
    import wandb

    return {
        name: seconds
        for name, seconds in _SECONDS.items()
        if f"WANDB_{name.upper()}" not in os.environ and name in wandb.Settings.model_fields
    }


def _status(url: str, seconds: float) -> int:
    headers = {"Content-Type": "application/json"}
    # Asked of what a run asks, since a proxy in front of a dead server answers other addresses.
    request = Request(f"{url.rstrip('/')}/graphql", _QUESTION, headers)
    try:
        # Longer than the whole is waited for, so that one of the two gives up.
        with urlopen(request, timeout=2 * seconds) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except URLError as error:
        # It is there; W&B has settings of its own for certificates.
        if isinstance(error.reason, ssl.SSLError):
            return 0
        raise


def _in_time(function: Callable[[], int], seconds: float) -> int:
    """Return what a function returns, in a thread: a name server that is down has no timeout.

    Raises:
        Empty: If it takes longer.
    """
    results: SimpleQueue[Any] = SimpleQueue()

    def run() -> None:
        try:
            results.put(function())
        except Exception as error:
            results.put(error)

    Thread(target=run, daemon=True).start()
    result = results.get(timeout=seconds)
    if isinstance(result, Exception):
        raise result
    return int(result)
