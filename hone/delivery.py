"""Carries a journal to the server, line after line, each once however often it is sent."""

from __future__ import annotations

import base64
import gzip
import json
import logging
import threading
import time
from queue import Empty, SimpleQueue

from hone.client import Client
from hone.columns import merged
from hone.errors import Away, HoneError, Refused
from hone.journal import Journal, Line

PERMANENT = frozenset({400, 409, 413, 415, 422})  # the line itself is not wanted; every other refusal may be mended
HEARTBEAT_S = 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
GZIP_FROM_BYTES = 1000
MOST_BYTES_TOGETHER = 500_000  # of lines that are sent as one
REST = 2  # times as long as it took: the server's time is for others too
LONGEST_REST_S = 2.0
logger = logging.getLogger("hone")


class Delivery:
    """Used by one thread at a time."""

    def __init__(self, client: Client, journal: Journal) -> None:
        self.client = client
        self.journal = journal

    def create(self) -> int:
        """The run's number; makes the run when it has none. Raises Away and Refused."""
        if self.journal.facts["id"] is None:
            made = self.client.post("/runs", self.journal.facts["body"], Idempotency_Key=self.journal.key)
            self.journal.note(id=made["id"], page=made["url"])
        return int(self.journal.facts["id"])

    def deliver(self) -> bool:
        """Sends what is there; True when the run's end was among it. Raises Away, and Refused if it may be mended."""
        run = self.create()
        while (line := self.journal.next()) is not None:
            try:
                line = self._sent(run, line)
            except Refused as error:
                if error.status not in PERMANENT:
                    raise
                if not self._has_ended_so(run, line, error):
                    logger.warning("Run %s: the server refused %s (kept in %s): %s", run, line.kind,
                                   self.journal.folder / "refused.log", error)  # fmt: skip
                    self.journal.refuse(line)
                    continue
            self.journal.took(line)
            if line.kind == "finish":
                return True
        return False

    def heartbeat(self) -> str:
        """The run's status."""
        return str(self.client.post(f"/runs/{self.create()}/heartbeat")["status"])

    def _sent(self, run: int, line: Line) -> Line:
        """Sends a line, with those of points that have gathered behind it, and gives what was sent as one line.

        Their key is not the first line's, so after a crash points may be sent again: at the same steps, which changes
        nothing.
        """
        together = gathered(line, self.journal)
        if together is not line:
            try:
                self._send(run, together)
                return together
            except Refused as error:
                if error.status not in PERMANENT:
                    raise
        self._send(run, line)
        return line

    def _send(self, run: int, line: Line) -> None:
        if line.kind == "points":
            self._send_points(run, line)
        elif line.kind == "media":
            self._send_media(run, line)
        elif line.kind == "file":
            self._send_file(run, json.loads(line.body))
        else:
            self.client.post(f"/runs/{run}/finish", json.loads(line.body))

    def _send_points(self, run: int, line: Line) -> None:
        headers = {"Content_Type": "application/json", "Idempotency_Key": line.key}
        body = line.body
        if len(body) >= GZIP_FROM_BYTES:
            body, headers["Content_Encoding"] = gzip.compress(body, 1), "gzip"
        self.client.send("POST", f"/runs/{run}/metrics", body, **headers)

    def _send_media(self, run: int, line: Line) -> None:
        items = json.loads(line.body)["items"]
        files = [self.journal.folder / item["file"] for item in items if "file" in item]
        try:
            for item in items:
                if "file" in item:
                    item["image"] = base64.b64encode((self.journal.folder / item.pop("file")).read_bytes()).decode()
        except FileNotFoundError:
            return  # sent before, and only the note of it was lost
        headers = {"Content_Type": "application/json", "Idempotency_Key": line.key}
        self.client.send("POST", f"/runs/{run}/media", json.dumps({"items": items}).encode(), **headers)
        for file in files:
            file.unlink(missing_ok=True)

    def _send_file(self, run: int, entry: dict[str, str]) -> None:
        from urllib.parse import quote

        copy = self.journal.folder / entry["file"]
        try:
            with copy.open("rb") as file:
                self.client.send("PUT", f"/runs/{run}/artifacts/{quote(entry['path'])}", file)
        except FileNotFoundError:
            return  # sent before, and only the note of it was lost
        copy.unlink(missing_ok=True)

    def _has_ended_so(self, run: int, line: Line, error: Refused) -> bool:
        """Whether an end that is refused is the one that the run has: an earlier answer did not reach us."""
        if line.kind != "finish" or error.status != 409:
            return False
        found = self.client.get(f"/runs/{run}")
        return bool(found["status"] == json.loads(line.body)["status"])


def gathered(first: Line, journal: Journal) -> Line:
    """The first line of points and those after it as one, if all of them are small."""
    if first.kind != "points" or (line := journal.after(first)) is None or line.kind != "points":
        return first
    lines, size = [first], len(first.body)
    while line is not None and line.kind == "points" and (size := size + len(line.body)) <= MOST_BYTES_TOGETHER:
        lines.append(line)
        line = journal.after(line)
    body = merged([each.body for each in lines])
    if len(lines) == 1 or body is None:
        return first
    return first._replace(body=body, key=f"{first.key}-{lines[-1].following.offset}", following=lines[-1].following)


class Sender(threading.Thread):
    """Delivers in the background whenever `wake` is called, and says now and then that the program lives."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(name="hone-sender", daemon=True)
        self._delivery = delivery
        self._wakes: SimpleQueue[None] = SimpleQueue()  # its put may be interrupted by a signal handler that puts too
        self._closing = False
        self.trouble: HoneError | None = None  # why the last try failed
        self.stopped = False  # it has given up: `hone sync` will do it
        self.finished = False

    def wake(self) -> None:
        self._wakes.put(None)

    def close(self, timeout_s: float) -> None:
        """One more try for everything that is left, up to the run's end."""
        self._closing = True
        self.wake()
        self.join(timeout_s)

    def run(self) -> None:
        pause, beat_at = FIRST_PAUSE_S, 0.0
        while not self.stopped:
            closing = self._closing
            began = time.monotonic()
            try:
                self.finished = self._delivery.deliver()
                if not self.finished and time.monotonic() >= beat_at:
                    self._watch(self._delivery.heartbeat())
                    beat_at = time.monotonic() + HEARTBEAT_S
                self._mended()
                pause = FIRST_PAUSE_S
            except HoneError as error:
                self._troubled(error)
            except OSError as error:
                self._troubled(Away(f"{self._delivery.journal.folder} can't be used: {error.strerror}."))
            if self.finished or closing:
                return
            self._rest(min(REST * (time.monotonic() - began), LONGEST_REST_S))
            self._wait(pause if self.trouble else max(0.0, beat_at - time.monotonic()))
            pause = min(2 * pause, LONGEST_PAUSE_S) if self.trouble else FIRST_PAUSE_S

    def _rest(self, seconds: float) -> None:
        """What is logged meanwhile travels together: a slow server gets fewer requests. The end is not held up."""
        until, is_woken = time.monotonic() + seconds, False
        while not self._closing and (left := until - time.monotonic()) > 0:
            try:
                self._wakes.get(timeout=left)
                is_woken = True
            except Empty:
                break
        if is_woken:
            self.wake()

    def _wait(self, seconds: float) -> None:
        """Until it is woken or the time is over. While the server is away only the end is worth an early try."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                self._wakes.get(timeout=left)
            except Empty:
                return
            if self._closing or self.trouble is None:
                while not self._wakes.empty():
                    self._wakes.get()
                return

    def _watch(self, status: str) -> None:
        if status != "running":
            logger.warning("Run %s has been ended by somebody else (%s): what it logs from now on is not stored.",
                           self._delivery.journal.facts["id"], status)  # fmt: skip

    def _troubled(self, error: HoneError) -> None:
        if self.trouble is None:
            logger.warning("%s What is logged is kept in %s.", error, self._delivery.journal.folder)
        self.trouble = error
        self.stopped = not isinstance(error, Away)

    def _mended(self) -> None:
        if self.trouble is not None:
            logger.warning("The server answers again.")
        self.trouble = None
