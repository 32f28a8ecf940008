"""The folder into which a job or a study writes: what in it is ours, and whether anything can be written."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

_OURS = (
    *("tune", "figures", "results.parquet", "summary.md", "report.html", "best_architecture*.json", "best_child.pt"),
    *("job.json", "study.json", "study.yaml", "study.yml", "study.py"),
)


def written_before(output: Path) -> list[Path]:
    """What a former job or study wrote: all that may be removed for a new one."""
    return sorted(path for pattern in _OURS for path in output.glob(pattern))


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def require_writable(output: Path) -> None:
    """Make the folder, if it is not there, and a file in it for a moment.

    Raises:
        OSError: that cannot be done.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise OSError(
            f"nothing can be written to {output} ({error.strerror}); choose another --output, or see to its permissions"
        ) from error
