"""Speaks REST v1: `Client(url, token).get("/runs")`. Errors are one HoneError with the server's own sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import httpx

from hone.errors import Away, HoneError, Refused

PAGE = 200
TIMEOUT_S = 30.0
LATER = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that may be others in a while


class Client:
    """One connection to one Hone. `url` is the API's address (settings.api_url); paths begin with a slash."""

    def __init__(self, url: str, token: str, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=timeout_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        return self._json("GET", path, params=_given(query))

    def read(self, path: str, **query: Any) -> bytes:
        """An answer that is no JSON, as a whole."""
        return self._send("GET", path, params=_given(query)).content

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        content = {} if body is None else {"json": body}
        return self._json("POST", path, headers=_named(headers), **content)

    def send(self, method: str, path: str, content: bytes | IO[bytes], **headers: str) -> Any:
        """Bytes as they are; `content_type="text/plain"` becomes the header Content-Type."""
        return self._json(method, path, content=content, headers=_named(headers))

    def patch(self, path: str, body: Any) -> Any:
        return self._json("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def send_file(self, path: str, file: Path, fields: Mapping[str, str]) -> Any:
        """A form with the file in its field `file`."""
        try:
            with file.open("rb") as opened:
                return self._json("POST", path, data=dict(fields), files={"file": (file.name, opened)})
        except OSError as error:
            raise HoneError(f"{file} can't be read: {error.strerror}.") from None

    def items(self, path: str, limit: int | None = None, **query: Any) -> Iterator[dict[str, Any]]:
        """A list page by page, to its end or to `limit` items."""
        left, cursor = limit, ""
        while left is None or left > 0:
            wanted = PAGE if left is None else min(left, PAGE)
            page = self.get(path, limit=wanted, cursor=cursor, **query)
            yield from page["items"]
            left, cursor = None if left is None else left - len(page["items"]), page["next"]
            if not cursor:
                return

    def download(self, path: str, target: Path, **query: Any) -> int:
        """Writes the answer to a file and returns its bytes; a download that breaks off leaves no file."""
        part = target.with_name(f"{target.name}.part")
        try:
            with self._http.stream("GET", path, params=_given(query)) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                with part.open("wb") as opened:
                    for piece in response.iter_bytes():
                        opened.write(piece)
            part.replace(target)
        except httpx.HTTPError as error:
            raise Away(self._unreached(error)) from None
        except OSError as error:
            raise HoneError(f"{target} can't be written: {error.strerror}.") from None
        finally:
            part.unlink(missing_ok=True)
        return target.stat().st_size

    def _json(self, method: str, path: str, **content: Any) -> Any:
        response = self._send(method, path, **content)
        try:
            return response.json()
        except ValueError:
            raise HoneError(f"What answers at {self.url} is not Hone's API: check --url or HONE_URL.") from None

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            raise Away(self._unreached(error)) from None
        if not response.is_success:
            raise _refusal(response)
        return response

    def _unreached(self, error: httpx.HTTPError) -> str:
        if isinstance(error, httpx.ConnectError):
            return f"No Hone answers at {self.url}: start it with `make up`, or name it with --url or HONE_URL."
        return f"{self.url} did not answer as expected: {error or type(error).__name__}."


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value not in (None, "")}


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _refusal(response: httpx.Response) -> HoneError:
    sentence = _sentence(response)
    return Away(sentence) if response.status_code in LATER else Refused(sentence, response.status_code)


def _sentence(response: httpx.Response) -> str:
    """The server's sentence; with several broken fields, one line for each."""
    try:
        body = response.json()
        errors = [f"{_field(error['loc'])}{error['msg']}" for error in body["errors"]]
        return "\n".join(errors) if len(errors) > 1 else str(body["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{response.url.copy_with(query=None)} answered {response.status_code} {response.reason_phrase}."


def _field(loc: list[str | int]) -> str:
    return f"{'.'.join(str(part) for part in loc)}: " if loc else ""
