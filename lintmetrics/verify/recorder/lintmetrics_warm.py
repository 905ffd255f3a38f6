"""A Python that has imported what programs begin with, and forks one child for each of them.

Runs in the Python that trains, with the recorder already in it. What is asked for comes over a
socket, one message for each child. A program comes with the pipe that takes what it prints and the
pipe that takes its process number and, when it has ended, its exit code. Another such Python, which
goes on from these imports to those of one Lightning, comes with a socket of its own.
"""

import atexit
import builtins
import gc
import importlib
import importlib.util
import json
import os
import selectors
import socket
import sys
import threading
import types
from typing import Any, NoReturn


def serve() -> None:
    """Import the modules that are named on the command line, and fork until nobody asks."""
    asked = socket.socket(fileno=int(sys.argv[1]))
    modules = sys.argv[2:]
    while True:
        for name in modules:
            if _is_there(name):
                importlib.import_module(name.rstrip("?"))
        gc.freeze()  # Else the children's first collection would copy every page of it.
        asked.send(b"ready")
        request, given = _fork_for_each(asked)
        if "program" in request:
            _run(request, given[0])
        if not given:
            os._exit(0)
        asked = socket.socket(fileno=given[0])
        modules = request["modules"]
        if not _moved_to(request["variables"]):
            os._exit(1)


def _is_there(name: str) -> bool:
    """Tell whether to import a module: one with a question mark only where it is installed."""
    if not name.endswith("?"):
        return True
    try:
        return importlib.util.find_spec(name.rstrip("?")) is not None
    except ModuleNotFoundError:
        return False


def _fork_for_each(asked: socket.socket) -> "tuple[dict[str, Any], list[int]]":
    """Return in a child what it is for and the file that came with it; nothing in the parent."""
    selector = selectors.DefaultSelector()
    selector.register(asked, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not asked:
                child, told = key.data
                selector.unregister(key.fileobj)
                os.close(key.fd)
                _, status = os.waitpid(child, 0)
                for pipe in told:
                    _tell(pipe, f"{os.waitstatus_to_exitcode(status)}\n")
                    os.close(pipe)
                continue
            message, files, _, _ = socket.recv_fds(asked, 4096, 2)
            if not message:
                return {}, []
            given, *told = files
            child = os.fork()
            if child == 0:
                # Pipes of other programs would not end with these if one more held them.
                others = [key for key in selector.get_map().values() if key.fileobj is not asked]
                for pipe in (pipe for other in others for pipe in (other.fd, *other.data[1])):
                    os.close(pipe)
                for pipe in told:
                    os.close(pipe)
                selector.close()
                asked.close()
                os.setsid()
                with open(message.decode(), encoding="utf-8") as file:
                    return json.load(file), [given]
            os.close(given)
            for pipe in told:
                _tell(pipe, f"{child}\n")
            selector.register(os.pidfd_open(child), selectors.EVENT_READ, (child, told))


def _tell(pipe: int, text: str) -> None:
    try:
        os.write(pipe, text.encode())
    except BrokenPipeError:
        # Who asked has gone; the end of the socket says so next.
        return


# What a child does before anything of its own ---------------------------------------------------

_AT_START = ("_distutils_hack",)
"""What setuptools has every Python import when it starts, wherever it is found."""


def _moved_to(variables: "dict[str, str]") -> bool:
    """Make other variables those of this process, with the folders that are named in them.

    Returns:
        whether a Python that was started with them would have imported the same so far.
    """
    before, after = (
        list(dict.fromkeys(os.path.abspath(path) for path in text.split(os.pathsep) if path))
        for text in (os.environ.get("PYTHONPATH", ""), variables.get("PYTHONPATH", ""))
    )
    loaded = {name.partition(".")[0] for name in sys.modules}
    for folder in filter(os.path.exists, set(before) ^ set(after)):
        if not os.path.isdir(folder):
            return False
        held = {name.partition(".")[0] for name in os.listdir(folder)} - {*_AT_START}
        if held & loaded:
            return False
    sys.path[1:] = dict.fromkeys([*after, *(path for path in sys.path[1:] if path not in before)])
    importlib.invalidate_caches()
    os.environ.clear()
    os.environ.update(variables)
    return True


def _run(request: "dict[str, Any]", printed: int) -> NoReturn:
    """Run a program as Python runs the script that it is started with."""
    import lintmetrics_recorder  # type: ignore[import-not-found]

    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(printed)

    os.chdir(str(request["cwd"]))
    started = str(request["program"])
    program = os.path.abspath(started)
    os.environ.clear()
    os.environ.update(request["variables"])
    lintmetrics_recorder.begin()
    _draw_anew()
    sys.argv[:] = [started]
    if sys.path[:1] == [""]:
        sys.path[0] = os.path.dirname(program)
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=program, __builtins__=builtins, __cached__=None)
    main.__annotations__ = {}
    sys.modules["__main__"] = main
    with open(program, "rb") as file:
        text = file.read()
    code: object = None
    try:
        exec(compile(text, program, "exec"), main.__dict__)
    except SystemExit as leaving:
        code = leaving.code
    except BaseException as error:
        # Without the frame of this function, as if there were none.
        shown = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error.with_traceback(shown), shown)
        code = 1
    _end(code)


def _draw_anew() -> None:
    """Have what is drawn without a seed differ from one program to the next."""
    if "LINTMETRICS_SEED" in os.environ:
        return
    # The generator of random itself sees to that in every fork.
    numpy, torch = sys.modules.get("numpy.random"), sys.modules.get("torch")
    if numpy is not None:
        numpy.seed()
    if torch is not None:
        torch.default_generator.seed()


def _end(code: object) -> NoReturn:
    """Do what Python does at its end, but for freeing what it holds.

    To free all that was imported is to write to each page of it, and so to copy it before.
    """
    if not (code is None or isinstance(code, int)):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    os._exit((code or 0) & 0xFF)
