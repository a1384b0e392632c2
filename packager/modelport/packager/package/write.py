"""Writes a planned package: whole under a temporary name, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from modelport.packager.errors import OutputExistsError, WriteError
from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from .plan import PackagePlan


def write_package(plan: PackagePlan, output: str | os.PathLike[str]) -> Path:
    """Write `plan` as the directory `output` and return its path.

    A directory that already is this very package is left as it is. Raises `OutputExistsError` if anything else stands
    there and `WriteError` if the file system refuses; neither leaves anything behind.
    """
    target = Path(output)
    if _stands(target, plan):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise WriteError(f"package `{target}`: expected a place that can be written, got {error.strerror}") from error
    try:
        _fill(temporary, plan)
        _rename_exclusively(temporary, target)
        _flush_directory(target.parent)
    except FileExistsError:
        if _stands(target, plan):  # another writer of the same package came first
            return target
        raise
    except OSError as error:
        raise WriteError(f"package `{target}`: expected to be written, got {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _stands(target: Path, plan: PackagePlan) -> bool:
    """Return whether `target` is this package already; raise `OutputExistsError` if it is something else."""
    if not os.path.lexists(target):
        return False
    got = "something else"
    if target.is_dir():
        try:
            open_package(target, digest=plan.digest)
        except InvalidPackageError as error:
            got = error.message.removeprefix(f"package `{target}`: expected ")
        else:
            return True
    raise OutputExistsError(
        f"output `{target}`: expected nothing there, or the package {plan.digest[:19]}..., got {got}",
        hint="choose another output, or remove it",
    )


def _fill(directory: Path, plan: PackagePlan) -> None:
    directories = {directory}
    for name, data in sorted(plan.files.items()):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        directories.update(path.parents[: len(Path(name).parts)])
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with open(descriptor, "wb") as file:  # noqa: PTH123  opened by descriptor
            os.fchmod(descriptor, 0o644)  # whatever the umask says
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    for made in sorted(directories, key=lambda path: len(path.parts), reverse=True):
        made.chmod(0o755)
        _flush_directory(made)


def _rename_exclusively(source: Path, target: Path) -> None:
    """Rename a directory to a name that must be free; raises `FileExistsError` if it is not.

    `rename` would silently replace an empty directory, so Linux's `renameat2` with RENAME_NOREPLACE is asked first.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        at_cwd, no_replace = -100, 1
        if hasattr(libc, "renameat2"):
            if libc.renameat2(at_cwd, os.fsencode(source), at_cwd, os.fsencode(target), no_replace) == 0:
                return
            number = ctypes.get_errno()
            if number not in (errno.EINVAL, errno.ENOSYS):  # a file system that does not know the flag
                raise OSError(number, os.strerror(number), str(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def _flush_directory(path: Path) -> None:
    with contextlib.suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
