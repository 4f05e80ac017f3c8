"""How one prediction server is set up: frozen, typed, checked as a whole."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseModel):
    """Settings of the prediction server; every one has a default that works."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0 for all.")
    port: Port = Field(default=8001, description="gRPC port; 0 takes a free one.")
    metrics_port: Port = Field(default=8002, description="Port of the Prometheus metrics; 0 takes a free one.")
    threads: int = Field(default=1, ge=1, le=256, description="onnxruntime threads inside one operator.")
    poll_interval_s: float = Field(default=2.0, gt=0, description="Seconds between two looks at the registry.")
    max_batch_size: int = Field(default=64, ge=1, description="Most rows that separate requests share one run with.")
    max_request_rows: int = Field(default=1024, ge=1, description="Most rows of one request.")
    max_queue_requests: int = Field(default=1024, ge=1, description="Most requests that wait for one model.")
    max_message_bytes: int = Field(default=16 * 2**20, ge=1024, description="Largest message either way.")
    drain_grace_s: float = Field(default=10.0, ge=0, description="Seconds that requests get to finish on SIGTERM.")
    reflection: bool = Field(default=True, description="Whether clients may list the services.")
    tokens_file: Path | None = Field(default=None, description="Lines `infer TOKEN` or `admin TOKEN`; none: open.")

    @model_validator(mode="after")
    def _ports_differ(self) -> "Settings":
        if self.port == self.metrics_port != 0:
            raise ValueError(f"metrics_port: expected another port than port, came {self.metrics_port} for both")
        return self
