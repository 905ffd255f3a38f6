"""A Python that has imported what programs begin with, and forks one child for each of them.

Runs in the Python that trains, with the recorder already in it. What is asked for comes over a
socket, one message for each program, with the pipe that takes what it prints and the pipe that
takes its process number and, when it has ended, its exit code.
"""

import builtins
import gc
import importlib
import importlib.util
import json
import os
import selectors
import socket
import sys
import types
from typing import Any


def serve() -> None:
    """Import the modules that are named on the command line, and fork until nobody asks.

    One with a question mark behind it is imported only where it is installed.
    """
    asked = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        module = name.rstrip("?")
        if module == name or importlib.util.find_spec(module.partition(".")[0]) is not None:
            importlib.import_module(module)
    gc.freeze()  # Else the children's first collection would copy every page of it.
    asked.send(b"ready")
    request = _fork_for_each(asked)
    if request is not None:
        _run(request)


def _fork_for_each(asked: socket.socket) -> "dict[str, Any] | None":
    """Return what to run, in a child; ``None`` in the parent, when nobody asks any more."""
    selector = selectors.DefaultSelector()
    selector.register(asked, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not asked:
                child, told = key.data
                selector.unregister(key.fileobj)
                os.close(key.fd)
                _, status = os.waitpid(child, 0)
                _tell(told, f"{os.waitstatus_to_exitcode(status)}\n")
                os.close(told)
                continue
            message, pipes, _, _ = socket.recv_fds(asked, 4096, 2)
            if not message:
                return None
            printed, told = pipes
            child = os.fork()
            if child == 0:
                # Pipes of other programs would not end with these if one more held them.
                others = [key for key in selector.get_map().values() if key.fileobj is not asked]
                for other in others:
                    os.close(other.fd)
                    os.close(other.data[1])
                selector.close()
                asked.close()
                os.close(told)
                os.setsid()
                os.dup2(printed, 1)
                os.dup2(printed, 2)
                os.close(printed)
                with open(message.decode(), encoding="utf-8") as file:
                    return json.load(file)  # type: ignore[no-any-return]
            os.close(printed)
            _tell(told, f"{child}\n")
            selector.register(os.pidfd_open(child), selectors.EVENT_READ, (child, told))


def _tell(pipe: int, text: str) -> None:
    try:
        os.write(pipe, text.encode())
    except BrokenPipeError:
        # Who asked has gone; the end of the socket says so next.
        return


def _run(request: "dict[str, Any]") -> None:
    """Run a program as Python runs the script that it is started with."""
    import lintmetrics_recorder  # type: ignore[import-not-found]

    program = str(request["program"])
    os.chdir(str(request["cwd"]))
    os.environ.clear()
    os.environ.update(request["variables"])
    lintmetrics_recorder.begin()
    sys.argv[:] = [program]
    if sys.path[:1] == [""]:
        sys.path[0] = os.path.dirname(program)
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=program, __builtins__=builtins, __cached__=None)
    main.__annotations__ = {}
    sys.modules["__main__"] = main
    with open(program, "rb") as file:
        text = file.read()
    try:
        exec(compile(text, program, "exec"), main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        # Without the frame of this function, as if there were none.
        shown = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error.with_traceback(shown), shown)
        sys.exit(1)
