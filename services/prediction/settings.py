"""How one prediction server is set up: frozen, typed, checked as a whole."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from services.rpc.settings import HostSettings, Port

Transport = Literal["auto", "native", "grpcio"]


class Settings(HostSettings):
    """Settings of the prediction server; every one has a default that works."""

    port: Port = Field(default=8001, description="gRPC port; 0 takes a free one.")
    metrics_port: Port = Field(default=8002, description="Port of the Prometheus metrics; 0 takes a free one.")
    rest: bool = Field(default=True, description="Whether the protocol is also spoken over HTTP with JSON.")
    rest_port: Port = Field(default=8000, description="Port of REST; 0 takes a free one.")
    rest_max_connections: int = Field(default=512, ge=1, description="Most HTTP connections at a time.")
    rest_read_timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds that an HTTP client may take for its headers, and again for a body."
    )
    transport: Transport = Field(
        default="auto", description="Who takes ModelInfer: native (HTTP/2 in Rust), grpcio, or auto: the faster."
    )
    processes: int = Field(
        default=1, ge=1, le=64, description="Processes that share the ports; connections are spread over them."
    )
    busy_poll_us: int = Field(
        default=200,
        ge=0,
        le=10**6,
        description="Microseconds that the native transport polls before it sleeps.",
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="onnxruntime threads inside one operator; 0: by the cores there are."
    )
    poll_interval_s: float = Field(default=2.0, gt=0, description="Seconds between two looks at the registry.")
    models: str = Field(default="*", min_length=1, description="Models to serve: patterns such as digits-*,wine.")
    memory_max_bytes: int = Field(
        default=0, ge=0, description="Most memory of loaded versions, estimated; 0: no limit."
    )
    model_max_bytes: int = Field(default=2 * 2**30, ge=1, description="Largest version that is downloaded, all files.")
    max_batch_size: int = Field(default=64, ge=1, description="Most rows that separate requests share one run with.")
    max_queue_delay_us: int = Field(
        default=0, ge=0, le=10**6, description="Microseconds that a batch which is not full waits for company."
    )
    max_queue_wait_ms: float = Field(
        default=10_000.0,
        gt=0,
        description="Most milliseconds that those before a request may take; who would wait longer is refused at once.",
    )
    max_request_rows: int = Field(default=1024, ge=1, description="Most rows of one request.")
    max_queue_requests: int = Field(default=1024, ge=1, description="Most requests that wait for one model.")
    max_pending_bytes: int = Field(
        default=256 * 2**20, ge=2**20, description="Most bytes of requests that wait, of all models together."
    )
    max_streams: int = Field(default=128, ge=1, description="Most streams of requests that are open at a time.")
    max_stream_requests: int = Field(default=64, ge=1, description="Most requests of one stream at work at a time.")
    cache_dir: Path | None = Field(default=None, description="Folder for downloaded versions; none: no cache.")
    cache_max_bytes: int = Field(default=10 * 2**30, ge=1, description="Most bytes of versions in the cache.")
    tokens_file: Path | None = Field(
        default=None, description="Who may `infer` and `admin`: lines that drivetrain token makes; none: open."
    )

    @model_validator(mode="after")
    def _rest_has_a_port_of_its_own(self) -> "Settings":
        if self.rest and self.rest_port and self.rest_port in {self.port, self.metrics_port}:
            expected = "expected another port than port and metrics_port"
            raise ValueError(f"rest_port: {expected}, came {self.rest_port}")
        return self
