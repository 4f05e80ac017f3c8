"""What every service lets be set; their own settings come on top. Light: a command line is made of it."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Port = Annotated[int, Field(ge=0, le=65535)]


class HostSettings(BaseModel):
    """Where a service listens and how it ends; the services' own settings come on top."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0 for all.")
    port: Port = Field(default=0, description="gRPC port; 0 takes a free one.")
    metrics_port: Port = Field(default=0, description="Port of the Prometheus metrics; 0 takes a free one.")
    max_message_bytes: int = Field(default=16 * 2**20, ge=1024, description="Largest message either way.")
    drain_grace_s: float = Field(default=10.0, ge=0, description="Seconds that requests get to finish on SIGTERM.")
    reflection: bool = Field(default=True, description="Whether clients may list the services.")
    tls_certificate: Path | None = Field(
        default=None, description="PEM file with the server's certificate and its chain; none: no encryption."
    )
    tls_key: Path | None = Field(default=None, description="PEM file with the certificate's private key.")
    tls_client_ca: Path | None = Field(
        default=None, description="PEM file with authorities: clients then need a certificate of one of them."
    )

    @model_validator(mode="after")
    def _ports_differ(self) -> "HostSettings":
        if self.port == self.metrics_port != 0:
            raise ValueError(f"metrics_port: expected another port than port, came {self.metrics_port} for both")
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> "HostSettings":
        given = [name for name in ("tls_certificate", "tls_key", "tls_client_ca") if getattr(self, name) is not None]
        if given and not {"tls_certificate", "tls_key"} <= {*given}:
            raise ValueError(f"tls_certificate, tls_key: expected both, or no TLS at all, came {' and '.join(given)}")
        return self
