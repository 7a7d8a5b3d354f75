"""Asks the attester to measure what this Python loads as code, before it acts.

site imports this through assay.pth, where an attester runs or must run; else nothing is changed. Programs need not call
anything; docs/interpreters.md says what is covered and what is not.

    ASSAY_REQUIRED=1   code that can't be measured is not run
                       (what the owner's policy refuses is not run in any case)
    ASSAY_EVAL=1       texts that the program compiles itself (eval, exec, compile, marshal) are measured too

The descriptor that is measured is the one that is read. A file that changes meanwhile is read into a sealed copy, and the copy
is measured. Only modules that are loaded at every start are used, because this runs at every start.
"""
import _frozen_importlib_external as _external
import _io
import errno
import io
import marshal
import os
import stat
import sys
import time

NODE = "/run/assay/measure"
# The kernel stamps changes with a clock that ticks every 1 to 10 ms: two changes in one tick look like one.
TICK_NS = 11_000_000


def _wanted(name):
    return os.environ.get(name, "") not in ("", "0")


_required = _wanted("ASSAY_REQUIRED")
_failed = None  # what was loaded before this module and could not be measured
_script = None  # the main script from its measurement until it runs
_measured = b""  # the last text that was measured: it is not measured again when it is compiled


class Changed(ImportError):
    """The file was changed while it was read."""


class Refused(OSError):
    """The owner's policy refuses the content."""


def _ask(request):
    # The node is opened each time: a program may close or reuse any number in between, or become another user.
    node = os.open(NODE, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.write(node, request)
        if os.read(node, 16) == b"refused\n":
            raise Refused(errno.EACCES, "it is not in the manifest")
    finally:
        os.close(node)


def _refuse(what, error):
    if isinstance(error, Refused):
        raise ImportError(f"assay: the owner's policy refuses {what}: {error.strerror}") from error
    if _required:
        raise ImportError(f"assay: {what} can't be measured, and ASSAY_REQUIRED is set: {error}") from error


def _measure_fd(fd, path):
    try:
        _ask(b"fd:%d\n" % fd)
    except OSError as error:
        _refuse(path, error)


def _memfd(what):
    return os.memfd_create(what, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def _measure_copy(copy, data, what):
    """Measures what has no file: bytes in a memfd that nobody can change any more."""
    import fcntl  # pylint: disable=import-outside-toplevel

    view = memoryview(data)
    while view:
        view = view[os.write(copy, view) :]
    os.lseek(copy, 0, os.SEEK_SET)
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    _ask(b"buffer:%d:%s\n" % (copy, what.encode()))


def _measure_bytes(data, what):
    try:
        copy = _memfd(what)
        try:
            _measure_copy(copy, data, what)
        finally:
            os.close(copy)
    except OSError as error:
        _refuse(what, error)


def _state(st):
    return (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)


def _fresh(st):
    return time.time_ns() - st.st_ctime_ns < TICK_NS


class _Code(_io.BufferedReader):
    """A measured file. To close it says whether it changed since before it was measured."""

    before = None

    def close(self):
        changed = not self.closed and self.before is not None and self.before != _state(os.fstat(self.fileno()))
        name = self.name if changed else None
        super().close()
        if changed:
            raise Changed(f"assay: {name} changed while it was read")


def _measured_bytes(data):
    _measure_bytes(data, "python-copy")
    return _io.BytesIO(data)


def _open_code(path):
    """io.open_code(): opens a file that is read as code, and has it measured."""
    file = _Code(_io.FileIO(path, "r"))
    try:
        before = os.fstat(file.fileno())
        if stat.S_ISREG(before.st_mode):
            try:
                _ask(b"fd:%d\n" % file.fileno())
                if not _fresh(before):
                    file.before = _state(before)
                    return file
            except OSError as error:
                if error.errno != errno.ETXTBSY:
                    _refuse(path, error)
                    return file
        # It is a pipe, somebody has it open for writing, or it was changed in this very moment, so that its stamps would not
        # tell of a change after the measurement: what is in memory can't change.
        data = file.read()
    except BaseException:
        file.close()
        raise
    file.close()
    return _measured_bytes(data)


def _get_data(self, path):
    global _measured
    path = str(path)
    if path != getattr(self, "path", None) and not path.endswith(".pyc"):
        with _io.FileIO(path, "r") as file:  # data that a package has beside its code
            return file.read()
    try:
        with _open_code(path) as file:
            data = file.read()
    except Changed:
        with _io.FileIO(path, "r") as file:
            data = file.read()
        _measure_bytes(data, "python-copy")
    _measured = data
    return data


_create_dynamic = _external.ExtensionFileLoader.create_module


def _create_module(self, spec):
    # The loader opens the file by its name. The attester's engine sees what is mapped; here it is only asked for earlier.
    try:
        file = _io.FileIO(spec.origin, "r")
    except OSError:
        return _create_dynamic(self, spec)  # which says what is wrong
    with file:
        before = _state(os.fstat(file.fileno()))
        _measure_fd(file.fileno(), spec.origin)
        module = _create_dynamic(self, spec)
        if before != _state(os.stat(spec.origin)):
            with _io.FileIO(spec.origin, "r") as other:
                _measure_fd(other.fileno(), spec.origin)
            _refuse(spec.origin, OSError(errno.ESTALE, "it changed while it was loaded"))
        return module


class _Script:
    """The main script. The interpreter opens it itself after the event, so that two descriptors are compared."""

    def __init__(self, file):
        self.file = file
        self.before = os.fstat(file.fileno())
        self.same = False
        if stat.S_ISREG(self.before.st_mode):
            try:
                _ask(b"fd:%d\n" % file.fileno())
                self.same = not _fresh(self.before)
            except OSError as error:
                if error.errno != errno.ETXTBSY:
                    _refuse(file.name, error)
        # The number that the interpreter's own open() will have, as it is the next free one.
        self.next = os.dup(file.fileno())
        os.close(self.next)

    def read(self):
        """The interpreter has opened it: is this the file that was measured?"""
        try:
            st = os.fstat(self.next)
        except OSError:
            st = None
        self.same = self.same and st is not None and (st.st_dev, st.st_ino) == (self.before.st_dev, self.before.st_ino)

    def runs(self, code):
        """The interpreter has read all of it."""
        self.same = self.same and _state(self.before) == _state(os.fstat(self.file.fileno()))
        if self.same and str(self.file.name).endswith(".pyc"):
            try:
                self.same = marshal.loads(self.file.readall()[16:]) == code
            except (ValueError, EOFError, TypeError):
                self.same = False
        self.file.close()
        if not self.same:
            _measure_bytes(marshal.dumps(code), "python-main")


def _run_file(path):
    global _script
    _check_start()
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            _script = _Script(_io.FileIO(path, "r"))
        else:
            _script = _Pipe()
    except OSError:
        pass  # the interpreter can't open it either


class _Pipe:
    """A main script that can be read once only: what was read is measured, as byte code, before it runs."""

    def __init__(self, measured=False):
        self.measured = measured

    def read(self):
        pass

    def runs(self, code):
        if not self.measured:
            _measure_bytes(marshal.dumps(code), "python-main")


def _run_command(text):
    global _measured
    _check_start()
    _measured = text.encode("utf-8", "surrogateescape")
    # The interpreter adds the newline.
    _measure_bytes(_measured[:-1] if _measured.endswith(b"\n") else _measured, "python-c")


def _run_stdin():
    global _script
    _check_start()
    if sys.flags.interactive or os.isatty(0):
        return  # each line by itself
    try:
        if stat.S_ISREG(os.fstat(0).st_mode):
            _script = _Script(_io.FileIO(os.dup(0), "r"))
            _script.next = 0
            return
    except OSError:
        return  # it is closed
    # The interpreter reads to the end before it runs anything, so that to do the same first takes nothing from anybody.
    what = "python-stdin"
    try:
        copy = _memfd(what)  # before anything is read: it may fail
    except OSError as error:
        _refuse(what, error)
        return
    with _io.FileIO(0, "r", closefd=False) as pipe:
        data = pipe.readall()
    try:
        _measure_copy(copy, data, what)
        _script = _Pipe(measured=True)
    except OSError as error:
        _refuse(what, error)
    os.dup2(copy, 0)
    os.close(copy)


def _compile(source, _filename):
    global _measured
    if source is None:
        if _script is not None:
            _script.read()
    elif _evals and isinstance(source, (str, bytes)):
        data = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
        if data != _measured and data + b"\n" != _measured:
            _measured = data
            _measure_bytes(data, "python-exec")


def _exec(code):
    global _script
    if _script is not None:
        script, _script = _script, None
        script.runs(code)
    elif code.co_filename.startswith(("<stdin>", "<python-input")):
        _measure_bytes(marshal.dumps(code), "python-repl")


def _loads(data):
    # Byte code that the import machinery has read lies in what was measured, behind a header of 16 bytes.
    if isinstance(data, bytes) and data != _measured[16:]:
        _measure_bytes(data, "python-exec")


def _check_start():
    if _failed is not None:
        raise _failed


_events = {
    "cpython.run_file": _run_file,
    "cpython.run_module": lambda _name: _check_start(),
    "cpython.run_startup": _run_file,
    "cpython.run_command": _run_command,
    "cpython.run_stdin": _run_stdin,
    "compile": _compile,
    "exec": _exec,
}
_evals = _wanted("ASSAY_EVAL")
if _evals:
    _events["marshal.loads"] = _loads


def _audit(event, args, events=_events.get):
    act = events(event)
    if act is not None:
        act(*args)


def _already_loaded():
    """What the interpreter loaded before this module, in the order of loading: measured late, but measured."""
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        if spec is None or not spec.has_location:
            continue
        for path in (spec.cached, spec.origin):
            try:
                with _io.FileIO(path, "r") as file:
                    _measure_fd(file.fileno(), path)
                break
            except (OSError, TypeError):
                continue


def _start():
    global _failed
    try:
        _ask(b"\n")
        error = OSError(errno.ENODEV, f"{NODE} is not an attester's")  # such a file would take any request
    except OSError as answer:
        error = answer
    # The attester answers that this is no request.
    if error.errno != errno.EINVAL and not _required:
        return
    try:
        _already_loaded()
    except ImportError as missing:
        _failed = missing
    _io.open_code = io.open_code = _open_code
    _external.FileLoader.get_data = _get_data
    _external.ExtensionFileLoader.create_module = _create_module
    sys.addaudithook(_audit)
    try:
        _ask(b"hook:python\n")
    except OSError:
        pass  # an attester of a former version, which does not ask who has a hook


_start()
