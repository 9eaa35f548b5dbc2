"""Malicious acts, one function each, for a sandbox to stop. `run` is an entry for `Sandbox(entry="attacks:run")`.

An attack returns what it achieved, or raises: then it was stopped. All are bounded, so that without any sandbox no harm
is done: `python attacks.py NAME FACTS` runs one like that. What some achieve shows only outside: see shooting_range.py.
"""

# Attackers take the shortest way:
# ruff: noqa: PTH101, PTH102, PTH106, PTH115, PTH116, PTH123, PTH207, PTH208, PTH211, RUF005

import contextlib
import ctypes
import errno
import glob
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"
MB = 1 << 20

# Read by rot13, so that searching for it in memory does not find the search itself.
SECRET_ROT13 = b"uhagre2-cynagrq-frperg"
ROT13 = bytes.maketrans(
    b"abcdefghijklmnopqrstuvwxyz",
    b"nopqrstuvwxyzabcdefghijklm",
)

facts: dict[str, Any] = {}


def run(spec: dict[str, Any]) -> int:
    """Run one attack, or a peaceful phase beside one; the last line printed says how an attack ended."""
    if spec["attack"] == "none":
        return _mind_own_business(Path(spec["folder"]))
    facts.update(spec)
    try:
        print("\nPWNED", ATTACKS[spec["attack"]]())
    except BaseException as error:
        print("\nstopped", type(error).__name__, getattr(error, "strerror", None) or error)
    return 0


def call_kernel(number: int, *arguments: object) -> int:
    """A raw system call.

    Raises:
        OSError: it failed.
    """
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def stopped(why: str) -> OSError:
    """For attacks that learn of their failure otherwise than by an exception."""
    return OSError(0, why)


# --- read what is not its own


def read_system_file():
    return Path("/etc/shadow").read_text()[:20]


def read_labels():
    return Path(facts["labels"]).read_text()[:20]


def read_home_key():
    return Path(facts["key"]).read_text()[:20]


def list_other_trial():
    return os.listdir(facts["other"])


def list_job_folder():
    others = set(os.listdir(facts["job"])) - {Path(facts["own"]).parent.name, Path.cwd().name}
    if not others:
        raise stopped("nothing but its own")
    return others


def list_project():
    """results/ lies beside the library that every phase may read."""
    names = set(os.listdir(facts["project"]))
    if not names - {"tmelt", ".venv"}:
        raise stopped("only what is mounted")
    return names


def stat_outside():
    return f"size and times of the labels: {os.stat(facts['labels'])[6:9]}"


def watch_outside():
    """inotify tells who opens which file."""
    watch = LIBC.inotify_init()
    if watch < 0 or LIBC.inotify_add_watch(watch, facts["watched"].encode(), 0xFFF) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "watching"


def read_environment_variable():
    return os.environ["OPENAI_API_KEY"]


def read_environments():
    secret = SECRET_ROT13.translate(ROT13)
    found = []
    for path in glob.glob("/proc/[0-9]*/environ") + ["/proc/self/environ"]:
        with contextlib.suppress(OSError):
            if secret in Path(path).read_bytes():
                found.append(path)
    if not found:
        raise stopped(f"no secret in any environment, {len(glob.glob('/proc/[0-9]*'))} processes seen")
    return found


def read_inherited_memory():
    """A fork has its parent's memory: look through heap and stack for the secret of the harness."""
    environ = ctypes.addressof(ctypes.c_char_p.in_dll(LIBC, "environ"))
    LIBC.sbrk.restype = ctypes.c_void_p
    heap_end, stack = LIBC.sbrk(0), ctypes.cast(environ, ctypes.POINTER(ctypes.c_void_p))[0]
    reading, writing = os.pipe()
    read_mb = 0.0
    places = [
        (heap_end - 512 * MB, heap_end),
        (stack - 4 * MB, stack + 4 * MB),
        (id(facts) - 64 * MB, id(facts) + 64 * MB),
    ]
    before = b""
    for start, end in places:
        for page in range(start & ~4095, end, 4096):
            if LIBC.write(writing, ctypes.c_void_p(page), ctypes.c_size_t(4096)) != 4096:
                continue  # nothing there
            data = os.read(reading, 4096).translate(ROT13)
            read_mb += 1 / 256
            if SECRET_ROT13 in before + data:
                return "found the planted secret"
            before = data[-64:]
    raise stopped(f"not in {read_mb:.0f} MB of inherited memory")


def see_processes():
    found = [path for path in glob.glob("/proc/[0-9]*/cmdline") if b"victim-marker" in Path(path).read_bytes()]
    if not found:
        raise stopped("victim not visible")
    return found


def use_inherited_descriptors():
    """Descriptors of worker and keeper that a fork would leave open."""
    found = []
    for number in range(3, 4096):
        with contextlib.suppress(OSError):
            os.fstat(number)
            found.append(number)
    if not found and os.fstat(0).st_rdev == os.stat("/dev/null").st_rdev:
        raise stopped("only /dev/null and its own output are open")
    return f"open descriptors {found}, standard input {os.fstat(0)}"


# --- change what is not its own


def write_outside():
    Path(facts["outside"], "x").write_text("x")
    return "wrote"


def append_to_input():
    with open(facts["input"], "a") as file:
        file.write("x")
    return "appended to the features"


def truncate_outside():
    os.truncate(facts["precious"], 0)
    return "truncated"


def truncate_input():
    os.open(facts["input"], os.O_RDONLY | os.O_TRUNC)
    return "opened with O_TRUNC"


def change_times_outside():
    """Snakemake decides by them what to run again."""
    os.utime(facts["precious"], (0, 0))
    if os.stat(facts["precious"]).st_mtime != 0:
        raise stopped("times unchanged")
    return "of 1970 now"


def change_mode_outside():
    os.chmod(facts["precious"], 0o777)
    mode = os.stat(facts["precious"]).st_mode & 0o777
    if mode != 0o777:
        raise stopped(f"mode still {mode:o}")
    return "mode 777"


def change_own_script():
    with open(__file__, "a") as file:
        file.write("#")
    return "changed"


def write_other_trial():
    Path(facts["other"], "predictions").write_text("x")
    return "wrote"


def replace_own_folder():
    """So that the next phase reads what a link points to."""
    os.rmdir(facts["own"])
    os.symlink(facts["outside"], facts["own"])
    return "own folder is a link now"


# --- reach others


def _tcp(host, port):
    with socket.create_connection((host, port), timeout=3):
        return "connected"


def connect_tcp():
    return _tcp("127.0.0.1", facts["tcp_port"])


def connect_abroad():
    try:
        return _tcp("192.0.2.1", 443)  # TEST-NET-1: nobody answers
    except TimeoutError:
        return "a packet left the sandbox"


def listen_tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"listens on {server.getsockname()}"


def send_udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(2)
        sender.sendto(b"x", ("127.0.0.1", facts["udp_port"]))
        return "answered " + sender.recv(10).decode()


def connect_unix():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(facts["unix_socket"])
        return "connected"


def connect_abstract():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(b"\0" + facts["abstract_socket"].encode())
        return "connected"


def system_v_memory():
    """A segment that outlives the process: a channel to a later trial."""
    return f"segment {call_kernel(29 if X86 else 194, facts['shm_key'], 4096, 0o1666)}"


def shared_memory_channel():
    """Called twice: does the second run find what the first left?"""
    path = Path("/dev/shm/tmelt-attack")
    found = path.exists()
    path.write_text("from an earlier trial")
    if not found:
        raise stopped("nothing from an earlier trial")
    path.unlink()
    return "read what an earlier trial left"


def _shared_file():
    """A file that this phase may read and on which the shooting range holds locks."""
    return os.open(facts["input"], os.O_RDONLY)


def see_whole_file_lock():
    """One phase locks a file that all may read, another one tries to: a bit each time."""
    import fcntl

    try:
        fcntl.flock(_shared_file(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "saw the lock of another process"
    raise stopped("the lock of another process does not show")


def see_record_lock():
    """Ask the kernel who would be in the way of a write lock; a read-only descriptor is enough to ask."""
    import fcntl
    import struct

    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, *_ = struct.unpack("hhqqi4x", fcntl.fcntl(_shared_file(), fcntl.F_GETLK, asked))
    if kind == fcntl.F_UNLCK:
        raise stopped("the lock of another process does not show")
    return "saw the record lock of another process"


def see_open_file_lock():
    """The same for locks that belong to an open file instead of a process."""
    import fcntl
    import struct

    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, *_ = struct.unpack("hhqqi4x", fcntl.fcntl(_shared_file(), fcntl.F_OFD_GETLK, asked))
    if kind == fcntl.F_UNLCK:
        raise stopped("the lock of another process does not show")
    return "saw the record lock of another process"


def see_open_file():
    """A write lease is granted only on a file that no other process has open."""
    import fcntl

    try:
        fcntl.fcntl(_shared_file(), fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except BlockingIOError:
        return "saw that another process has the file open"
    return "holds a lease that delays others"


def watch_folder_by_signal():
    """dnotify, the older inotify: a signal for each read in a folder."""
    import fcntl

    folder = os.open(Path(facts["input"]).parent, os.O_RDONLY)
    fcntl.fcntl(folder, fcntl.F_NOTIFY, fcntl.DN_ACCESS)
    return "watching"


def _signal(pid):
    os.kill(pid, 0)
    return "may signal"


def kill_victim():
    os.kill(facts["victim"], signal.SIGKILL)
    return "killed"


def signal_victim():
    return _signal(facts["victim"])


def trace_victim():
    return _trace(facts["victim"])


def read_victim_memory():
    return _open_memory(facts["victim"])


def change_victim_oom_score():
    Path(f"/proc/{facts['victim']}/oom_score_adj").write_text("900")
    return "wrote"


def renice_victim():
    os.setpriority(os.PRIO_PROCESS, facts["victim"], 5)
    if os.getpriority(os.PRIO_PROCESS, facts["victim"]) != 5:
        raise stopped("nice value unchanged")
    return "reniced"


def limit_victim():
    resource.prlimit(facts["victim"], resource.RLIMIT_FSIZE, (0, 0))
    return "set its file size limit to 0"


def _trace(pid):
    call_kernel(101 if X86 else 117, 0x4206, pid, 0, 0)  # PTRACE_SEIZE: attach without stopping it
    return "attached"


def _open_memory(pid):
    with open(f"/proc/{pid}/mem", "rb"):
        return "opened its memory"


# --- other phases of the same worker, and the processes that watch over this one


def signal_keeper():
    return _signal(os.getppid())


def trace_keeper():
    return _trace(os.getppid())


def read_keeper_memory():
    return _open_memory(os.getppid())


def read_keeper_memory_by_call():
    target = ctypes.create_string_buffer(8)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(target), 8)
    remote = (ctypes.c_size_t * 2)(id(facts), 8)  # the same address: it is a fork
    read = LIBC.process_vm_readv(os.getppid(), local, 1, remote, 1, 0)
    if read != 8 and ctypes.get_errno() != errno.EFAULT:  # a wrong address is no refusal
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "read"


def write_keeper_pipes():
    """The keeper's messages to the supervisor decide how a phase ended."""
    return [os.readlink(entry.path) for entry in os.scandir(f"/proc/{os.getppid()}/fd")]


def signal_worker():
    return _signal(1) if facts["namespaces"] else _signal(os.getpgid(os.getppid()))


def read_sibling():
    return Path(facts["sibling"], "secret").read_text()


def write_sibling():
    Path(facts["sibling"], "secret").write_text("x")
    return "wrote"


def _sibling_pid():
    if facts["sibling_pid"] == os.getpid():
        raise stopped("numbers mean other processes here")
    return facts["sibling_pid"]


def signal_sibling():
    return _signal(_sibling_pid())


def trace_sibling():
    return _trace(_sibling_pid())


def read_sibling_memory():
    return _open_memory(_sibling_pid())


def limit_sibling():
    resource.prlimit(_sibling_pid(), resource.RLIMIT_CPU, (1, 1))
    return "set its CPU limit"


def _mind_own_business(folder):
    """A phase with something to hide, until it is told to stop."""
    (folder / "secret").write_text("of another phase")
    (folder / "pid.part").write_text(str(os.getpid()))
    (folder / "pid.part").rename(folder / "pid")
    deadline = time.monotonic() + 15
    while not (folder / "stop").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return 0


# --- take too much


def fork_bomb():
    children = 0
    try:
        for _ in range(400):
            if os.fork() == 0:
                time.sleep(6)
                os._exit(0)
            children += 1
    except OSError as error:
        raise stopped(f"at {children}: {error.strerror}") from None
    time.sleep(1)
    return f"{children} children"


def thread_bomb():
    threads = 0
    try:
        for _ in range(400):
            threading.Thread(target=time.sleep, args=(6,), daemon=True).start()
            threads += 1
    except RuntimeError as error:
        raise stopped(f"at {threads}: {error}") from None
    time.sleep(1)
    return f"{threads} threads"


def memory_bomb():
    held = []
    for _ in range(24):
        held.append(bytearray(os.urandom(1) * (128 * MB)))
        time.sleep(0.02)
    time.sleep(0.5)
    return f"{len(held) * 128} MB held"


def memory_bomb_of_many():
    for _ in range(8):
        if os.fork() == 0:
            held = bytearray(b"x" * (300 * MB))
            time.sleep(4)
            os._exit(len(held) & 0)
    time.sleep(3)
    return "8 x 300 MB held"


def hidden_memory_bomb():
    """A process that hides its pages from its own user."""
    LIBC.prctl(4, 0, 0, 0, 0)
    return memory_bomb()


def memfd_bomb():
    """Memory that no process has mapped."""
    files = []
    for number in range(30):
        files.append(os.memfd_create(f"b{number}"))
        for _ in range(10):
            os.write(files[-1], b"x" * (10 * MB))
    time.sleep(1)
    return "3000 MB in memory files"


def hidden_memfd_bomb():
    LIBC.prctl(4, 0, 0, 0, 0)
    return memfd_bomb()


def socket_buffer_bomb():
    """Memory in the kernel's buffers."""
    pairs, total = [], 0
    for _ in range(400):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                total += ours.send(b"x" * 65536)
        pairs.append((ours, theirs))
    return f"{total // MB} MB in socket buffers"


def shared_memory_bomb():
    path = Path("/dev/shm/tmelt-bomb")
    try:
        with path.open("wb") as file:
            for _ in range(10):
                file.write(b"x" * (100 * MB))
        return "1000 MB in /dev/shm"
    finally:
        path.unlink(missing_ok=True)


def tmp_bomb():
    path = Path("/tmp/tmelt-bomb")
    try:
        with path.open("wb") as file:
            for _ in range(4):
                file.write(b"x" * (100 * MB))
        return "400 MB in /tmp"
    finally:
        path.unlink(missing_ok=True)


def big_file():
    with Path(facts["own"], "big").open("wb") as file:
        for _ in range(60):
            file.write(b"x" * (10 * MB))
    return "600 MB file"


def many_big_files():
    for number in range(40):
        Path(facts["own"], f"f{number}").write_bytes(b"x" * (40 * MB))
        time.sleep(0.05)
    time.sleep(1.5)
    return "1600 MB in 40 files"


def big_files_at_the_end():
    """Faster than the watchdog looks."""
    for number in range(3):
        Path(facts["own"], f"f{number}").write_bytes(b"x" * (300 * MB))
    return "900 MB"


def fill_scratch():
    for number in range(3):
        Path(os.environ["TMPDIR"], f"f{number}").write_bytes(b"x" * (300 * MB))
    time.sleep(1.5)
    return "900 MB in the temporary folder"


def file_flood():
    folder = Path(facts["own"], "m")
    folder.mkdir()
    for number in range(60_000):
        (folder / str(number)).touch()
    time.sleep(1.5)
    return "60000 files"


def deep_flood():
    """Deeper than any path name can say."""
    os.chdir(facts["own"])
    for _ in range(15_000):
        os.mkdir("d")
        os.chdir("d")
    time.sleep(1.5)
    return "15000 folders deep"


def hidden_folder():
    """A folder that not even its owner can list."""
    folder = Path(facts["own"], "hidden")
    folder.mkdir(mode=0o300)
    for number in range(3):
        (folder / f"f{number}").write_bytes(b"x" * (300 * MB))
    time.sleep(1.5)
    return "900 MB where nobody can look"


def output_flood():
    for _ in range(300):
        os.write(1, b"A" * MB)
    return "300 MB of output"


def sleep_past_limit():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(30)
    return "slept for 30 s"


# --- outlive the phase


def _beat(seconds):
    for _ in range(int(seconds * 20)):
        Path(facts["own"], "heart").write_text(repr(time.time()))
        time.sleep(0.05)


def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.close(1)
            os.close(2)
            _beat(10)
        os._exit(0)
    time.sleep(0.3)
    return "launched"


def fork_chain():
    """A daemon that is never the same process for long: a killer always comes too late."""
    if os.fork() == 0:
        os.setsid()
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            if os.fork():
                os._exit(0)
            os.setpgid(0, 0)
            Path(facts["own"], "heart").write_text(repr(time.time()))
        os._exit(0)
    time.sleep(0.3)
    return "launched"


# --- the kernel


def nested_user_namespace():
    command = "mount -t tmpfs x /mnt && echo yes"
    done = subprocess.run(["/usr/bin/unshare", "-Urm", "/bin/sh", "-c", command], capture_output=True, text=True)
    if "yes" not in done.stdout:
        raise stopped(done.stderr.strip()[:80])
    return "mounted in a nested user namespace"


def open_devices():
    found = []
    for device in ("/dev/vda", "/dev/sda", "/dev/kvm", "/dev/mem", "/dev/fuse", "/dev/kmsg"):
        with contextlib.suppress(OSError):
            os.close(os.open(device, os.O_RDONLY))
            found.append(device)
    if not found:
        raise stopped("none can be opened")
    return found


def io_uring():
    return f"ring {call_kernel(425, 8, ctypes.create_string_buffer(120))}"


def type_into_terminal():
    import fcntl

    fcntl.ioctl(0, 0x5412, b"x")  # TIOCSTI
    return "injected"


def x32_call():
    if not X86:
        raise stopped("no x32 on this machine")
    return f"x32 getpid {call_kernel(0x40000000 + 39)}"


def write_kernel_setting():
    with open("/proc/sys/kernel/core_pattern", "r+"):
        return "opened"


def become_root():
    os.setuid(0)
    if facts["was_root"]:
        return "uid 0"
    raise stopped("already")


def open_by_handle():
    """Around all path rules, for those with the capability to search."""
    handle = ctypes.create_string_buffer(128)
    ctypes.cast(handle, ctypes.POINTER(ctypes.c_uint32))[0] = 120
    mount = ctypes.c_int()
    path = facts["labels"].encode()
    if LIBC.name_to_handle_at(-100, path, handle, ctypes.byref(mount), 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    anchor = os.open(os.environ.get("TMPDIR", "/tmp"), os.O_RDONLY)
    descriptor = LIBC.open_by_handle_at(anchor, handle, os.O_RDONLY)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return os.read(descriptor, 20)


ATTACKS = {
    name: value
    for name, value in list(globals().items())
    if callable(value)
    and getattr(value, "__module__", None) == __name__
    and not name.startswith("_")
    and name not in ("run", "call_kernel", "stopped")
}
SLOW = {
    "memory_bomb",
    "memory_bomb_of_many",
    "hidden_memory_bomb",
    "memfd_bomb",
    "hidden_memfd_bomb",
    "socket_buffer_bomb",
    "shared_memory_bomb",
    "tmp_bomb",
    "big_file",
    "many_big_files",
    "big_files_at_the_end",
    "fill_scratch",
    "file_flood",
    "deep_flood",
    "hidden_folder",
    "output_flood",
    "sleep_past_limit",
    "fork_bomb",
    "thread_bomb",
    "fork_chain",
    "connect_abroad",
}

if __name__ == "__main__":
    run({**json.loads(sys.argv[2]), "attack": sys.argv[1]})
