"""What the sandbox promises to honest phases, and how it tells the ends of the others apart."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from needs import need_backend
from survival import children_of, words_of

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))

from users import NO_PYTHON, ROOT, python_for, users  # noqa: E402

from tmelt.harness.sandbox import (  # noqa: E402
    Accident,
    Limits,
    Phase,
    Refusal,
    Sandbox,
    SandboxUnavailable,
    backends,
    choose_backend,
    remove_tree,
)

LIMITS = Limits(wall_s=20, memory_mb=500, processes=30, file_mb=100, disk_mb=50)


def open_sandbox(backend="auto", **options):
    return Sandbox(backend, preload=(), entry="entries:run", python_path=(HERE,), **options)


@pytest.fixture(scope="module")
def sandbox(backend):
    with open_sandbox(backend) as opened:
        yield opened


@pytest.fixture
def own(sandbox):
    """A folder that a phase may write to."""
    folder = sandbox.folder / f"own{time.monotonic_ns()}"
    folder.mkdir()
    yield folder
    remove_tree(folder)


def do(sandbox, what, write=(), read=(), limits=LIMITS, **spec):
    if write:
        spec["own"] = str(write[0])
    return sandbox.run(Phase({"do": what, **spec}, tuple(read), tuple(write), limits))


def limits(**changes):
    return Limits(**{**LIMITS.__dict__, **changes})


def test_ok(sandbox):
    outcome = do(sandbox, "succeed", word="indeed")
    assert (outcome.status, outcome.exit, outcome.signal, outcome.error) == ("ok", 0, None, "")
    assert outcome.output == "fine indeed\n"
    assert outcome.backend == sandbox.backend


def test_crash_shows_its_traceback(sandbox):
    outcome = do(sandbox, "fail")
    assert (outcome.status, outcome.exit) == ("crash", 1)
    assert outcome.output.endswith("ValueError: a mistake of its own\n")


@pytest.mark.parametrize(("code", "status"), [(0, "ok"), (3, "crash")])
def test_sys_exit(sandbox, code, status):
    outcome = do(sandbox, "exit_with", code=code)
    assert (outcome.status, outcome.exit) == (status, code)


@pytest.mark.parametrize(("what", "number"), [("abort", signal.SIGABRT), ("end_itself", signal.SIGKILL)])
def test_crash_by_signal(sandbox, what, number):
    outcome = do(sandbox, what)
    assert (outcome.status, outcome.exit, outcome.signal) == ("crash", None, number)


def test_timeout_keeps_the_last_words(sandbox):
    outcome = do(sandbox, "sleep", limits=limits(wall_s=0.5))
    assert outcome.status == "timeout"
    assert outcome.wall_s >= 0.5
    assert outcome.output == "about to sleep\n\n[sandbox] more than 0.5 seconds\n"


def test_oom(sandbox):
    outcome = do(sandbox, "eat_memory", limits=limits(memory_mb=200))
    assert outcome.status == "oom"
    assert outcome.memory_mb > 200


def test_shared_memory_counts_once(sandbox):
    assert do(sandbox, "share_memory", limits=limits(memory_mb=500)).status == "ok"


def test_disk(sandbox, own):
    assert do(sandbox, "fill_disk", write=(own,)).status == "disk"


def test_head_and_tail_of_output(sandbox):
    output = do(sandbox, "print_much").output
    assert output.startswith("first words\n")
    assert output.endswith("last words\n")
    assert len(output) < 70_000


def test_honest_work(sandbox, own):
    outcome = do(sandbox, "live_honestly", write=(own,))
    assert outcome.status == "ok", outcome.output
    # The same hash seed everywhere: a script that iterates over a set trains the same way twice.
    assert do(sandbox, "live_honestly", write=(_fresh(own),)).output == outcome.output


def _fresh(own):
    folder = own.with_name(own.name + "b")
    folder.mkdir()
    return folder


def test_phases_side_by_side(sandbox):
    folders = []
    for number in range(4):
        folders.append(sandbox.folder / f"side{number}")
        folders[-1].mkdir()
    threads = [
        threading.Thread(target=do, args=(sandbox, "answer", (folder,)), kwargs={"word": folder.name})
        for folder in folders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(folder / "answer").read_text() for folder in folders] == [folder.name * 2 for folder in folders]


def test_a_phase_sees_only_what_it_names(tmp_path):
    for parent in (tmp_path, *tmp_path.parents):
        if not parent.stat().st_mode & 0o001 and os.geteuid() == 0:
            parent.chmod(parent.stat().st_mode | 0o001)
    fit, pool = tmp_path / "fit", tmp_path / "pool"
    fit.write_text("labels of fit")
    pool.write_text("features of the pool")
    with open_sandbox(read=(fit, pool)) as opened:
        outcome = do(opened, "look", read=(fit,), paths=[str(fit), str(pool)])
    assert outcome.output == "read fit\nclosed pool\n"


def test_paths_must_be_announced(sandbox, tmp_path):
    with pytest.raises(ValueError, match="may read"):
        do(sandbox, "succeed", read=(tmp_path,))
    with pytest.raises(ValueError, match="may write"):
        do(sandbox, "succeed", write=(tmp_path,))


def test_a_link_in_the_job_folder_leads_nowhere(sandbox, tmp_path):
    link = sandbox.folder / f"link{time.monotonic_ns()}"
    link.symlink_to(tmp_path)
    with pytest.raises(ValueError, match="may read"):
        do(sandbox, "succeed", read=(link,))
    link.unlink()


@pytest.mark.slow
def test_a_killed_harness_takes_everything_along(backend):
    script = f"""
        import sys
        from pathlib import Path
        sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}, {str(HERE.parent)!r}]
        from test_sandbox import do, limits, open_sandbox
        with open_sandbox({backend!r}, folder=Path(sys.argv[1])) as opened, open_sandbox({backend!r}) as other:
            own = opened.folder / "own"
            own.mkdir()
            print(other.folder, opened._supervisor.pid, flush=True)
            do(opened, "beat", write=(own,), limits=limits(wall_s=60))
    """
    # Kept when the harness dies, unlike a folder that the sandbox makes.
    place = Path(tempfile.mkdtemp(prefix="tmelt-test-"))
    command = [sys.executable, "-c", textwrap.dedent(script), place]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as harness:
        temporary, supervisor = harness.stdout.readline().split()
        own = place / "own"
        assert _eventually(lambda: len(list(own.glob("heart*"))) == 2)
        harness.kill()
    try:
        assert _eventually(lambda: not Path(f"/proc/{supervisor}/exe").exists())
        beats = {file: file.read_text() for file in own.glob("heart*")}
        time.sleep(0.3)
        assert len(beats) == 2
        assert {file: file.read_text() for file in own.glob("heart*")} == beats
        assert _eventually(lambda: not Path(temporary).exists())
    finally:
        remove_tree(place)


@pytest.mark.slow
def test_what_a_job_left_that_was_killed_whole_is_cleared_away(tmp_path):
    script = f"""
        import sys, time
        sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}, {str(HERE.parent)!r}]
        from test_sandbox import open_sandbox
        with open_sandbox() as opened:
            (opened.folder / "checkpoint").write_bytes(bytes(1000))
            print(opened.folder, opened._supervisor.pid, flush=True)
            time.sleep(100)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def begin():
        job = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        folder, supervisor = job.stdout.readline().split()
        return job, Path(folder), int(supervisor)

    killed, left, supervisor = begin()
    os.kill(supervisor, signal.SIGSTOP)  # both at once, as far as either can tell
    killed.kill()
    killed.wait()
    os.kill(supervisor, signal.SIGKILL)
    alive, kept, _ = begin()
    assert left.exists() and kept.exists()
    for folder in (left, kept):
        os.utime(folder, (0, 0))
    third, own, _ = begin()
    try:
        assert not left.exists()
        assert (kept / "checkpoint").exists() and (own / "checkpoint").exists()
    finally:
        for job in (alive, third):
            job.kill()
            job.communicate()
    assert _eventually(lambda: not kept.exists() and not own.exists())


def test_a_killed_supervisor_is_an_error_not_a_crash():
    with open_sandbox() as opened:
        outcomes = []
        thread = threading.Thread(target=lambda: outcomes.append(do(opened, "sleep")))
        thread.start()
        time.sleep(0.3)
        opened._supervisor.kill()
        thread.join()
    assert outcomes[0].status == "error"
    assert "supervisor" in outcomes[0].error


@pytest.mark.parametrize("victim", ["supervisor", "worker"])
def test_a_sandbox_killed_while_it_starts_is_no_reason_to_take_a_weaker_one(victim):
    opening = Sandbox(preload=("sleeps_at_import",), entry="entries:run", python_path=(HERE,))

    def kill():
        _eventually(lambda: opening._supervisor is not None)
        supervisor = opening._supervisor
        _eventually(lambda: any(b"sleeps_at_import" in b"".join(words_of(pid)) for pid in children_of(supervisor.pid)))
        os.kill(supervisor.pid if victim == "supervisor" else children_of(supervisor.pid)[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(Accident, match=rf"{victim} was killed while it started"), opening:
        pass
    thread.join()


def test_a_supervisor_killed_before_it_is_told_anything_is_no_reason_either(monkeypatch):
    start = subprocess.Popen

    def start_and_kill(*arguments, **options):
        process = start(*arguments, **options)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return process

    monkeypatch.setattr(subprocess, "Popen", start_and_kill)
    with pytest.raises(Accident, match="supervisor was killed while it started"), Sandbox(entry="entries:run"):
        pass


def test_bubblewrap_killed_while_it_says_what_it_can_do_makes_no_sandbox_with_fewer_limits(tmp_path, monkeypatch):
    need_backend("bwrap")
    bwrap = shutil.which("bwrap")
    dying = tmp_path / "bwrap"
    dying.write_text(f'#!/bin/sh\n[ "$1" = --help ] && kill -9 $$\nexec {bwrap} "$@"\n')
    dying.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(Accident, match="worker was killed while it started"), Sandbox(entry="entries:run"):
        pass


def test_an_entry_that_cannot_be_imported_is_named():
    with (
        pytest.raises(SandboxUnavailable, match="no_such_module"),
        Sandbox(entry="entries:run", preload=("no_such_module",)),
    ):
        pass


def test_a_worker_with_threads_is_refused():
    with (
        pytest.raises(SandboxUnavailable, match="started threads"),
        Sandbox(preload=("starts_a_thread",), entry="entries:run", python_path=(HERE,)),
    ):
        pass


def test_refuses_rather_than_going_on_without():
    with pytest.raises(SandboxUnavailable, match="no Landlock"), open_sandbox("landlock", landlock_abi=0):
        pass
    with pytest.raises(Refusal, match="expected one of auto"):
        Sandbox("chroot", entry="entries:run")


def test_the_canary_finds_the_holes_of_no_sandbox(tmp_path):
    (tmp_path / "secret").write_text("secret")
    spec = {
        "secret": str(tmp_path / "secret"),
        "outside": str(tmp_path),
        "port": 9,
        "harness": os.getpid(),
        "environment": [],
        "confined": True,
        "cuda": False,
    }
    with Sandbox("none", preload=(), entry="tmelt.harness.sandbox.canary:run") as opened:
        outcome = opened.run(Phase(spec, (), (), LIMITS))
    assert outcome.status == "crash"
    for hole in ("read a file that is not listed", "write outside", "signal the harness", "see foreign variables"):
        assert hole in outcome.output


@pytest.mark.parametrize("user", users())
def test_choose_backend(user):
    python = python_for(user)
    if python is None:
        pytest.skip(NO_PYTHON.format(user))
    code = f"import sys; sys.path.append({str(ROOT)!r}); from tmelt.harness.sandbox import *; print(choose_backend())"
    done = subprocess.run([*python, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() in backends.ORDER, done.stderr


def test_a_tree_without_access_or_end_is_removed():
    """As the ordinary user who has to clean up after a candidate."""
    user = users()[-1]
    python = python_for(user)
    if python is None:
        pytest.skip(NO_PYTHON.format(user))
    code = f"""if True:
        import os, sys, tempfile
        sys.path.append({str(ROOT)!r})
        from tmelt.harness.sandbox import remove_tree
        place = tempfile.mkdtemp(prefix="tmelt-test-")
        os.chdir(place)
        os.makedirs("a/b")
        open("a/b/file", "w").close()
        os.chmod("a", 0o300)
        for _ in range(2000):
            os.mkdir("d")
            os.chdir("d")
        os.chdir("/")
        remove_tree(place)
        print(os.path.exists(place))
    """
    done = subprocess.run([*python, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout == "False\n", done.stderr


@pytest.mark.slow
def test_training_in_a_warm_worker_is_the_same_as_in_a_cold_one(backend):
    outputs = []
    for warm in (True, False):
        with Sandbox(backend, preload=("torch",), entry="entries:run", python_path=(HERE,), warm=warm) as opened:
            outcome = do(opened, "train", limits=limits(memory_mb=2000))
            assert outcome.status == "ok", outcome.output
            outputs.append(outcome.output.splitlines()[0])
    assert outputs[0] == outputs[1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: run it where there is a GPU")
def test_cuda_works_inside(backend):
    assert choose_backend(backend, gpu=True) == backend


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA works here")
@pytest.mark.parametrize("kind", ["auto", "bwrap", "landlock", "none"])
def test_without_cuda_no_candidate_is_blamed(kind):
    if kind in ("bwrap", "landlock"):
        need_backend(kind)
    with pytest.raises(SandboxUnavailable, match="CUDA does not work inside") as refused:
        choose_backend(kind, gpu=True)
    assert "it could" not in str(refused.value)


def test_bubblewrap_lets_a_device_in_and_nothing_else_into_dev(monkeypatch):
    need_backend("bwrap")
    offered = {path for path in Path("/dev").iterdir() if path.is_char_device()}
    usual = {Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "console")}
    nodes = sorted(map(str, offered - usual))[:1]  # the part of a GPU
    monkeypatch.setattr(backends, "gpu_nodes", lambda: nodes)
    settings = SimpleNamespace(gpu=True, uid=backends.child_uid("bwrap"))
    command = backends._bwrap(settings, [], [])
    assert command[-3:] == ["--remount-ro", "/dev", "--"]
    script = "".join(f"test -c {node} && " for node in nodes) + "test -r /sys/class && ! touch /dev/x"
    ended = subprocess.run([*command, "/bin/sh", "-c", script], capture_output=True, text=True)
    assert ended.returncode == 0 and "Read-only file system" in ended.stderr, ended.stderr


def test_a_gpu_needs_one_kind_of_socket_and_gets_no_other():
    """CUDA listens on such a one when it starts; through it nobody is reached."""
    tried = textwrap.dedent("""
        import os, socket
        from tmelt.harness.sandbox import kernel, seccomp
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        seccomp.install(seccomp.program(own_signals_only=False, namespaces=True, gpu=True, landlock_abi=0))
        own = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        own.bind(f"\\0tmelt-test-{os.getpid()}")
        own.listen()
        other = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        for name, attempt in {
            "connect": lambda: other.connect(own.getsockname()),
            "accept": lambda: own.accept(),
            "stream": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
            "datagram": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
            "internet": lambda: socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET),
            "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
            "pair": lambda: socket.socketpair(),
        }.items():
            try:
                attempt()
                print(name, "went through")
            except PermissionError:
                print(name, "refused")
    """)
    ended = subprocess.run([sys.executable, "-c", tried], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    names = ("connect", "accept", "stream", "datagram", "internet", "netlink", "pair")
    assert ended.stdout.splitlines() == [f"{name} refused" for name in names]


def _eventually(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
