"""Attendance: who of a job is still there, by what is heard of each, and the sentence about one that is not."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from wavelight.training.lines import Member, receive, send
from wavelight.training.roll_call import Roll

TICK_SECONDS = 0.25
"""Time is counted in such ticks, so that a job that was frozen as a whole goes on as if no time had passed."""

_BEAT_TICKS = 8
"""Processes tell each other so often that they are there: every 2 seconds, in 14 bytes."""

_SILENT_TICKS = 120
"""One of which nothing was heard for 30 seconds counts as lost: longer than PyTorch keeps Python waiting anywhere, and
short enough for a sentence within a minute."""

_CUT_OFF_TICKS = 40
"""After a failed collective the others have 10 seconds to fail as well; one that does not is what they waited for."""

_HEARD_TICKS = 8
"""One that ends by a fault of its own is spoken of 2 seconds later: most faults end all processes alike."""


class Attendance:
    """Keeps account of a job's processes, for one of them. Knows no clock and no thread: others call it.

    The first process hears all others and tells them whom it misses; the others hear the first one alone.

    Args:
        roll: Who came.
        standing: Returns the words that end the sentence: how far the run is, and how to go on with it.
        say: Takes the sentence about a process that is gone, once.

    Attributes:
        lines: By rank, the lines to those that are still heard.
        sentence: About the process that is gone; None where all are there.
        said: Whether it was said.
        ticks_since: Ticks since it was said.
    """

    def __init__(self, roll: Roll, standing: Callable[[], str], say: Callable[[str], None]) -> None:
        self.lines: dict[int, Connection] = {rank: peer.line for rank, peer in roll.peers.items()}
        self.sentence: str | None = None
        self.said = False
        self.ticks_since = 0
        self._own = roll.own
        self._members: Mapping[int, Member] = {
            roll.own.rank: roll.own,
            **{rank: peer.member for rank, peer in roll.peers.items()},
        }
        self._standing = standing
        self._say = say
        self._silent = dict.fromkeys(self.lines, 0)
        self._gone = set[int]()
        self._cut_off = set[int]()
        self._ticks = self._cut_off_ticks = self._unsaid_ticks = 0
        self._leaves = False
        self._may_go = False

    @property
    def may_go(self) -> bool:
        """Whether a process that leaves takes nothing away from the others: the first one goes last."""
        if self._own.rank == 0:
            return self._gone >= self.lines.keys()
        return self._may_go or not self.lines

    def hear(self, rank: int) -> None:
        """Take the next message of a process, or the end of its line."""
        try:
            message = receive(self.lines[rank])
        except OSError:
            self._hang_up(rank)
            return
        self._silent[rank] = 0
        if "leaves" in message:
            self._gone.add(rank)
            if message["leaves"]:
                self._judge([rank], f"ended with {message['leaves']}; its own output says where")
        if "cut_off" in message:
            self._cut_off.add(rank)
        if "sentence" in message:
            self._take(message["sentence"], message["at_once"])
        self._may_go |= "go" in message

    def tick(self) -> None:
        """Let a tick pass."""
        self._ticks += 1
        if self._ticks % _BEAT_TICKS == 0:
            self._tell(here=True)
        for rank in [*self.lines]:
            self._silent[rank] += 1
            if self._silent[rank] == _SILENT_TICKS and rank not in self._gone:
                self._judge(
                    [rank],
                    f"has not been heard of for {_SILENT_TICKS * TICK_SECONDS:.0f} seconds: it hangs, or its host or "
                    "the network is gone",
                )
        self._look_for_who_hangs()
        if self.said:
            self.ticks_since += 1
        elif self.sentence:
            self._unsaid_ticks += 1
            if self._unsaid_ticks >= _HEARD_TICKS and not self._leaves:
                self.speak()

    def cut_off(self) -> None:
        """Note that a collective of this process has failed, and wait to hear whose fault that is."""
        self._cut_off.add(self._own.rank)
        self._tell(cut_off=True)
        if self.sentence:
            self.speak()

    def leave(self, fault: str | None) -> None:
        """Tell the others that this process ends, and that nothing is to be said of it if it does so in peace.

        Args:
            fault: The fault that ends it, None in peace.
        """
        self._leaves = True
        self._tell(leaves=fault or "")

    def let_go(self) -> None:
        """Let those go that wait for this process."""
        self._tell(go=True)

    def speak(self) -> None:
        """Say the sentence, if there is one that was not said."""
        if self.sentence is None or self.said:
            return
        self.said = True
        self._say(self.sentence)
        # One that has ended by a fault waits until it was spoken of; whoever kills the others then is not too early.
        self._tell(leaves="", go=True)

    def _look_for_who_hangs(self) -> None:
        if self._own.rank or not self._cut_off:
            return
        self._cut_off_ticks += 1
        hangs = sorted({self._own.rank, *self.lines} - self._cut_off - self._gone)
        if self._cut_off_ticks == _CUT_OFF_TICKS and hangs:
            self._judge(
                hangs,
                "hangs: the others waited for it until a collective failed, see the timeout of trainer.strategy",
            )

    def _hang_up(self, rank: int) -> None:
        self.lines.pop(rank).close()
        if rank not in self._gone:
            self._judge(
                [rank],
                "died without a word: killed by somebody, by the system for want of memory, or by NCCL for having "
                "waited longer than the timeout",
            )

    def _judge(self, ranks: list[int], what: str) -> None:
        if self._leaves or self.sentence:
            return
        # A fault is told by the process itself; until it is gone, that can end all others alike.
        at_once = ranks[0] not in self._gone
        who = " or ".join(str(self._members[rank]) for rank in ranks)
        sentence = f"{who} {what}{self._standing()}"
        self._tell(sentence=sentence, at_once=at_once)
        self._take(sentence, at_once)

    def _take(self, sentence: str, at_once: bool) -> None:
        if self._leaves or self.sentence:
            return
        self.sentence = sentence
        if at_once or self._own.rank in self._cut_off:
            self.speak()

    def _tell(self, **message: Any) -> None:
        for line in self.lines.values():
            # The end of a line is heard, too, behind what was said on it before.
            with suppress(OSError):
                send(line, **message)
