"""How one training service is set up: frozen, typed, checked as a whole."""

from pathlib import Path

from pydantic import Field

from services.rpc.settings import HostSettings, Port


class Settings(HostSettings):
    """Settings of the training service; every one has a default that works."""

    port: Port = Field(default=8003, description="gRPC port; 0 takes a free one.")
    metrics_port: Port = Field(default=8004, description="Port of the Prometheus metrics; 0 takes a free one.")
    ray_dashboard: str = Field(
        default="http://127.0.0.1:8265",
        pattern=r"^https?://",
        description="Address of Ray's dashboard.",
    )
    max_running_jobs: int = Field(default=2, ge=1, description="Most jobs that Ray is given at a time.")
    max_queued_jobs: int = Field(default=1000, ge=1, description="Most jobs that wait for their turn.")
    driver_resource: str = Field(
        default="", description="Custom Ray resource of which a driver takes one; empty: it takes 0.01 CPU."
    )
    max_cpus: float = Field(default=0, ge=0, description="CPUs that an autoscaled cluster can grow to; 0: what it has.")
    max_gpus: float = Field(default=0, ge=0, description="GPUs that an autoscaled cluster can grow to; 0: what it has.")
    max_upload_bytes: int = Field(default=10 * 2**30, ge=1, description="Largest content that is taken.")
    data_root: Path | None = Field(default=None, description="Folder whose files a spec may name; none: uploads only.")
    data_prefix: str = Field(
        default="",
        pattern=r"^(|[a-z][a-z0-9+.-]*://([^/]+/)+)$",
        description="Addresses that a spec may name begin with it, such as s3://bucket/folder/; none: uploads only.",
    )
    poll_interval_s: float = Field(default=1.0, gt=0, description="Seconds between two looks at MLflow and Ray.")
    heartbeat_s: float = Field(default=20.0, gt=0, description="Seconds of silence after which a watcher hears a sign.")
    python: str = Field(
        default="python", min_length=1, description="Interpreter of the drivers, on the cluster's nodes."
    )
    tokens_file: Path | None = Field(
        default=None, description="Who may `read` and `submit`: lines that drivetrain token makes; none: open."
    )
