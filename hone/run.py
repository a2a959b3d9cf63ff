"""A run that is logged from here: `run = hone.init(project="...")`, `run.log({...})`, `run.finish()`."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from hone import ending
from hone.columns import check_name, number
from hone.delivery import Delivery, Sender
from hone.errors import HoneError
from hone.journal import Journal
from hone.media import Media
from hone.writer import EARLY_ROWS, MOST_ROWS, Writer

WRITE_TIMEOUT_S, SEND_TIMEOUT_S = 10.0, 60.0
NO_STEP = 2**63  # the first that the server can not hold
SILENT, FORKED, ENDED = "silent", "forked", "ended"
logger = logging.getLogger("hone")


class Run:
    """`log` only appends to a queue in memory. One thread writes the queue to disk, one sends the disk to the server.

    A process forked from the one that called `init` logs nothing (and says so once): call `init` there.
    """

    def __init__(self, delivery: Delivery | None) -> None:
        """Without a delivery it is silent: another rank logs."""
        self._state = SILENT if delivery is None else ""
        self._step = 0
        self._names: set[str] = set()
        self._has_refused = False
        if delivery is None:
            return
        self._journal: Journal = delivery.journal
        self._sender = Sender(delivery)
        self._writer = Writer(self._journal, self._sender.wake)
        self._rows = self._writer.rows
        self._writer.start()
        self._sender.start()
        ending.watch(self)

    @property
    def id(self) -> int | None:
        """The run's number; None on a silent rank and while the server has not been reached."""
        return None if self._state == SILENT else self._journal.facts["id"]

    @property
    def url(self) -> str | None:
        """The run's page."""
        return None if self._state == SILENT else self._journal.facts.get("page")

    @property
    def is_silent(self) -> bool:
        return self._state == SILENT

    @property
    def dropped(self) -> int:
        """Points and media that were lost because the disk did not keep up or was full, or their series was."""
        return 0 if self._state == SILENT else self._writer.dropped

    def log(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """One value for each metric, at `step`, or at the one after the last call's.

        A value may also be a hone.Image or a hone.Histogram.

        A value is any one number: a float, a numpy scalar, a tensor (to read one from a GPU is to wait for it). Of two
        values of a metric at one step the later one counts. Raises HoneError for what is no number, name or step.
        """
        if self._state:
            self._refuse()
            return
        if step is None:
            step = self._step
        elif type(step) is not int or not 0 <= step < NO_STEP:
            step = _whole(step)
        is_usual = metrics.keys() <= self._names
        for value in metrics.values():
            if type(value) is not float:
                is_usual = False
                break
        if is_usual:  # written out, since this is the call that a training loop waits for
            values = metrics.copy()
            self._step = step + 1
        else:
            values, media = self._sorted(metrics)
            self._step = step + 1
            if media:
                self._writer.add_media(step, time.time(), media)
        waiting = len(self._rows)
        if waiting >= EARLY_ROWS:
            if waiting == EARLY_ROWS:
                self._writer.wake()
            elif waiting >= MOST_ROWS and not self._writer.has_room(len(values)):
                return
        self._rows.append((step, time.time(), values))

    def _sorted(self, metrics: dict[str, Any]) -> tuple[dict[str, float], dict[str, Media]]:
        """The numbers and the media among them. Raises HoneError."""
        values, media = {}, {}
        for name, value in metrics.items():
            if name not in self._names:
                check_name(name)
                self._names.add(name)
            if isinstance(value, Media):
                media[name] = value
            else:
                values[name] = number(name, value)
        return values, media

    def log_artifact(self, path: str | Path, name: str | None = None) -> None:
        """Uploads a file, or every file of a folder, in the background, from a copy made now.

        `name` is its path in the run: by default its own name. Raises HoneError when it can't be read.
        """
        if self._state:
            self._refuse()
            return
        source = Path(path)
        top = name or source.name
        files = [source] if source.is_file() else sorted(file for file in source.rglob("*") if file.is_file())
        if not files:
            raise HoneError(f"{source} is neither a file nor a folder with files.")
        for file in files:
            below = "" if file is source else f"/{file.relative_to(source).as_posix()}"
            self._keep(file, f"{top}{below}")

    def flush(self, timeout_s: float = WRITE_TIMEOUT_S) -> bool:
        """Waits until what has been logged so far is stored by the server. False when that takes too long or fails."""
        if self._state:
            return True
        until = time.monotonic() + timeout_s
        if not self._writer.flush(timeout_s):
            return False
        self._sender.wake()
        while self._journal.has_more():
            if self._sender.trouble is not None or time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def finish(
        self,
        status: str = "succeeded",
        *,
        result: dict[str, Any] | None = None,
        error_message: str = "",
        timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        """Ends the run and sends what is left, for so long at most; the rest waits on disk for `hone sync`.

        `status` is succeeded, failed, cancelled, out_of_memory or diverged. A second call does nothing.
        """
        if self._state:
            return
        self._state = ENDED
        ending.forget(self)
        self._writer.close(WRITE_TIMEOUT_S)
        end = {"status": status, "result": result, "error_message": error_message}
        try:
            self._journal.append("finish", json.dumps(end, default=str))
        except OSError as error:
            logger.warning("The end of the run can't be written to %s: %s.", self._journal.folder, error.strerror)
        self._sender.close(timeout_s)
        self._part()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """An exception ends the run as failed, Ctrl-C as cancelled."""
        self.finish(**(ending.story(error) if error is not None else {}))

    def leave(self) -> None:
        """In a forked child: nothing of the parent's run is touched from here."""
        if self._state != SILENT:
            self._state = FORKED
            self._journal.close()

    def _part(self) -> None:
        if self.dropped:
            logger.warning("Run %s: %s points or media were dropped.", self.id, self.dropped)
        if self._sender.finished:
            self._journal.remove()
            return
        self._journal.close()
        logger.warning(
            "Run %s is not wholly sent. `hone sync` sends what is left in %s.", self.id, self._journal.folder
        )

    def _keep(self, file: Path, path: str) -> None:
        try:
            entry = {"path": path, "file": self._journal.keep(file)}
            self._journal.append("file", json.dumps(entry))
        except OSError as error:
            raise HoneError(f"{file} can't be kept for the upload: {error.strerror}.") from None
        self._sender.wake()

    def _refuse(self) -> None:
        if self._state == SILENT or self._has_refused:
            return
        self._has_refused = True
        why = "this is a forked process: call hone.init here" if self._state == FORKED else "it has ended"
        logger.warning("Run %s logs nothing more: %s.", self.id, why)


def _whole(step: Any) -> int:
    """numpy's whole numbers and such. Raises HoneError."""
    try:
        whole = step.__index__()
    except (AttributeError, TypeError):
        whole = -1
    if isinstance(step, bool) or not 0 <= whole < NO_STEP:
        raise HoneError(f"A step must be a whole number from 0 to 2^63 - 1, not {step!r:.60}.")
    return int(whole)
