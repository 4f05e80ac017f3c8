"""An upload as a terminal shows it: a bar while it lasts, one line when it is done."""

from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from services.cli.training_client import Activity, TrainingClient, Uploaded


def upload_with_progress(client: TrainingClient, path: Path, console: Console) -> Uploaded:
    """Upload a file and say what became of it."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        tasks = {what: progress.add_task(f"{what} {path.name}", visible=False) for what in ("hashing", "sending")}

        def show(what: Activity, done: int, total: int) -> None:
            progress.update(tasks[what], completed=done, total=total, visible=True)

        uploaded = client.upload(path, show)
    size = decimal(uploaded.size_bytes)
    told = f"uploaded, {size}" if uploaded.sent_bytes else f"{size} that the service has already"
    console.print(f"{path.name}: {told}; {uploaded.address}", highlight=False, soft_wrap=True, markup=False)
    return uploaded
