"""Pictures and histograms that runs log at steps."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Annotated, Literal

from pydantic import ConfigDict, EncodedBytes, EncoderProtocol, Field, StrictInt, model_validator

from webapp.api.schemas.common import Input, Output
from webapp.metrics.external import LATEST_TIME
from webapp.metrics.media.items import LONGEST_CAPTION, MOST_BINS

MOST_IN_REQUEST = 64
Kind = Literal["image", "histogram"]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Base64Encoder(EncoderProtocol):
    """Standard base64 in lines of any length; what is none of its characters is refused, not skipped."""

    @classmethod
    def decode(cls, data: bytes) -> bytes:
        try:
            return b64decode(b"".join(data.split()), validate=True)
        except ValueError as error:
            raise ValueError(f"Must be base64: {error}.") from None

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return b64encode(value)

    @classmethod
    def get_json_format(cls) -> str:
        return "base64"


Base64 = Annotated[bytes, EncodedBytes(encoder=Base64Encoder)]


class HistogramInput(Input):
    edges: list[Finite] = Field(max_length=MOST_BINS + 1, description="One more than bins, rising.")
    counts: list[Finite] = Field(max_length=MOST_BINS, description="None negative.")


class MediaInput(Input):
    """One item: an image or a histogram."""

    name: str = Field(examples=["samples"])
    step: Annotated[StrictInt, Field(ge=0, lt=2**63)] | None = Field(None, description="By default the next one.")
    time: Annotated[Finite, Field(ge=0, le=LATEST_TIME)] | None = Field(
        None, description="Seconds since the epoch; by default now."
    )
    caption: str = Field("", description=f"At most {LONGEST_CAPTION:,} characters.")
    image: Base64 | None = Field(None, description="A PNG, JPEG, GIF or WebP of at most 10 MiB, as base64.")
    histogram: HistogramInput | None = None

    @model_validator(mode="after")
    def is_one_of_both(self) -> MediaInput:
        if (self.image is None) == (self.histogram is None):
            raise ValueError("An item has either an image or a histogram.")
        return self


class MediaBatch(Input):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"items": [{"name": "weights", "step": 3, "histogram": {"edges": [-1, 0, 1], "counts": [120, 130]}}]}
            ]
        }
    )

    items: list[MediaInput] = Field(min_length=1, max_length=MOST_IN_REQUEST)


class MediaReply(Output):
    items: int = Field(description="Items stored by this request.")


class MediaSeriesOutput(Output):
    name: str
    kind: Kind
    count: int
    steps: list[int]


class MediaSeriesList(Output):
    items: list[MediaSeriesOutput]
    next: None = None


class MediaFacts(Output):
    """An item without its bytes or bins."""

    step: int
    time: float
    caption: str
    format: str | None = Field(description="png, jpeg, gif or webp; null for a histogram.")
    width: int | None = Field(description="Pixels.")
    height: int | None
    size: int | None = Field(description="Bytes.")
    sha256: str | None


class MediaFactsList(Output):
    items: list[MediaFacts]
    next: None = None


class HistogramOutput(Output):
    name: str
    step: int
    time: float
    caption: str
    edges: list[float] = Field(description="One more than counts.")
    counts: list[float]
