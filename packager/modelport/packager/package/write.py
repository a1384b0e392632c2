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
from typing import TYPE_CHECKING, Final

from modelport.packager.errors import OutputExistsError, WriteError
from modelport.runtime.errors import InvalidPackageError, named
from modelport.runtime.package import open_package

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .plan import PackagePlan

#: How the directory is called while it is filled. One that a killed writer left behind can be removed.
TEMPORARY: Final = ".modelport."
_FILE_MODE: Final = 0o644
_DIRECTORY_MODE: Final = 0o755


def write_package(plan: PackagePlan, output: str | os.PathLike[str]) -> Path:
    """Write `plan` as the directory `output` and return its path.

    A directory that already is this very package is left as it is. Raises `OutputExistsError` if anything else stands
    there and `WriteError` if the file system refuses; neither leaves anything behind.
    """
    target = Path(output)
    try:
        if _stands(target, plan):
            return target
        with directories_to(target.parent), _temporary(target.parent) as temporary:
            _fill(temporary, plan)
            _rename_exclusively(temporary, target)
            _flush_directory(target.parent)
    except FileExistsError as error:  # another writer came first
        if _stands(target, plan):
            return target
        raise WriteError(f"package `{target}`: expected a free place, got one that others write to") from error
    except OSError as error:
        raise WriteError(f"package `{target}`: expected to be written, got {error.strerror}") from error
    except ValueError as error:  # a NUL, or what the file system's encoding cannot express
        raise WriteError(f"package {named(target)}: expected a path, got {error}") from error
    return target


def _stands(target: Path, plan: PackagePlan) -> bool:
    """Return whether `target` is this package already; raise `OutputExistsError` if it is something else."""
    if not os.path.lexists(target):
        return False
    got = "something else"
    if target.is_dir():
        try:
            found = open_package(target).digest
        except InvalidPackageError as error:
            got = f"{got} ({error.message})"
        else:
            if found == plan.digest:
                return True
            got = f"the package {found[:19]}..."
    raise OutputExistsError(
        f"output `{target}`: expected nothing there, or the package {plan.digest[:19]}..., got {got}",
        hint="choose another output, or remove it",
    )


@contextlib.contextmanager
def directories_to(parent: Path) -> Iterator[None]:
    """Make the directories down to `parent` for what is done inside; if that fails, those that were made go again."""
    missing: list[Path] = []
    while not parent.is_dir() and parent != parent.parent:
        missing.append(parent)
        parent = parent.parent
    made: list[Path] = []
    try:
        for directory in reversed(missing):
            with contextlib.suppress(FileExistsError):  # another writer came first, or it is a file and the next fails
                directory.mkdir()
                made.append(directory)
        yield
        for directory in made:
            _flush_directory(directory.parent)
    except BaseException:
        for directory in reversed(made):
            with contextlib.suppress(OSError):  # no longer empty: it is somebody else's now
                directory.rmdir()
        raise


@contextlib.contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    """Give an empty directory in `parent`, and remove whatever still is there in the end."""
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, suffix=".partial", dir=parent))
    try:
        temporary.chmod(0o700)  # whatever the umask says
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(directory: Path, plan: PackagePlan) -> None:
    directories = [directory]
    for name, data in sorted(plan.files.items()):
        path = directory / name
        for level in reversed(path.parents[: name.count("/")]):
            if level not in directories:
                level.mkdir()
                level.chmod(0o700)
                directories.append(level)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        with open(descriptor, "wb") as file:  # noqa: PTH123  opened by descriptor
            os.fchmod(descriptor, _FILE_MODE)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    for made in reversed(directories):
        made.chmod(_DIRECTORY_MODE)
        _flush_directory(made)


def _rename_exclusively(source: Path, target: Path) -> None:
    """Rename a directory to a name that must be free; raises `FileExistsError` if it is not.

    `rename` would silently replace an empty directory, so Linux's `renameat2` with RENAME_NOREPLACE is asked first.
    """
    old, new = os.fsencode(source), os.fsencode(target)
    if b"\0" in new:
        raise ValueError("embedded null byte")  # C would take what stands before it for the name
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        at_cwd, no_replace = -100, 1
        if hasattr(libc, "renameat2"):
            if libc.renameat2(at_cwd, old, at_cwd, new, no_replace) == 0:
                return
            number = ctypes.get_errno()
            if number not in (errno.EINVAL, errno.ENOSYS):  # a file system that does not know the flag
                raise OSError(number, os.strerror(number), str(target))
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def _flush_directory(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # a directory that may be written to but not listed
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
